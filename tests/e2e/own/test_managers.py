"""Managers lost for real, and replaced; with two of three lost nothing happens until a person recovers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.support.labs import named, running
from tests.e2e.support.managers import leader, living, three_again, wait_three
from tests.lab import lifecycle, state
from tests.lab.aws import lab_api, mailbox
from tests.lab.faults import control
from tests.lab.faults.armed_faults import Kind
from tests.lab.observe import handlers, node_life
from tests.lab.observe.watch import Watch
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine, services


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Three managers of its own, as it loses their quorum, and a worker."""
    for lab in running(named("managers"), managers=3, workers=1):
        mailbox.subscribe(lab)
        services.create_network(lab)
        services.create(lab, "web", "web:1", 2, constraints=["node.role==worker"])
        node_life.tick_until(lab, lab.hosts, "in-service", 240)
        yield lab


@pytest.fixture(autouse=True)
def three_managers(lab: Lab) -> None:
    """Each test begins with three managers, whatever the one before has cost."""
    fresh = [lifecycle.add(lab.name, "manager") for _ in range(3 - len(node_life.managers(lab)))]
    if fresh:
        node_life.tick_until(lab, tuple(fresh), "in-service", 240)
    wait_three(lab)


@pytest.mark.parametrize("_time", ["first", "again"])
def test_a_lost_leader_is_removed_and_its_replacement_makes_three_again(lab: Lab, _time: str) -> None:
    dead = leader(lab)
    lifecycle.kill(lab.name, dead.name)
    new = lifecycle.add(lab.name, "manager")
    node_life.tick_until(lab, (new,), "in-service", 240)
    node_life.tick_until(lab, (dead,), "gone", 240)
    wait_three(lab)
    assert dead.address not in {node.address for node in engine.nodes(engine.manager(state.load(lab.name)))}


def test_with_two_of_three_lost_nothing_happens_until_a_person_recovers(lab: Lab) -> None:
    before = {node.id: node.role for node in engine.nodes(engine.manager(state.load(lab.name)))}
    survivor, *others = living(lab)
    for host in others:
        lifecycle.kill(lab.name, host.name)
    new = lifecycle.add(lab.name, "manager")
    alarm = engine.wait_until(lambda: ticked_until(lab, alarms), "people are told", pause=3)
    with pytest.raises(LabError):  # a join needs no 15 s where there is a quorum
        node_life.tick_until(lab, (new,), "in-service", seconds=15)
    found = node_life.records(lab)
    assert {found[host.instance]["state"] for host in others} == {"leaving"}
    assert "recover" in alarm[0]

    assert "error" in node_life.call(lab, "recover", instance=survivor.instance, confirm="yes")
    said = node_life.call(lab, "recover", instance=survivor.instance, confirm=lab.name)
    assert "error" not in said, said
    nodes = engine.wait_until(lambda: engine.nodes(engine.connect(survivor)), "there is a quorum again")
    assert set(before) <= {node.id for node in nodes}, "no node was lost; the new one may have joined already"
    assert [service.name for service in engine.services(engine.connect(survivor))] == ["web"]

    newer = lifecycle.add(lab.name, "manager")
    node_life.tick_until(lab, (new, newer), "in-service", 300)
    node_life.tick_until(lab, tuple(others), "gone", 300)
    wait_three(lab)


def ticked_until(lab: Lab, found: Callable[[Lab], list[str]]) -> list[str]:
    node_life.tick(lab)
    return found(lab)


def alarms(lab: Lab) -> list[str]:
    return [
        letter.text for letter in mailbox.letters(lab) if f"no manager of {lab.cluster} could" in letter.text
    ]


@pytest.mark.thorough
def test_a_manager_that_dies_while_its_agent_evacuates_is_followed_by_the_next(lab: Lab) -> None:
    doomed, new = living(lab, "worker")[0], lifecycle.add(lab.name)
    node_life.tick_until(lab, (new,), "in-service", 240)
    services.wait_running(lab)
    last = max(living(lab), key=lambda host: good(lab, host))
    if last == leader(lab):  # an election makes Swarm stop tasks first, so another one is to be asked
        control.arm(lab, Kind.REFUSE, "ssm:SendCommand", error="invalid-instance", left=1)
    watch, warned = Watch(lab), time.time()
    lab_api.warn(lab, doomed)
    sent = engine.wait_until(lambda: sent_record(lab, doomed), "it is sent")
    time.sleep(1.5)
    dead = next(host for host in living(lab) if host.instance == sent["manager"])
    assert dead != leader(lab)
    lifecycle.kill(lab.name, dead.name)
    node_life.wait_for_state(lab, [doomed], "evacuated")
    watch.stop()
    record = node_life.records(lab)[doomed.instance]
    assert (record["manager"] != dead.instance, record["fate"]) == (True, "safe")
    engine.wait_until(
        lambda: handlers.functions_saying(lab, f"{sent['command']} still runs", warned), "who sent it notices"
    )
    assert [verdict.dip for verdict in watch.verdicts()] == [0]
    other = lifecycle.add(lab.name, "manager")
    lifecycle.kill(lab.name, doomed.name)
    node_life.tick_until(lab, (other,), "in-service", 240)
    node_life.tick_until(lab, (dead, doomed), "gone", 240)
    assert three_again(lab), node_life.managers(lab)


def sent_record(lab: Lab, host: Host) -> node_life.Record:
    """Read the record of a host once a manager is asked to work on it; empty before."""
    record = node_life.records(lab)[host.instance]
    return record if record.get("manager") else {}


def good(lab: Lab, host: Host) -> float:
    """When a manager last did well, as its breaker has it."""
    found = node_life.breakers(lab).get(host.instance)
    return float(found["good"]) if found else 0.0


def test_a_warned_manager_is_emptied_demoted_and_removed_and_the_quorum_holds(lab: Lab) -> None:
    doomed = living(lab)[0]
    lab_api.warn(lab, doomed)
    record = node_life.wait_for_state(lab, [doomed], "evacuated", lab_api.SPOT_NOTICE_S)[doomed.instance]
    roles = {node.instance: node.role for node in engine.nodes(engine.manager(state.load(lab.name)))}
    assert record["manager"] != doomed.instance
    assert roles[doomed.instance] == "worker"
    lifecycle.kill(lab.name, doomed.name)
    node_life.wait_for_state(lab, [doomed], "gone", 240)
    listed = {node.instance for node in engine.nodes(engine.manager(state.load(lab.name)))}
    left = [node for node in engine.nodes(engine.manager(state.load(lab.name))) if node.role == "manager"]
    assert doomed.instance not in listed
    assert [node.reachability for node in left] == ["reachable", "reachable"]
