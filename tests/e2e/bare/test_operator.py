"""The operator on real hosts, without AWS: the agent deploys it, and it balances what joins."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.rebalancing.lease import Lease
from chalicelib.protocol.messages import AgentTask
from tests.e2e.support import reset
from tests.e2e.support.labs import living
from tests.lab import lifecycle, state
from tests.lab.images import installed_programs, registry
from tests.lab.machines import machine
from tests.lab.observe.watch import Watch
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine, formation, services
from tests.lab.swarm.agent import ARCHIVE, Agent, install
from tests.lab.swarm.uneven_services import set_availability

OPERATOR, API = "service-balancer_service-balancer", "control_docker-api"
OPEN_SOCKET = "rancher/socat-docker:latest"  # the whole engine API, as people may still choose to have it
SETTLE, COOLDOWN = 2, 3  # seconds
MOVED = "web moved (1 moves, 1 restarted"
EVEN = [1, 1, 2]  # the four tasks of web on three workers
WORKERS = "node.role==worker"
ASK = "timeout 5 wget -q -O - http://$address:2375/version || echo silence"
RESOLVE = "address=$(nslookup docker-api 127.0.0.11 | sed -n '/^Name/,$s/^Address.*: //p' | head -n 1)"


@pytest.fixture(scope="module")
def lab(bare: Lab, zipapp: Path) -> Lab:
    installed_programs.push_socat(bare)
    installed_programs.push_python(bare)
    install(bare, zipapp)
    opted = {"rebalance.on.node.create": "true"}
    services.create(bare, "web", "web:1", 4, constraints=[WORKERS], labels=opted)
    services.create(bare, "other", "client:1", 4, constraints=[WORKERS])
    services.wait_running(bare)
    return bare


@pytest.fixture
def operating(lab: Lab) -> None:
    """Have the operator run, and what it balances be even."""
    if OPERATOR not in stacks(lab):
        deploy(lab, hosts(lab, "manager")[0])
    wait_told(lab, "result: done")
    engine.wait_until(lambda: spread(lab, "web") == EVEN, "web is spread over three nodes")


def stacks(lab: Lab) -> list[str]:
    """List the services of the two stacks that are deployed."""
    found = engine.services(engine.manager(state.load(lab.name)))
    return [service.name for service in found if service.name in (OPERATOR, API)]


def remove_stacks(lab: Lab) -> None:
    for service in stacks(lab):
        done = stack(hosts(lab, "manager")[0], "rm", service.partition("_")[0])
        assert done.returncode == 0, done.stderr


def stack(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [*machine.enter(host), "python3", ARCHIVE, "stack", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


def deploy(lab: Lab, host: Host, name: str = "service-balancer", **settings: str) -> str:
    given = {"PYTHON_IMAGE": "python:3", "SETTLE": str(SETTLE), "COOLDOWN": str(COOLDOWN)}
    given = {"REGISTRY": registry.reference(lab, ""), **(settings or given)}
    words = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    done = stack(host, "deploy", name, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def hosts(lab: Lab, role: str) -> list[Host]:
    return [host for host in state.load(lab.name).hosts if host.role == role and host.pid]


def told(lab: Lab) -> str:
    """Read what the operator has told, in all its tasks that can still be asked."""
    client = engine.manager(state.load(lab.name), timeout=30)
    lines = client.services.get(OPERATOR).logs(stdout=True, stderr=True)
    return b"".join(lines).decode(errors="replace")


def wait_told(lab: Lab, what: str, times: int = 1, timeout: float = 180) -> None:
    engine.wait_until(
        lambda: told(lab).count(what) >= times, f"the operator tells {what!r}", seconds=timeout, pause=0.5
    )


def spread(lab: Lab, service: str) -> list[int]:
    """Count the tasks of each node that has any, the fewest first."""
    client = engine.manager(state.load(lab.name))
    return sorted(engine.spread(engine.tasks(client, service)).get(service, {}).values())


def ids(lab: Lab, service: str) -> set[str]:
    client = engine.manager(state.load(lab.name))
    return {task.id for task in engine.tasks(client, service) if task.running}


def inside(lab: Lab, host: Host, network: str, script: str) -> str:
    """Run a script in a container on a host, attached to a network; answers what it tells."""
    client, image = engine.connect(host, timeout=60), registry.reference(lab, "client:1")
    return str(client.containers.run(image, ["sh", "-c", script], network=network, remove=True), "utf-8")


def test_the_agent_deploys_the_operator_alone_and_again_changes_nothing(lab: Lab) -> None:
    manager, other, _ = hosts(lab, "manager")
    remove_stacks(lab)
    deploy(lab, manager)
    wait_told(lab, "result: done")
    assert stacks(lab) == [OPERATOR]
    client = engine.connect(manager)
    before = ids(lab, OPERATOR)
    assert len(before) == 1
    configs = {row["Spec"]["Name"] for row in client.api.configs() if "agent-" in row["Spec"]["Name"]}

    deploy(lab, other)
    assert ids(lab, OPERATOR) == before
    assert configs == {row["Spec"]["Name"] for row in client.api.configs() if "agent-" in row["Spec"]["Name"]}


@pytest.mark.usefixtures("operating")
def test_root_on_a_worker_finds_no_engine_api_on_any_network_of_the_operator(lab: Lab) -> None:
    """He may attach containers to every attachable network, and reaches the managers' addresses."""
    worker, managers = hosts(lab, "worker")[0], hosts(lab, "manager")
    networks = engine.connect(managers[0]).api.networks(filters={"driver": "overlay"})
    open_to_him = [row["Name"] for row in networks if row["Attachable"]]
    assert open_to_him == [services.NETWORK]
    ask = "; ".join(ASK.replace("$address", host.address) for host in managers)
    assert inside(lab, worker, services.NETWORK, ask).split() == ["silence"] * 3
    assert inside(lab, worker, services.NETWORK, f"{RESOLVE}; echo found $address").split() == ["found"]


def asked(lab: Lab, host: Host) -> str:
    """Ask docker-api on control; answers what it says, then its address, "" as long as it says nothing."""
    answer = inside(lab, host, "control", f"{RESOLVE}; {ASK}; echo $address")
    return answer if '"ApiVersion"' in answer else ""


@pytest.mark.thorough
def test_where_control_is_asked_for_docker_api_answers_there_and_nowhere_else(lab: Lab) -> None:
    manager, worker = hosts(lab, "manager")[0], hosts(lab, "worker")[0]
    said = deploy(lab, manager, "control", DOCKER_API_IMAGE=OPEN_SOCKET)
    assert "network control" in said
    control = engine.connect(manager).api.inspect_network("control")
    assert (control["Attachable"], control["IPAM"]["Config"][0]["Subnet"]) == (True, "10.32.100.0/24")
    answer = engine.wait_until(lambda: asked(lab, worker), "docker-api answers")
    address = answer.split()[-1]
    assert address.startswith("10.32.100.")
    assert inside(lab, worker, services.NETWORK, f"{RESOLVE}; echo found $address").split() == ["found"]
    assert inside(lab, worker, services.NETWORK, f"address={address}; {ASK}").strip() == "silence"
    for host in hosts(lab, "manager"):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host.address, installed_programs.PORT), timeout=3)


@pytest.mark.usefixtures("operating")
def test_a_node_that_joins_gets_its_share_of_what_opted_in_and_nothing_else_moves(lab: Lab) -> None:
    lost = hosts(lab, "worker")[-1]
    node = formation.node_of(lab, lost)
    lifecycle.kill(lab.name, lost.name)
    reset.remove_node(state.load(lab.name), node)
    engine.wait_until(lambda: spread(lab, "web") == [2, 2], "web is spread over two nodes")
    engine.wait_until(lambda: len(ids(lab, "other")) == 4, "all of other runs")
    others, moved = ids(lab, "other"), told(lab).count(MOVED)
    watch = Watch(lab)
    host = lifecycle.add(lab.name)
    formation.join(state.load(lab.name), host)
    engine.wait_until(lambda: spread(lab, "web") == EVEN, "web is spread over three nodes")
    wait_told(lab, MOVED, moved + 1)
    watch.stop()
    verdict = next(verdict for verdict in watch.verdicts() if verdict.service == "web")
    assert (verdict.fewest, verdict.started, verdict.wanted) == (4, 1, 4)
    assert ids(lab, "other") == others


@pytest.mark.thorough
@pytest.mark.usefixtures("operating")
def test_while_another_agent_holds_the_lease_the_operator_waits(lab: Lab) -> None:
    manager, worker = hosts(lab, "manager")[0], hosts(lab, "worker")[0]
    set_availability(lab, worker, "drain")
    engine.wait_until(lambda: spread(lab, "web") == [2, 2], "the drained node is empty")
    held = "another rebalance is under way, by the agent on a manager"
    before = told(lab).count(held)
    lease = Lease(Engine(f"unix://{manager.socket}"), Clock(), "the agent on a manager")
    engine.wait_until(lease.take, "the lease is free")
    set_availability(lab, worker, "active")
    wait_told(lab, held, before + 1)
    assert spread(lab, "web") == [2, 2]
    lease.release(ended=False)
    engine.wait_until(lambda: spread(lab, "web") == EVEN, "web is spread over three nodes")


@pytest.mark.usefixtures("operating")
def test_the_handlers_agent_and_the_operator_together_make_no_move_too_many(lab: Lab) -> None:
    manager, worker = hosts(lab, "manager")[0], hosts(lab, "worker")[0]
    set_availability(lab, worker, "drain")
    engine.wait_until(lambda: spread(lab, "web") == [2, 2], "the drained node is empty")
    watch = Watch(lab)
    set_availability(lab, worker, "active")
    said = Agent(manager, AgentTask.REBALANCE).wait()
    assert said.result.ok, said.told
    engine.wait_until(lambda: spread(lab, "web") == EVEN, "web is spread over three nodes")
    watch.stop()
    verdict = next(verdict for verdict in watch.verdicts() if verdict.service == "web")
    assert (verdict.fewest, verdict.started, verdict.wanted) == (4, 1, 4)


@pytest.mark.thorough
@pytest.mark.usefixtures("operating")
def test_when_its_manager_dies_the_operator_goes_on_elsewhere(lab: Lab, zipapp: Path) -> None:
    client = engine.manager(state.load(lab.name))
    task = next(task for task in engine.tasks(client, OPERATOR) if task.running)
    worker = hosts(lab, "worker")[0]
    set_availability(lab, worker, "drain")
    engine.wait_until(lambda: spread(lab, "web") == [2, 2], "the drained node is empty")
    dead = next(host for host in hosts(lab, "manager") if formation.node_of(lab, host).id == task.node)
    lifecycle.kill(lab.name, dead.name)
    engine.wait_until(lambda: ids(lab, OPERATOR) - {task.id}, "the operator runs elsewhere", seconds=180)
    wait_told(lab, "just started")
    set_availability(lab, worker, "active")
    engine.wait_until(lambda: spread(lab, "web") == EVEN, "web is spread over three nodes")
    reset.replace_lost(state.load(lab.name))
    install(living(state.load(lab.name)), zipapp)


@pytest.mark.usefixtures("operating")
def test_the_stacks_go_and_leave_nothing(lab: Lab) -> None:
    remove_stacks(lab)
    client = engine.connect(hosts(lab, "manager")[0])
    assert [service.name for service in engine.services(client)] == ["other", "web"]
    assert not [row for row in client.api.configs() if row["Spec"]["Name"].startswith("agent-")]
