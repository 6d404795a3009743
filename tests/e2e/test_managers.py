"""Managers lost for real, and replaced; with two of three lost nothing happens until a person recovers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import APIError

from chalicelib.protocol.messages import AgentTask, Fate
from tests.lab import lifecycle, state
from tests.lab.aws import lab_api, mailbox
from tests.lab.faults import control
from tests.lab.faults.armed_faults import Kind
from tests.lab.machines import machine
from tests.lab.observe import handlers, node_life, token_leaks
from tests.lab.observe.watch import Watch
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine, services
from tests.lab.swarm.agent import Agent, install

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
        mailbox.subscribe(lab)
        services.create_network(lab)
        services.create(lab, "web", "web:1", 2, constraints=["node.role==worker"])
        node_life.tick_until(lab, lab.hosts, "in-service", 240)
        yield lab
    finally:
        lifecycle.down(NAME)


def living(lab: Lab, role: str = "manager") -> list[Host]:
    return [host for host in state.load(lab.name).hosts if host.role == role and host.pid]


def leader(lab: Lab) -> Host:
    """The host of the leader, once there is one."""
    found = engine.wait_until(lambda: [node for node in node_life.managers(lab) if node.leader], "a leader")
    return next(host for host in living(lab) if host.address == found[0].address)


def three_again(lab: Lab) -> bool:
    found = node_life.managers(lab)
    good = [node for node in found if (node.reachability, node.availability) == ("reachable", "active")]
    return len(found) == len(good) == 3


def wait_managers(lab: Lab, count: int) -> None:
    engine.wait_until(lambda: len(node_life.managers(lab)) == count, f"{count} managers")


def wait_three(lab: Lab) -> None:
    engine.wait_until(lambda: three_again(lab), "three managers that can be reached")


@pytest.mark.parametrize("_time", ["first", "again"])
def test_a_lost_leader_is_removed_and_its_replacement_makes_three_again(lab: Lab, _time: str) -> None:
    dead = leader(lab)
    lifecycle.kill(NAME, dead.name)
    new = lifecycle.add(NAME, "manager")
    node_life.tick_until(lab, (new,), "in-service", 240)
    node_life.tick_until(lab, (dead,), "gone", 240)
    wait_three(lab)
    assert dead.address not in {node.address for node in engine.nodes(engine.manager(state.load(NAME)))}


def test_with_two_of_three_lost_nothing_happens_until_a_person_recovers(lab: Lab) -> None:
    before = {node.id: node.role for node in engine.nodes(engine.manager(state.load(NAME)))}
    survivor, *others = living(lab)
    for host in others:
        lifecycle.kill(NAME, host.name)
    new = lifecycle.add(NAME, "manager")
    with pytest.raises(LabError):
        node_life.tick_until(lab, (new,), "in-service", seconds=60)
    found = node_life.records(lab)
    assert {found[host.instance]["state"] for host in others} == {"leaving"}
    alarm = engine.wait_until(lambda: alarms(lab), "people are told")
    assert "recover" in alarm[0]

    assert "error" in node_life.call(lab, "recover", instance=survivor.instance, confirm="yes")
    said = node_life.call(lab, "recover", instance=survivor.instance, confirm=NAME)
    assert "error" not in said, said
    nodes = engine.wait_until(lambda: engine.nodes(engine.connect(survivor)), "there is a quorum again")
    assert set(before) <= {node.id for node in nodes}, "no node was lost; the new one may have joined already"
    assert [service.name for service in engine.services(engine.connect(survivor))] == ["web"]

    newer = lifecycle.add(NAME, "manager")
    node_life.tick_until(lab, (new, newer), "in-service", 300)
    node_life.tick_until(lab, tuple(others), "gone", 300)
    wait_three(lab)


def alarms(lab: Lab) -> list[str]:
    return [letter.text for letter in mailbox.letters(lab) if "no manager of managers could" in letter.text]


@pytest.mark.thorough
def test_a_manager_that_loses_its_power_while_its_agent_evacuates_is_followed_by_the_next(lab: Lab) -> None:
    doomed, new = living(lab, "worker")[0], lifecycle.add(NAME)
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
    lifecycle.kill(NAME, dead.name)
    node_life.wait_for_state(lab, [doomed], "evacuated")
    watch.stop()
    record = node_life.records(lab)[doomed.instance]
    assert (record["manager"] != dead.instance, record["fate"]) == (True, "safe")
    engine.wait_until(
        lambda: handlers.functions_saying(lab, f"{sent['command']} still runs", warned), "who sent it notices"
    )
    assert [verdict.dip for verdict in watch.verdicts()] == [0]
    other = lifecycle.add(NAME, "manager")
    lifecycle.kill(NAME, doomed.name)
    node_life.tick_until(lab, (other,), "in-service", 240)
    node_life.tick_until(lab, (dead, doomed), "gone", 240)
    assert three_again(lab), node_life.managers(lab)


def sent_record(lab: Lab, host: Host) -> node_life.Record:
    """The record of a host once a manager is asked to work on it; empty before."""
    record = node_life.records(lab)[host.instance]
    return record if record.get("manager") else {}


def good(lab: Lab, host: Host) -> float:
    """When a manager last did well, as its breaker has it."""
    found = node_life.breakers(lab).get(host.instance)
    return float(found["good"]) if found else 0.0


def test_recover_refuses_while_there_is_a_quorum(lab: Lab, zipapp: Path) -> None:
    host = leader(lab)
    install(lab, zipapp, host)
    said = Agent(host, AgentTask.RECOVER, host, labels=LABELS).wait()
    assert "have a quorum, so nothing was changed" in said.result.error
    wait_three(lab)


def test_a_role_is_changed_one_node_after_the_other_also_by_a_run_that_was_killed(
    lab: Lab, zipapp: Path
) -> None:
    new = [lifecycle.add(NAME) for _ in range(2)]
    node_life.tick_until(lab, tuple(new), "in-service", 240)
    old = leader(lab)
    install(lab, zipapp, *living(lab))
    for task, by, seconds, managers in ((AgentTask.PROMOTE, old, 0.6, 5), (AgentTask.DEMOTE, old, 0.6, 3)):
        first = Agent(by, task, *new)
        time.sleep(seconds)
        first.kill()
        said = Agent(by, task, *new).wait()
        assert said.result.ok, said
        wait_managers(lab, managers)
    other = next(host for host in living(lab) if host.address != old.address)
    assert Agent(other, AgentTask.DEMOTE, old).wait().result.ok, "the leader too"
    wait_managers(lab, 2)
    assert leader(lab).address != old.address
    assert Agent(leader(lab), AgentTask.PROMOTE, old).wait().result.ok
    wait_three(lab)


def test_the_quorum_forbids_a_role_and_says_why(lab: Lab, zipapp: Path) -> None:
    first, (silent, other) = (
        leader(lab),
        [host for host in living(lab) if host.address != leader(lab).address],
    )
    worker = living(lab, "worker")[0]
    install(lab, zipapp, first)
    machine.signal_engine(silent, "STOP")
    try:
        engine.wait_until(lambda: reachable(lab) == 2, "a manager does not answer")
        kept = Agent(first, AgentTask.DEMOTE, other, notice=5).wait().result.nodes[0]
        assert kept.detail == f"demoting {other.name} would leave 1 of 2 managers: no quorum"
        assert (
            "demote them first"
            in Agent(first, AgentTask.PROMOTE, worker, notice=5).wait().result.nodes[0].detail
        )
        assert Agent(first, AgentTask.DEMOTE, first, notice=5).wait().result.nodes[0].fate is Fate.KEPT
    finally:
        machine.signal_engine(silent, "CONT")
    wait_three(lab)


def reachable(lab: Lab) -> int:
    return sum(node.reachability == "reachable" for node in node_life.managers(lab))


def test_new_tokens_let_new_hosts_join_and_old_ones_are_worthless(lab: Lab) -> None:
    old = token_leaks.tokens(lab)
    said = node_life.call(lab, "rotate_tokens")
    assert "error" not in said, said
    engine.wait_until(lambda: len(old | token_leaks.tokens(lab)) == 4, "both tokens are new", seconds=180)
    lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 600})  # the product cannot reach it meanwhile
    host = node_life.without_state_changes(lab, lambda: lifecycle.add(NAME))
    for token in old:
        with pytest.raises(APIError, match="A valid join token is necessary to join this cluster"):
            engine.connect(host, timeout=60).swarm.join([leader(lab).address], token)
        assert engine.connect(host).info()["Swarm"]["LocalNodeState"] == "inactive"
    lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 1})
    new = lifecycle.add(NAME, "manager")
    node_life.tick_until(lab, (host, new), "in-service", 240)
    assert {node.role for node in (node_life.node_of(lab, host), node_life.node_of(lab, new)) if node} == {
        "worker",
        "manager",
    }
