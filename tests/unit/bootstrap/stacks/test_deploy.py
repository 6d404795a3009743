"""What a deployment asks of the engine and of the docker CLI, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.__main__ import main
from bootstrap.engine.client import NotManagerError
from bootstrap.engine.network import Network
from bootstrap.errors import AgentError
from bootstrap.stacks import deploy
from bootstrap.stacks.catalog import Stack, choose_settings, named
from tests.unit.bootstrap.stacks.support.fake_docker import Docker, Manager

CONTROL, BALANCER = named("control"), named("service-balancer")
OURS = Network("control", ("10.32.100.0/24",), "control")


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> bytes:
    content = bytes(range(256)) * 4000
    monkeypatch.setattr(deploy, "_own_bytes", lambda: content)
    return content


def defaults(stack: Stack) -> dict[str, str]:
    return choose_settings(stack, {}, {})


def test_a_host_without_docker_cli_gets_a_clear_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["stack", "deploy", "control"]) == 69
    assert "no docker command line" in capsys.readouterr().err


def test_what_docker_says_when_it_fails_is_reported(
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


def test_a_login_of_the_registry_goes_along_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho $*\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    said = deploy.docker_at("unix:///x", "--with-registry-auth")(("stack", "deploy", "control"), "", tmp_path)
    assert said == "--host unix:///x stack deploy --with-registry-auth control\n"


def test_service_balancer_comes_alone_with_the_agent_as_configs(agent: bytes) -> None:
    engine = Manager()
    docker = Docker(engine)
    deploy.deploy(engine, BALANCER, defaults(BALANCER), docker)
    assert [words[-1] for words in docker.asked] == ["service-balancer"]
    files = docker.files["service-balancer"]
    assert b"".join(files[name] for name in sorted(files)) == agent


def test_control_comes_without_the_agent() -> None:
    engine = Manager()
    docker = Docker(engine)
    deploy.deploy(engine, CONTROL, defaults(CONTROL), docker)
    assert docker.files == {"control": {}}


@pytest.mark.usefixtures("agent")
def test_old_agents_go_with_the_next_deployment_unless_they_are_used() -> None:
    engine = Manager()
    engine.stored = {"agent-old-1", "agent-last-1", "agent-last-2"}
    engine.in_use = {"agent-last-1", "agent-last-2"}
    deploy.deploy(engine, BALANCER, defaults(BALANCER), Docker(engine))
    assert engine.stored == engine.in_use


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
        deploy.deploy(engine, CONTROL, defaults(CONTROL), docker)
    assert docker.asked == []


def test_on_a_worker_nothing_is_deployed_or_removed() -> None:
    engine = Manager()
    engine.is_manager = False
    docker = Docker(engine)
    with pytest.raises(NotManagerError):
        deploy.deploy(engine, CONTROL, defaults(CONTROL), docker)
    with pytest.raises(NotManagerError):
        deploy.remove(engine, CONTROL, docker)
    assert docker.asked == []


def test_a_stack_that_is_there_is_removed_and_one_that_is_not_is_refused() -> None:
    engine = Manager()
    docker = Docker(engine)
    with pytest.raises(AgentError, match="control is not deployed"):
        deploy.remove(engine, CONTROL, docker)
    deploy.deploy(engine, CONTROL, defaults(CONTROL), docker)
    deploy.remove(engine, CONTROL, docker)
    assert docker.asked[-1] == ("stack", "rm", "control")
