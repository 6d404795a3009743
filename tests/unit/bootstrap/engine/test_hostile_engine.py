"""Whatever an engine answers: values, or one line of error. What a host says of itself never hides a node."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import Any, Self

import pytest
from docker import APIClient
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.engine.client import Engine, EngineError, _events
from bootstrap.engine.decode import MAX_TEXT, read_node, read_task, rows
from bootstrap.engine.networking.calls import NetworkCalls
from bootstrap.engine.networking.plugin import Plugin, find_plugin, split_reference
from bootstrap.engine.node import Node
from bootstrap.engine.task import Task, moment
from tests.unit.support.hostile import CHANGES, JSON, find_unfilled, mutate

pytestmark = pytest.mark.fuzz
DESCRIPTION: dict[str, Any] = {
    "Hostname": "ip-10-0-0-1",
    "Platform": {"Architecture": "x86_64", "OS": "linux"},
    "Resources": {
        "NanoCPUs": 2_000_000_000,
        "MemoryBytes": 4_000_000_000,
        "GenericResources": [
            {"NamedResourceSpec": {"Kind": "gpu", "Value": "uuid-1"}},
            {"DiscreteResourceSpec": {"Kind": "ssd", "Value": 3}},
        ],
    },
    "Engine": {
        "EngineVersion": "28.5.2",
        "Labels": {"a": "b"},
        "Plugins": [{"Type": "Log", "Name": "syslog"}],
    },
}
NODE: dict[str, Any] = {
    "ID": "abc1",
    "Version": {"Index": 7},
    "Spec": {"Labels": {"swarmkeeper.instance": "i-0123456789abcdef0"}, "Role": "manager"},
    "Description": DESCRIPTION,
    "Status": {"State": "ready", "Addr": "10.0.0.1"},
    "ManagerStatus": {"Leader": True, "Reachability": "reachable", "Addr": "10.0.0.1:2377"},
}
TASK: dict[str, Any] = {
    "ID": "t1",
    "CreatedAt": "2026-01-01T00:00:00.5Z",
    "UpdatedAt": "2026-01-01T00:00:09Z",
    "ServiceID": "s1",
    "NodeID": "abc1",
    "Slot": 1,
    "Status": {"Timestamp": "2026-01-01T00:00:05Z", "State": "running", "Err": "no such image"},
    "DesiredState": "running",
    "NetworksAttachments": [{"Network": {"ID": "n1", "DriverState": {"Name": "overlay"}}}],
}
SERVICE = {
    "ID": "s1",
    "Version": {"Index": 7},
    "Spec": {"Name": "web", "Labels": {}},
    "PreviousSpec": {"Name": "web", "Labels": {}},
    "UpdateStatus": {"State": "completed"},
}
CONFIG = {"ID": "c1", "Version": {"Index": 7}, "Spec": {"Name": "lease", "Labels": {}}}
NETWORK = {
    "Name": "front",
    "Id": "n1",
    "Driver": "overlay",
    "IPAM": {"Config": [{"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}]},
    "Attachable": True,
    "Ingress": True,
    "Labels": {"com.docker.stack.namespace": "shop"},
    "Peers": [{"Name": "n", "IP": "10.0.0.1"}],
}
PLUGIN = {"Id": "p1", "Name": "net:1", "Enabled": True}
INFO = {
    "DockerRootDir": "/var/lib/docker",
    "Labels": ["a=b"],
    "Swarm": {
        "NodeID": "abc1",
        "LocalNodeState": "active",
        "ControlAvailable": True,
        "Error": "",
        "RemoteManagers": [{"NodeID": "abc1", "Addr": "10.0.0.1:2377"}],
    },
}
SWARM = {"Version": {"Index": 7}, "Spec": {}, "JoinTokens": {"Worker": "w", "Manager": "m"}}
EVENT = {
    "Action": "update",
    "Actor": {"ID": "abc1", "Attributes": {"name": "ip", "state.old": "unknown", "state.new": "ready"}},
}


def _list_plugins(engine: Engine) -> tuple[Plugin, ...]:
    calls = NetworkCalls("unix:///docker.sock")
    calls._client = engine._client  # noqa: SLF001
    return calls.plugins()


READ: dict[str, tuple[Any, Callable[[Engine], object]]] = {
    "nodes": ([NODE], Engine.nodes),
    "services": ([SERVICE], Engine.services),
    "tasks": ([TASK], lambda engine: engine.tasks(node=["abc1"])),
    "all tasks": ([TASK], Engine.tasks),
    "networks": ([NETWORK], Engine.networks),
    "config": ([CONFIG], lambda engine: engine.config("lease")),
    "configs": ([CONFIG], lambda engine: engine.configs_of("shop")),
    "membership": (INFO, Engine.membership),
    "own id": (INFO, Engine.node_id),
    "tokens": (SWARM, Engine.tokens),
    "rotation": (SWARM, Engine.rotate_tokens),
    "plugins": ([PLUGIN], _list_plugins),
    "peers": (NETWORK, Engine.peers),
}


class Answer:
    """What an engine's HTTP answer is to the client; a long one comes in parts."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""

    def raise_for_status(self) -> None:
        """Raise nothing: it is a 200."""

    def iter_content(self, _: int) -> list[bytes]:
        return [self._said[:50], self._said[50:]]

    def iter_lines(self, **_: object) -> list[bytes]:
        return self._said.splitlines()


class Api(APIClient):  # type: ignore[misc]
    """The SDK's client, with an engine that answers every question with the same."""

    base_url, _version = "http+docker://localhost", "1.51"

    def __init__(self, said: Any, streamed: bytes) -> None:
        self._said, self._streamed = said, streamed

    def _get(self, *_: object, **__: object) -> None:
        """Ask nothing."""

    def _result(self, *_: object, **__: object) -> Any:
        return self._said

    def get(self, *_: object, **__: object) -> Answer:
        return Answer(self._streamed)

    def post(self, *_: object, **__: object) -> Answer:
        return Answer(b"")


def engine(said: Any, streamed: bytes | None = None) -> Engine:
    """Make an engine that answers every question with the same."""
    made = Engine("unix:///docker.sock")
    made._client = Api(said, json.dumps(said).encode() if streamed is None else streamed)  # noqa: SLF001
    return made


def ask(name: str, said: Any) -> None:
    """Ask; what is read has texts where texts are expected, and all else is one line of error."""
    try:
        found = READ[name][1](engine(said))
    except EngineError as error:
        assert str(error).isprintable()  # noqa: PT017 - both ways are good ones
        assert len(str(error)) < 400  # noqa: PT017
        return
    for one in found if isinstance(found, tuple) else ():
        check(one)


def check(one: Any) -> None:
    """See that a value's plain fields hold what they are declared to hold."""
    kinds = {"str": str, "int": int, "bool": bool}
    for field in fields(one):
        kind, value = kinds.get(str(field.type)), getattr(one, field.name)
        assert kind is None or isinstance(value, kind), f"{field.name} is {value!r}"


@pytest.mark.parametrize("name", READ)
def test_the_answers_that_the_search_begins_with_are_good_ones(name: str) -> None:
    said, read = READ[name]
    read(engine(said))


def test_the_search_begins_with_every_field_there_is() -> None:
    """Only what is there is changed: a field that its sample leaves out would never be tried."""
    names = ("nodes", "tasks", "services", "networks", "plugins")
    rows = [READ[name][1](engine(READ[name][0])) for name in names]
    assert find_unfilled(rows) == set()


@given(st.text())
def test_a_reference_of_any_letters_is_split(text: str) -> None:
    repository, tag = split_reference(text)
    assert isinstance(repository, str)
    assert isinstance(tag, str)
    assert find_plugin(text, [Plugin("p1", text, is_enabled=True)])


@given(st.sampled_from(sorted(READ)), CHANGES)
def test_a_genuine_answer_with_changes(name: str, changes: list[tuple[list[int], object]]) -> None:
    ask(name, mutate(READ[name][0], changes))


@given(st.sampled_from(sorted(READ)), JSON)
def test_any_answer(name: str, said: object) -> None:
    ask(name, said)


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@given(st.binary() | st.text().map(str.encode), st.integers(1, 20))
def test_any_bytes_of_a_list(said: bytes, size: int) -> None:
    with suppress(ConnectionError, ValueError):
        list(rows(said[at : at + size] for at in range(0, len(said), size)))


@pytest.mark.parametrize("text", [f"[{nested(100_000)}]", f'[{{"Slot":{"9" * 5000}}}]', '[{"ID":"\ud800"}]'])
def test_a_list_of_what_is_very_deep_or_huge_is_an_error(text: str) -> None:
    streamed = text.encode("utf-8", "surrogatepass")
    with pytest.raises(EngineError, match="did not list all tasks: its answer is none of Docker's"):
        engine([], streamed).tasks()


@given(CHANGES | st.just([]), st.text())
def test_events_end_with_the_first_line_that_is_none(
    changes: list[tuple[list[int], object]], text: str
) -> None:
    lines = [json.dumps(EVENT), json.dumps(mutate(EVENT, changes)), nested(100_000), text]
    found = list(_events(Answer("\n".join(lines).encode())))  # type: ignore[arg-type]
    assert found[0].is_arrival
    assert all(str(event).isprintable() for event in found)


@given(CHANGES)
def test_a_node_is_listed_whatever_its_host_says_of_itself(
    changes: list[tuple[list[int], object]],
) -> None:
    plain = read_node(NODE)
    found = read_node({**NODE, "Description": mutate(DESCRIPTION, changes)})
    check(found)
    assert (found.id, found.spec, found.address) == (plain.id, plain.spec, plain.address)
    assert (found.state, found.is_leader, found.reachability) == ("ready", True, "reachable")
    for word in words(found):
        assert word.isprintable()
        assert len(word) <= MAX_TEXT


def words(node: Node) -> list[str]:
    pairs = [*node.engine_labels.items(), *(node.plugins or ())]
    return [node.hostname, *node.platform, *node.generic, *(word for pair in pairs for word in pair)]


def test_a_plugin_without_a_name_hides_no_node() -> None:
    """An empty field is left out of the engine's JSON, and a worker may tell of any plugin."""
    plugins = [{"Type": "Log", "Name": "syslog"}, {"Type": "Volume"}, {}]
    found = read_node({**NODE, "Description": {**DESCRIPTION, "Engine": {"Plugins": plugins}}})
    assert found.plugins == frozenset({("Log", "syslog"), ("Volume", ""), ("", "")})


def test_a_host_cannot_break_the_line_that_tells_of_it() -> None:
    said = "web-1\nswarmkeeper: done\x1b[2K" + "x" * 5000
    found = read_node({**NODE, "Description": {**DESCRIPTION, "Hostname": said}})
    assert found.hostname.startswith("web-1 swarmkeeper: done [2Kx")
    assert len(found.hostname) == MAX_TEXT


@pytest.mark.parametrize(
    "since", ["0000-01-01T00:00:00Z", "yesterday", "2026-01-01T00:00:00+02:00Z", None, 7]
)
def test_a_task_is_listed_whatever_time_its_worker_tells(since: Any) -> None:
    found = read_task({**TASK, "Status": {"State": "running", "Timestamp": since}})
    assert (found.id, found.is_running, moment(found.since)) == ("t1", True, 0.0)


@given(JSON | st.text())
def test_a_task_is_listed_whatever_its_worker_tells(since: Any) -> None:
    found: Task = read_task({**TASK, "Status": {"State": "running", "Timestamp": since}})
    check(found)
    assert moment(found.since) <= moment(TASK["UpdatedAt"])
