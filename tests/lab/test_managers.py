"""Managers lost for real, and replaced; with two of three lost nothing happens until a person recovers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.protocol import Task
from tests.lab import engine, life, lifecycle, services, state
from tests.lab.agent import Agent, install
from tests.lab.state import Host, Lab, LabError

NAME = "managers"
LABELS = {"swarmkeeper.cluster": NAME, "swarmkeeper.role": "manager"}


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agent") / "agent.pyz"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lifecycle.down(NAME)
    lab = lifecycle.up(NAME, managers=3, workers=1)
    try:
        services.create_network(lab)
        services.create(lab, "web", "web:1", 2, constraints=["node.role==worker"])
        life.ticked(lab, lab.hosts, "in-service", 240)
        yield lab
    finally:
        lifecycle.down(NAME)


def living(lab: Lab, role: str = "manager") -> list[Host]:
    return [host for host in state.load(lab.name).hosts if host.role == role and host.pid]


def leader(lab: Lab) -> Host:
    node = next(node for node in life.managers(lab) if node.leader)
    return next(host for host in living(lab) if host.address == node.address)


def three_again(lab: Lab) -> bool:
    found = life.managers(lab)
    good = [node for node in found if (node.reachability, node.availability) == ("reachable", "active")]
    return len(found) == len(good) == 3


@pytest.mark.parametrize("time", ["first", "again"])
def test_a_lost_leader_is_removed_and_its_replacement_makes_three_again(lab: Lab, time: str) -> None:
    dead = leader(lab)
    lifecycle.kill(NAME, dead.name)
    new = lifecycle.add(NAME, "manager")
    life.ticked(lab, (new,), "in-service", 240)
    life.ticked(lab, (dead,), "gone", 240)
    assert three_again(lab), (time, life.managers(lab))
    assert dead.address not in {node.address for node in engine.nodes(engine.manager(state.load(NAME)))}


def test_with_two_of_three_lost_nothing_happens_until_a_person_recovers(lab: Lab) -> None:
    before = {node.id: node.role for node in engine.nodes(engine.manager(state.load(NAME)))}
    survivor, *others = living(lab)
    for host in others:
        lifecycle.kill(NAME, host.name)
    new = lifecycle.add(NAME, "manager")
    with pytest.raises(LabError):
        life.ticked(lab, (new,), "in-service", 60)
    found = life.records(lab)
    assert {found[host.instance]["state"] for host in others} == {"leaving"}

    assert "error" in life.call(lab, "recover", instance=survivor.instance, confirm="yes")
    said = life.call(lab, "recover", instance=survivor.instance, confirm=NAME)
    assert "error" not in said, said
    nodes = {node.id: node for node in engine.nodes(engine.connect(survivor))}
    assert set(before) <= set(nodes), "no node was lost; the new one may have joined already"
    assert [service.name for service in engine.services(engine.connect(survivor))] == ["web"]

    newer = lifecycle.add(NAME, "manager")
    life.ticked(lab, (new, newer), "in-service", 300)
    life.ticked(lab, tuple(others), "gone", 300)
    assert three_again(lab), life.managers(lab)


def test_recover_refuses_while_there_is_a_quorum(lab: Lab, zipapp: Path) -> None:
    host = leader(lab)
    install(lab, zipapp, host)
    said = Agent(host, Task.RECOVER, host, labels=LABELS).wait()
    assert "have a quorum, so nothing was changed" in said.result.error
    assert three_again(lab)


def test_new_tokens_let_new_hosts_join_and_old_ones_are_worthless(lab: Lab) -> None:
    host = leader(lab)
    old = engine.connect(host).api.inspect_swarm()["JoinTokens"]["Worker"]
    said = life.call(lab, "rotate_tokens")
    assert "error" not in said, said
    assert engine.connect(host).api.inspect_swarm()["JoinTokens"]["Worker"] != old
    life.ticked(lab, (lifecycle.add(NAME),), "in-service", 180)
