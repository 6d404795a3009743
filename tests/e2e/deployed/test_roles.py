"""Roles changed by people and agents, within what the quorum allows; and tokens made anew."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from docker.errors import APIError

from chalicelib.protocol.messages import AgentTask, Fate
from tests.e2e.support import reset
from tests.e2e.support.managers import leader, living, reachable, wait_managers, wait_three
from tests.lab import lifecycle
from tests.lab.aws import lab_api
from tests.lab.machines import machine
from tests.lab.observe import node_life, token_leaks
from tests.lab.state import Lab
from tests.lab.swarm import engine
from tests.lab.swarm.agent import Agent, install


@pytest.fixture(scope="module")
def lab(deployed: Lab) -> Lab:
    return deployed


def labels(lab: Lab) -> dict[str, str]:
    return {"swarmkeeper.cluster": lab.cluster, "swarmkeeper.role": "manager"}


def test_recover_refuses_while_there_is_a_quorum(lab: Lab, zipapp: Path) -> None:
    host = leader(lab)
    install(lab, zipapp, host)
    said = Agent(host, AgentTask.RECOVER, host, labels=labels(lab)).wait()
    assert "have a quorum, so nothing was changed" in said.result.error
    wait_three(lab)


def test_a_role_is_changed_one_node_after_the_other_also_by_a_run_that_was_killed(
    lab: Lab, zipapp: Path
) -> None:
    new = reset.stock(lab, 2)[:2]
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


def test_new_tokens_let_new_hosts_join_and_old_ones_are_worthless(lab: Lab) -> None:
    old = token_leaks.tokens(lab)
    said = node_life.call(lab, "rotate_tokens")
    assert "error" not in said, said
    engine.wait_until(lambda: len(old | token_leaks.tokens(lab)) == 4, "both tokens are new", seconds=180)
    lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 600})  # the product cannot reach it meanwhile
    host = node_life.without_state_changes(lab, lambda: lifecycle.add(lab.name))
    for token in old:
        with pytest.raises(APIError, match="A valid join token is necessary to join this cluster"):
            engine.connect(host, timeout=60).swarm.join([leader(lab).address], token)
        assert engine.connect(host).info()["Swarm"]["LocalNodeState"] == "inactive"
    lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 1})
    new = lifecycle.add(lab.name, "manager")
    node_life.tick_until(lab, (host, new), "in-service", 240)
    assert {node.role for node in (node_life.node_of(lab, host), node_life.node_of(lab, new)) if node} == {
        "worker",
        "manager",
    }
