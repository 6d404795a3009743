"""A worker is tagged as manager; its swarm lists it as a worker: it gets no command, and its word is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.events import CommandFinished
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.rules import decide
from chalicelib.state.instance import Role
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.stories.support.inspections import a_lab, shows, ticks
from tests.unit.chalicelib.support.fakes import (
    MANAGERS,
    WORKER,
    WORKER_2,
    Lab,
    a_cluster,
    instance,
)
from tests.unit.chalicelib.support.stories import end, job, state, warn


def retag(lab: Lab) -> None:
    lab.ec2.instances[WORKER] = replace(lab.ec2.instances[WORKER], role=Role.MANAGER)


def test_a_worker_that_is_tagged_as_manager_gets_no_command_and_no_joiner() -> None:
    lab = a_lab()
    ticks(lab, 6)
    retag(lab)
    ticks(lab, 6)
    assert WORKER in lab.managers.list_ids("blue")
    for name in MANAGERS:  # the best choice by all else
        lab.managers.record_breaker(
            "blue", name, replace(lab.managers.get_breaker("blue", name), failures=1), 0
        )
    new = instance(50)
    lab.ec2.instances[new] = replace(lab.ec2.instances[WORKER_2], instance=new, address="10.0.5.5")
    shows(lab)
    warn(lab, WORKER_2, lab.clock.time)
    ticks(lab, 30)
    assert WORKER not in {sent.manager for sent in lab.hosts.sent}
    joins = [sent.arguments for sent in lab.hosts.sent if sent.task is AgentTask.JOIN]
    assert joins
    assert not any(lab.node().address in arguments.managers for arguments in joins)
    assert state(lab, new) is NodeState.IN_SERVICE


@pytest.mark.parametrize(
    "task", [AgentTask.EVACUATE, AgentTask.ACTIVATE, AgentTask.LEAVE, AgentTask.GIVE_BACK]
)
def test_what_a_listed_worker_answers_in_a_managers_place_is_a_failure(task: AgentTask) -> None:
    during = {
        AgentTask.EVACUATE: NodeState.EVACUATING,
        AgentTask.ACTIVATE: NodeState.ACTIVATING,
        AgentTask.LEAVE: NodeState.LEAVING,
        AgentTask.GIVE_BACK: NodeState.RETURNING,
    }[task]
    lab = a_lab()
    ticks(lab, 6)
    retag(lab)
    ticks(lab, 1)
    work = replace(lab.node(WORKER_2), state=during, command="c-1", manager=WORKER, attempts=1)
    usual = {AgentTask.EVACUATE: Fate.SAFE, AgentTask.LEAVE: Fate.REMOVED}.get(task, Fate.ACTIVE)
    result = Result(task, ok=True, nodes=(NodeReport(WORKER_2, "node00b", usual),))
    event = CommandFinished(lab.clock.time, "c-1", WORKER, task, "Success", result)
    managers = (*MANAGERS, WORKER)
    nodes = [lab.node(name) for name in managers]
    cluster = replace(a_cluster(work, *nodes, managers=managers), jobs=lab.jobs.list_all("blue"))
    reason = decide(event, cluster).reason
    assert f"{WORKER_2} {during}: the swarm does not list {WORKER} as a manager" in reason
    for trusted in (replace(cluster, jobs=()), replace(cluster, managers=(WORKER,))):
        assert "does not list" not in decide(event, trusted).reason, "no list, or no other manager"


def test_the_record_of_who_has_sent_a_result_is_read_with_it() -> None:
    lab = a_lab()
    ticks(lab, 6)
    retag(lab)
    ticks(lab, 1)
    warn(lab, WORKER_2, lab.clock.time)
    sent = replace(lab.hosts.sent[-1], manager=WORKER)
    lab.hosts.sent[-1] = sent
    known = lab.node(WORKER_2)
    lab.nodes.records["blue", WORKER_2] = replace(known, manager=WORKER)
    end(lab, sent)
    assert state(lab, WORKER_2) is NodeState.EVACUATING


def test_an_inspection_that_lists_nothing_leaves_the_last_list_and_its_time() -> None:
    lab = a_lab()
    ticks(lab, 6)
    before = job(lab, AgentTask.INSPECT)
    assert before.listing
    lab.hosts.answers[AgentTask.INSPECT] = Result(AgentTask.INSPECT, ok=True)
    ticks(lab, 6)
    after = job(lab, AgentTask.INSPECT)
    assert after.since > before.since
    assert (after.listing, after.source, after.ended) == (before.listing, before.source, before.ended)
