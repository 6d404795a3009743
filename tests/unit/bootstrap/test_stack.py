"""Stacks: what is rendered, what is refused, and what is done with the docker CLI."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bootstrap import deploy, publish
from bootstrap.__main__ import main
from bootstrap.errors import AgentError
from bootstrap.stack import PART, STACKS, Network, check_free, chosen, named, parts, read_network, rendered
from bootstrap.swarm import NotManagerError, RefusedError
from tests.unit.bootstrap.fake_swarm import FakeSwarm

CONTROL, BALANCER = named("control"), named("service-balancer")
OURS = Network("control", ("10.32.100.0/24",), "control")


class Manager(FakeSwarm):
    """A manager's engine with networks and configs; ``in_use`` cannot be removed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Network] = [Network("bridge", ("172.17.0.0/16",)), Network("host", ())]
        self.stored: dict[str, str] = {}
        self.in_use: set[str] = set()
        self.manages = True

    def node_id(self) -> str:
        if not self.manages:
            raise NotManagerError("this host is no swarm manager")
        return super().node_id()

    def networks(self) -> tuple[Network, ...]:
        return tuple(self.found)

    def configs_of(self, stack: str) -> dict[str, str]:
        assert stack in {one.name for one in STACKS}
        return dict(self.stored)

    def remove_config(self, name: str, config: str) -> None:
        assert self.stored[name] == config
        if name in self.in_use:
            raise RefusedError("in use")
        del self.stored[name]


class Docker:
    """The docker command line: remembers what it was asked, with the files that lay there."""

    def __init__(self, engine: Manager) -> None:
        self.engine = engine
        self.asked: list[tuple[str, ...]] = []
        self.files: dict[str, dict[str, bytes]] = {}

    def __call__(self, words: Sequence[str], stdin: str, directory: Path) -> str:
        self.asked.append(tuple(words))
        name = words[-1]
        if words[1] == "deploy":
            assert f"services:\n  {'docker-api' if name == 'control' else name}:\n" in stdin
            self.files[name] = {path.name: path.read_bytes() for path in directory.iterdir()}
            self.engine.add_service(name, Labels={"com.docker.stack.namespace": name})
        return ""


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> bytes:
    content = bytes(range(256)) * 4000
    monkeypatch.setattr(deploy, "_own_bytes", lambda: content)
    return content


def defaults(*stacks: str) -> dict[str, dict[str, str]]:
    return {name: chosen(named(name), {}, {}) for name in stacks}


def test_the_agent_is_cut_into_configs_that_swarm_accepts_and_named_after_its_hash() -> None:
    content = os.urandom(2 * PART + 1)
    cut = parts(content)
    digest = hashlib.sha256(content).hexdigest()[:16]
    assert list(cut) == [f"agent-{digest}-{number}" for number in (1, 2, 3)]
    assert b"".join(cut.values()) == content
    assert [len(part) for part in cut.values()] == [PART, PART, 1]
    assert PART <= 500 * 1024


def test_the_parts_are_mounted_so_that_the_shell_puts_them_together_in_order() -> None:
    cut = parts(b"x" * (PART * 11))
    text = rendered(BALANCER, chosen(BALANCER, {}, {}), cut)
    lines = [json.loads(found) for found in re.findall(r"configs: (.+)", text)]
    targets = [mount["target"] for mount in lines[0]]
    assert len(targets) == 11
    assert sorted(targets) == targets
    assert lines[1] == {name: {"name": name, "file": f"./{name}"} for name in cut}


def test_the_contracts_values_are_the_defaults() -> None:
    text = rendered(CONTROL, chosen(CONTROL, {}, {}), {})
    for line in (
        'image: "rancher/socat-docker"',
        "mode: global",
        "endpoint_mode: dnsrr",
        'constraints: ["node.role==manager"]',
        "source: /var/run/docker.sock",
        "attachable: true",
        'subnet: "10.32.100.0/24"',
        'driver: "overlay"',
    ):
        assert line in text
    assert "${" not in text


def test_settings_are_taken_from_flags_then_from_the_environment_and_a_registry_comes_first() -> None:
    environment = {"REGISTRY": "mirror.example:5000", "PYTHON_IMAGE": "python:3.11", "COOLDOWN": "60"}
    settings = chosen(BALANCER, {"PYTHON_IMAGE": "python:3"}, environment)
    text = rendered(BALANCER, settings, {})
    assert 'image: "mirror.example:5000/python:3"' in text
    assert 'COOLDOWN: "60"' in text
    assert 'SETTLE: "30"' in text


def test_the_limited_proxy_gets_the_sections_that_operators_need_and_no_others() -> None:
    image = "tecnativa/docker-socket-proxy:0.4.2"
    text = rendered(CONTROL, chosen(CONTROL, {"DOCKER_API_IMAGE": image}, {}), {})
    assert f'image: "{image}"' in text
    allowed = re.findall(r"^      ([A-Z]+): \"1\"", text, re.MULTILINE)
    assert allowed == ["EVENTS", "INFO", "NODES", "SERVICES", "TASKS", "CONFIGS", "POST"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy", "tea"], "there is no stack 'tea'; the stacks are control, service-balancer"),
        (
            ["deploy", "control", "--set", "COLOUR=red"],
            "no setting 'COLOUR'; its settings are CONTROL_DRIVER",
        ),
        (["deploy", "control", "--set", "SETTLE=1"], "stack control has no setting 'SETTLE'"),
        (["deploy", "control", "--set", "REGISTRY"], "--set takes NAME=VALUE, not 'REGISTRY'"),
        (["deploy", "control", "--set", 'REGISTRY=a"\nb'], "may hold letters, digits and ._/:@+- only"),
        (["deploy", "control", "--set", "CONTROL_SUBNET=10.32.100.1/24"], "such as 10.32.100.0/24"),
        (["deploy", "control", "--set", "CONTROL_SUBNET=10.32.0.0/33"], "must be an IPv4 network"),
        (
            ["deploy", "control", "--set", "CONTROL_DRIVER=weave:1", "--set", "CONTROL_SUBNET=10.0.0.0/24"],
            "a network of driver weave:1 must lie inside 10.32.0.0/12, unlike CONTROL_SUBNET=10.0.0.0/24",
        ),
        (["deploy", "service-balancer", "--set", "SETTLE=soon"], "SETTLE must be a number of seconds"),
        (["deploy", "service-balancer", "--dry-run"], "this is no zipapp"),
        (["rm", "tea"], "there is no stack 'tea'"),
    ],
)
def test_bad_input_is_one_clear_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", *words]) == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_a_host_without_docker_cli_is_told_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["stack", "deploy", "control"]) == 69
    assert "no docker command line" in capsys.readouterr().err


def test_what_docker_says_when_it_fails_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho noise >&2; echo no such thing as $* >&2; exit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    run = deploy.docker_at("unix:///x.sock")
    with pytest.raises(
        AgentError, match=r"docker stack rm control failed \(3\): no such thing as --host unix"
    ):
        run(("stack", "rm", "control"), "", tmp_path)
    assert capsys.readouterr().err == ""


def test_service_balancer_brings_control_along_only_where_it_is_missing(agent: bytes) -> None:
    engine = Manager()
    docker = Docker(engine)
    settings = defaults("control", "service-balancer")
    deploy.deploy(engine, (CONTROL, BALANCER), settings, docker)
    assert [words[-1] for words in docker.asked] == ["control", "service-balancer"]
    files = docker.files["service-balancer"]
    assert b"".join(files[name] for name in sorted(files)) == agent
    assert docker.files["control"] == {}
    deploy.deploy(engine, (CONTROL, BALANCER), settings, docker)
    assert [words[-1] for words in docker.asked[2:]] == ["service-balancer"]


@pytest.mark.usefixtures("agent")
def test_old_agents_go_with_the_next_deployment_unless_they_are_used() -> None:
    engine = Manager()
    engine.stored = {"agent-old-1": "c1", "agent-last-1": "c2", "agent-last-2": "c3"}
    engine.in_use = {"agent-last-1", "agent-last-2"}
    deploy.deploy(engine, (CONTROL, BALANCER), defaults("control", "service-balancer"), Docker(engine))
    assert set(engine.stored) == engine.in_use


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (
            Network("app", ("10.32.0.0/16",)),
            r"10.32.100.0/24 of network control overlaps 10.32.0.0/16 of network app",
        ),
        (Network("control", ("10.32.100.0/24",)), "there is a network control that no stack made"),
        (
            Network("control", ("10.32.7.0/24",), "control"),
            r"cannot be changed: deploy with --set CONTROL_SUBNET=10.32.7.0/24",
        ),
    ],
)
def test_a_range_that_is_taken_is_refused_before_anything_is_done(network: Network, said: str) -> None:
    engine = Manager()
    engine.found.append(network)
    docker = Docker(engine)
    with pytest.raises(AgentError, match=said):
        deploy.deploy(engine, (CONTROL,), defaults("control"), docker)
    assert docker.asked == []


def test_the_stacks_own_network_and_those_beside_it_are_in_nobodys_way() -> None:
    check_free(
        "10.32.100.0/24", [OURS, Network("elk_net", ("10.32.200.0/24",)), Network("six", ("fd00::/64",))]
    )


def test_a_network_is_read_from_what_the_engine_lists() -> None:
    row: dict[str, Any] = {
        "Name": "control",
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.32.100.0/24", "Gateway": "10.32.100.1"}]},
        "Labels": {"com.docker.stack.namespace": "control"},
    }
    assert read_network(row) == OURS
    assert read_network({"Name": "host", "IPAM": {"Config": None}, "Labels": None}) == Network("host", ())


def test_on_a_worker_nothing_is_deployed_or_removed() -> None:
    engine = Manager()
    engine.manages = False
    docker = Docker(engine)
    with pytest.raises(NotManagerError):
        deploy.deploy(engine, (CONTROL,), defaults("control"), docker)
    with pytest.raises(NotManagerError):
        deploy.remove(engine, CONTROL, docker)
    assert docker.asked == []


@pytest.mark.usefixtures("agent")
def test_control_is_not_removed_under_an_operator_and_what_is_not_there_is_not_removed() -> None:
    engine = Manager()
    docker = Docker(engine)
    with pytest.raises(AgentError, match="control is not deployed"):
        deploy.remove(engine, CONTROL, docker)
    deploy.deploy(engine, (CONTROL, BALANCER), defaults("control", "service-balancer"), docker)
    with pytest.raises(AgentError, match="service-balancer needs control"):
        deploy.remove(engine, CONTROL, docker)
    deploy.remove(engine, BALANCER, docker)
    assert docker.asked[-1] == ("stack", "rm", "service-balancer")


def test_the_list_shows_every_stack_with_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stack", "ls"]) == 0
    out = capsys.readouterr().out
    for line in ("  CONTROL_SUBNET=10.32.100.0/24", "  PYTHON_IMAGE=python:3.12-slim", "  REGISTRY="):
        assert f"{line}\n" in out


def test_the_zipapp_renders_its_stacks_with_its_own_bytes(tmp_path: Path) -> None:
    agent = tmp_path / "agent.pyz"
    agent.write_bytes(publish.build())
    words = [sys.executable, "-I", str(agent), "stack", "deploy", "service-balancer", "--dry-run"]
    text = subprocess.run(words, capture_output=True, text=True, check=True, cwd="/").stdout
    for name in parts(agent.read_bytes()):
        assert f'"file": "./{name}"' in text
