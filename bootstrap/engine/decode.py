"""Read the engine's JSON into values; a long list row by row, as it comes."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any, TypeVar

from bootstrap.engine.config import Config
from bootstrap.engine.network import NAMESPACE_LABEL, Network
from bootstrap.engine.node import Membership, Node
from bootstrap.engine.node_event import NodeEvent
from bootstrap.engine.service import Service, counted
from bootstrap.engine.task import Task, moment
from chalicelib.protocol.checks import printable, show

MAX_TEXT = 1000  # characters of a host's word, such as its name or a label
Value = TypeVar("Value")
RAFT = "swarm/raft"  # in the engine's directory: a manager's state, which no other node has
KEY = "swarm/certificates/swarm-node.key"
BETWEEN = re.compile(r"[\s,\[]*")  # what stands before a row of a list


def rows(chunks: Iterable[bytes]) -> Iterator[Any]:
    """Read the rows of a JSON list one by one: the whole list never stands in memory.

    Raises ConnectionError where it breaks off.
    """
    decoder, decode = codecs.getincrementaldecoder("utf-8")(), json.JSONDecoder().raw_decode
    rest = ""
    for chunk in chunks:
        text, at = rest + decoder.decode(chunk), 0
        try:
            while True:
                if gap := BETWEEN.match(text, at):
                    at = gap.end()
                row, at = decode(text, at)
                yield row
        except json.JSONDecodeError:  # the next row is not all there yet
            rest = text[at:]
    if rest.strip() != "]":
        raise ConnectionError("the list broke off")


def checked(value: Any, kind: type[Value]) -> Value:
    """Check what an engine or the managers say of their own; raises TypeError where it is no such thing."""
    if not isinstance(value, kind):
        raise TypeError(f"{show(value)} is no {kind.__name__}")
    return value


def read_node(row: Mapping[str, Any]) -> Node:
    """Read a node from one row of ``GET /nodes``.

    Its description is the host's own word: whatever that is, the node is listed. A row that no manager
    would give raises one of ``connection.MALFORMED``, as in all readers here.
    """
    description, status = _object(row.get("Description")), _object(row["Status"])
    resources, platform = _object(description.get("Resources")), _object(description.get("Platform"))
    engine, manager = _object(description.get("Engine")), _object(row.get("ManagerStatus"))
    return Node(
        id=checked(row["ID"], str),
        version=checked(row["Version"]["Index"], int),
        spec=checked(row["Spec"], dict),
        state=_text(status.get("State", "unknown")),
        address=_host(_text(manager.get("Addr"))) or _text(status.get("Addr")),
        hostname=_text(description.get("Hostname")),
        engine_labels=_texts(engine.get("Labels")),
        platform=(_text(platform.get("OS")), _text(platform.get("Architecture"))),
        cpus=_number(resources.get("NanoCPUs")),
        memory=_number(resources.get("MemoryBytes")),
        generic=_generic(resources.get("GenericResources")),
        reachability=_text(manager.get("Reachability")),
        is_leader=bool(manager.get("Leader", False)),
        plugins=_plugins(
            tuple((_text(one.get("Type")), _text(one.get("Name"))) for one in _objects(engine.get("Plugins")))
        )
        if engine
        else None,
    )


def read_membership(info: Mapping[str, Any]) -> Membership:
    """Read a membership from ``GET /info``."""
    swarm = checked(info.get("Swarm") or {}, dict)
    return Membership(
        state=checked(swarm.get("LocalNodeState") or "inactive", str),
        node=checked(swarm.get("NodeID") or "", str),
        is_manager=bool(swarm.get("ControlAvailable")),
        managers=frozenset(_host(row["Addr"]) for row in swarm.get("RemoteManagers") or ()),
        error=checked(swarm.get("Error") or "", str),
        engine_labels=dict(_pair(row) for row in info.get("Labels") or ()),
    )


def read_service(row: Mapping[str, Any]) -> Service:
    """Read a service from one row of ``GET /services``."""
    state = _text(_object(row.get("UpdateStatus")).get("State"))
    spec, version = checked(row["Spec"], dict), checked(row["Version"]["Index"], int)
    return Service(checked(row["ID"], str), version, spec, state, is_repeated=row.get("PreviousSpec") == spec)


def read_task(row: Mapping[str, Any]) -> Task:
    """Read a task from one row of ``GET /tasks``.

    Its state's time is the worker's own; the managers have noted it no earlier than it was, by their clock.
    """
    status, noted = row["Status"], checked(row.get("UpdatedAt", ""), str)
    since = _text(status.get("Timestamp"))
    return Task(
        id=checked(row["ID"], str),
        service=intern(row.get("ServiceID", "")),
        node=intern(row.get("NodeID", "")),
        slot=checked(row.get("Slot", 0), int),
        state=intern(status["State"]),
        desired=intern(row["DesiredState"]),
        created=checked(row.get("CreatedAt", ""), str),
        since=min(since, noted, key=moment) if noted else since,
        drivers=tuple({name for one in _objects(row.get("NetworksAttachments")) if (name := _driver(one))}),
        error=intern(_text(status.get("Err"))),
    )


@lru_cache(maxsize=64)
def _plugins(rows: tuple[tuple[str, str], ...]) -> frozenset[tuple[str, str]]:
    """Share one set among all nodes that have the same."""
    return frozenset(rows)


def _driver(attachment: Mapping[str, Any]) -> str:
    return _text(_object(_object(attachment.get("Network")).get("DriverState")).get("Name"))


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _pair(label: str) -> tuple[str, str]:
    name, _, value = label.partition("=")
    return name, value


def read_config(row: Mapping[str, Any]) -> Config:
    """Read a config from one row of ``GET /configs``."""
    spec = checked(row["Spec"], dict)
    checked(spec["Name"], str)
    return Config(checked(row["ID"], str), checked(row["Version"]["Index"], int), spec)


def read_network(row: Mapping[str, Any]) -> Network:
    """Read a network from one row of ``GET /networks``."""
    ranges = _objects(_object(row.get("IPAM")).get("Config"))
    return Network(
        name=checked(row["Name"], str),
        subnets=tuple(checked(one["Subnet"], str) for one in ranges if one.get("Subnet")),
        stack=_text(_object(row.get("Labels")).get(NAMESPACE_LABEL)),
        driver=_text(row.get("Driver")),
        gateways=tuple(checked(one["Gateway"], str) for one in ranges if one.get("Gateway")),
        is_attachable=bool(row.get("Attachable")),
        is_ingress=bool(row.get("Ingress")),
        id=_text(row.get("Id")),
    )


def read_node_event(row: Mapping[str, Any]) -> NodeEvent:
    """Read an event from one row of ``GET /events``."""
    actor = _object(row.get("Actor"))
    said = _texts(actor.get("Attributes"))
    fields = sorted(key[: -len(".new")] for key in said if key.endswith(".new"))
    changes = {name: (said.get(f"{name}.old", ""), said[f"{name}.new"]) for name in fields}
    return NodeEvent(_text(row.get("Action")), _text(actor.get("ID")), said.get("name", ""), changes)


def _text(value: Any) -> str:
    """Take a host's word as one printable line, and as nothing where it is no text."""
    return printable(value, MAX_TEXT) if isinstance(value, str) else ""


def _texts(value: Any) -> dict[str, str]:
    return {_text(name): _text(one) for name, one in _object(value).items()}


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _generic(value: Any) -> dict[str, int]:
    return counted(
        {kind: {**spec, "Kind": _text(spec.get("Kind")), "Value": _number(spec.get("Value"))}}
        for row in _objects(value)
        for kind, spec in row.items()
        if isinstance(spec, dict)
    )


def has_raft_state(info: Mapping[str, Any]) -> bool:
    """Tell whether a manager's state is there."""
    return (_directory(info) / RAFT).is_dir()


def is_autolocked(info: Mapping[str, Any]) -> bool:
    """Tell whether the engine needs the unlock key to start, by the first line of its key."""
    with suppress(OSError), (_directory(info) / KEY).open() as file:
        return "ENCRYPTED" in file.readline(100)
    return False


def _directory(info: Mapping[str, Any]) -> Path:
    return Path(str(info.get("DockerRootDir")))
