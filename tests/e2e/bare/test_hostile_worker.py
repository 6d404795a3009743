"""Root on a worker says that it is a manager, and another instance: it stays what EC2 says that it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Target
from tests.lab import lifecycle
from tests.lab.machines import machine, programs
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine, formation
from tests.lab.swarm.agent import Agent, install


@pytest.fixture(scope="module")
def lab(bare: Lab, zipapp: Path) -> Lab:
    install(bare, zipapp)
    return bare


@pytest.fixture
def hostile(lab: Lab) -> Iterator[Host]:
    """Have root on a worker rewrite its engine's labels: a manager, another instance, another zone."""
    host, victim = lab.hosts[-1], lab.hosts[-2]
    settings = Path(f"/proc/{host.pid}/root/etc/docker/daemon.json")
    before = settings.read_text()
    claims = {"role": "manager", "instance": victim.instance, "zone": "us-east-1f", "secret": "mine"}
    labels = [f"swarmkeeper.{name}={value}" for name, value in claims.items()]
    try:
        settings.write_text(json.dumps({**json.loads(before), "labels": labels}))
        restart(lab, host)
        engine.wait_until(
            lambda: engine_labels(lab, host).get("swarmkeeper.role") == "manager",
            "the managers hear its claims",
        )
        yield host
    finally:
        settings.write_text(before)
        restart(lab, host)
        for one in (host, victim):
            engine.change_node(lab, node_at(lab, one).id, lambda _: {"Labels": {}, "Availability": "active"})


def restart(lab: Lab, host: Host) -> None:
    machine.restart_engine(host)
    formation.wait_ready(lab, len(lab.hosts))


def node_at(lab: Lab, host: Host) -> engine.Node:
    nodes = engine.nodes(engine.manager(lab))
    return next(node for node in nodes if node.address == host.address)


def engine_labels(lab: Lab, host: Host) -> dict[str, str]:
    rows: list[dict[str, Any]] = engine.manager(lab).api.nodes()
    row = next(row for row in rows if row["Status"]["Addr"] == host.address)
    return row["Description"]["Engine"].get("Labels") or {}


def activate(lab: Lab, host: Host, node: str) -> NodeReport:
    """Activate as the handlers order it, with what they know from EC2; on the first manager."""
    shown = (host.role, host.zone, host.instance_type, host.lifecycle)
    target = Target(host.instance, host.address, node, 0, *shown)
    labels = {"swarmkeeper.cluster": lab.cluster}
    said = Agent(lab.hosts[0], AgentTask.ACTIVATE, notice=30, targets=(target,), labels=labels).wait()
    return said.result.nodes[0]


def test_what_root_writes_into_daemon_json_makes_it_nothing_and_is_told(lab: Lab, hostile: Host) -> None:
    node = node_at(lab, hostile)
    engine.change_node(lab, node.id, lambda _: {"Availability": "drain"})
    report = activate(lab, hostile, node.id)
    assert (report.fate, report.differs) == (Fate.ACTIVE, True)
    for claim in ("swarmkeeper.role='manager'", "swarmkeeper.zone='us-east-1f'", lab.hosts[-2].instance):
        assert claim in report.detail
    after = node_at(lab, hostile)
    assert (after.role, after.availability) == ("worker", "active")
    assert after.labels == {
        "swarmkeeper.cluster": lab.cluster,
        "swarmkeeper.role": "worker",
        "swarmkeeper.instance": hostile.instance,
        "swarmkeeper.zone": hostile.zone,
        "swarmkeeper.type": hostile.instance_type,
        "swarmkeeper.lifecycle": hostile.lifecycle,
    }
    managers = [one.address for one in engine.nodes(engine.manager(lab)) if one.role == "manager"]
    assert sorted(managers) == sorted(host.address for host in lab.hosts if host.role == "manager")


def test_the_node_of_another_one_that_it_names_is_left_alone(lab: Lab, hostile: Host) -> None:
    """Its join may report any node id; evacuating what it claims to be moves nothing of the victim's."""
    victim = node_at(lab, lab.hosts[-2])
    report = activate(lab, hostile, victim.id)
    assert (report.fate, report.differs) == (Fate.UNFINISHED, True)
    assert report.detail == (
        f"refused: node {victim.id} is at {victim.address}, {hostile.instance} at {hostile.address}"
    )
    target = Target(hostile.instance, hostile.address, victim.id)
    said = Agent(lab.hosts[0], AgentTask.EVACUATE, notice=20, targets=(target,)).wait()
    assert [row.fate for row in said.result.nodes] == [Fate.ABSENT]
    assert node_at(lab, lab.hosts[-2]) == victim


@pytest.fixture
def moved(lab: Lab) -> Iterator[tuple[Host, Host, engine.Node, engine.Node]]:
    """Have root on a worker join anew from the address of one that has just lost its power.

    Answers both hosts, then the node of the one that is gone, and the new one.
    """
    hostile, victim = lab.hosts[-1], lab.hosts[-2]
    old = node_at(lab, victim)
    engine.change_node(lab, old.id, lambda _: {"Labels": {"swarmkeeper.instance": victim.instance}})
    lifecycle.kill(lab.name, victim.name)
    client = engine.connect(hostile, timeout=60)
    client.swarm.leave(force=True)
    for change in (("del", hostile.address), ("add", victim.address)):
        programs.run([*machine.enter(hostile), "ip", "address", change[0], f"{change[1]}/20", "dev", "eth0"])
    programs.run([*machine.enter(hostile), "ip", "route", "replace", "default", "via", lab.gateway])
    managers = [f"{host.address}:2377" for host in lab.hosts if host.role == "manager"]
    token = engine.manager(lab).api.inspect_swarm()["JoinTokens"]["Worker"]
    client.swarm.join(managers, token, advertise_addr=victim.address)

    def listed() -> list[engine.Node]:
        found = [node for node in engine.nodes(engine.manager(lab)) if node.address == victim.address]
        return found if sorted(node.state for node in found) == ["down", "ready"] else []

    (new,) = [node for node in engine.wait_until(listed, "both are listed at it") if node.id != old.id]
    try:
        yield hostile, victim, old, new
    finally:
        lifecycle.kill(lab.name, hostile.name)


def test_who_has_the_address_of_one_that_is_gone_is_not_taken_for_it(
    lab: Lab, moved: tuple[Host, Host, engine.Node, engine.Node]
) -> None:
    hostile, victim, old, new = moved
    report = activate(lab, hostile, new.id)
    assert (report.fate, report.differs) == (Fate.UNFINISHED, True)
    assert (
        report.detail
        == f"refused: node {new.id} is at {victim.address}, {hostile.instance} at {hostile.address}"
    )
    target = Target(victim.instance, victim.address, old.id)
    for task, fate in ((AgentTask.EVACUATE, Fate.DOWN), (AgentTask.LEAVE, Fate.REMOVED)):
        said = Agent(lab.hosts[0], task, notice=20, targets=(target,)).wait()
        assert [row.fate for row in said.result.nodes] == [fate]
    nodes = {node.id: node for node in engine.nodes(engine.manager(lab))}
    assert old.id not in nodes
    left = nodes[new.id]
    assert (left.role, left.availability, left.labels) == ("worker", "active", {})
