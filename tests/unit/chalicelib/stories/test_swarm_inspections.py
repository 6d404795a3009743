"""Looks at the swarm as whole stories: begun by the tick, followed to their end, told when none answers."""

from __future__ import annotations

import pytest

from chalicelib.admin.calls import call
from chalicelib.protocol.messages import AgentTask, Fate, Listing, Result
from chalicelib.state.instance import Role
from chalicelib.state.job import JobStage
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.stories.support.inspections import a_lab, shows, ticks
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, a_discovered_instance
from tests.unit.chalicelib.support.stories import commands, end, job, state, tick

BLUE = {"cluster": "blue"}


def test_a_quiet_cluster_costs_one_command_in_five_minutes_each_to_another_manager() -> None:
    lab = a_lab()
    before = dict(lab.nodes.records)
    ticks(lab, 30)
    sent = commands(lab, AgentTask.INSPECT)
    assert len(sent) == len(lab.hosts.sent) == 6
    assert [one[0] for one in sent[:3]] == [one[0] for one in sent[3:]]
    assert {one[0] for one in sent} == set(MANAGERS)
    assert [one.arguments.inspection for one in lab.hosts.sent] == [1, 2, 3, 4, 5, 6]
    assert lab.nodes.records == before
    (shown,) = call("status", BLUE, lab.world())["clusters"]["blue"]["errands"]
    assert (shown["task"], shown["reason"]) == ("inspect", "5 nodes listed, 0 down")
    assert START < shown["ended"] <= lab.clock.time


def test_a_node_that_was_removed_by_hand_joins_anew_and_is_in_service_again() -> None:
    lab = a_lab()
    shows(lab, WORKER)
    ticks(lab, 6)
    assert not commands(lab, AgentTask.JOIN), "one manager's word is not enough"
    ticks(lab, 7)
    assert state(lab) is NodeState.IN_SERVICE
    (join,) = (one for one in lab.hosts.sent if one.task is AgentTask.JOIN)
    assert [target.node for target in join.arguments.targets] == ["node00a"]


def test_the_end_of_an_inspection_is_followed_once() -> None:
    lab = a_lab()
    shows(lab, WORKER)
    ticks(lab, 6)
    lab.hosts.takes = 20
    while len(lab.hosts.sent) < 2:
        tick(lab)
    _, sent = lab.hosts.sent
    assert WORKER in end(lab, sent)[0]
    after = lab.node()
    assert end(lab, sent) == ["inspect: Success: done (nothing waits for it)"]
    assert lab.node() == after


def test_a_hung_engine_notifies_people_once_when_its_join_does_not_help() -> None:
    lab = a_lab()
    lab.hosts.broken = {WORKER}
    shows(lab, down=(WORKER,))
    ticks(lab, 25)
    told = [text for _, text in lab.messages.published]
    assert len(told) == 1
    assert "node node00a stays down though its instance runs" in told[0]
    assert "the engine does not answer" in told[0]
    assert "dockerd" in told[0]
    assert not commands(lab, AgentTask.LEAVE)


def test_managers_that_do_not_answer_notify_people_though_no_work_is_open() -> None:
    lab = a_lab()
    ticks(lab, 6)
    lab.hosts.answers[AgentTask.INSPECT] = Result(
        AgentTask.INSPECT, ok=False, error="the swarm does not have a leader"
    )
    ticks(lab, 30)
    ((_, text),) = lab.messages.published
    assert "no manager of blue could inspect: the swarm does not have a leader" in text
    assert "recover" in text
    shows(lab)
    well = lab.clock.time
    ticks(lab, 10)
    assert job(lab, AgentTask.INSPECT).ended > well


@pytest.mark.parametrize("silent", ["broken", "unreachable"])
def test_hosts_that_do_not_answer_notify_people_too(silent: str) -> None:
    lab = a_lab()
    ticks(lab, 6)
    setattr(lab.hosts, silent, set(MANAGERS))
    ticks(lab, 20)
    assert [text.splitlines()[0][:40] for _, text in lab.messages.published] == [
        "no manager of blue could inspect: given "
        if silent == "unreachable"
        else "no manager of blue could inspect: Failed"
    ]


def test_a_cluster_that_never_had_a_swarm_is_no_alarm() -> None:
    lab = a_lab()
    lab.hosts.broken = set(MANAGERS)
    ticks(lab, 30)
    assert job(lab, AgentTask.INSPECT).result == ""
    assert lab.messages.published == []


def test_an_inspection_that_nobody_sent_is_sent_by_the_next_tick() -> None:
    lab = a_lab()
    ticks(lab, 6)
    last = job(lab, AgentTask.INSPECT)
    lost = last.revise(stage=JobStage.OPEN, due=lab.clock.time, command="", attempts=0)
    assert lab.jobs.replace("blue", last, lost)
    sent = len(lab.hosts.sent)
    tick(lab)
    assert len(lab.hosts.sent) == sent + 1


STRANGER = "i-0000000000000000f"


def only(*ids: str) -> Result:
    """Answer an inspection with a swarm of these nodes, the first of which is its only manager."""
    return Result(AgentTask.INSPECT, ok=True, listing=Listing(len(ids), ids=ids, managers=ids[:1]))


def test_a_stranger_who_is_tagged_manager_is_asked_nothing_and_makes_nobody_leave() -> None:
    """Found by a review: two EC2 tags, and a listing of its own, had half of a cluster leave."""
    lab = a_lab()
    lab.ec2.instances[STRANGER] = a_discovered_instance(STRANGER, role=Role.MANAGER, address="10.9.9.9")
    lab.hosts.fates[STRANGER] = Fate.ABSENT  # as the managers say when they shall activate its node
    lab.hosts.own_answers[STRANGER, AgentTask.INSPECT] = only("node00f", "node00b", "node001")
    ticks(lab, 40)
    assert STRANGER in lab.managers.list_ids("blue")
    assert {sent.task for sent in lab.hosts.sent if sent.manager == STRANGER} == {AgentTask.JOIN}
    assert not commands(lab, AgentTask.LEAVE)
    assert {sent.manager for sent in lab.hosts.sent if sent.task is AgentTask.JOIN} == {STRANGER}
    joins = [sent.arguments for sent in lab.hosts.sent if sent.task is AgentTask.JOIN]
    assert not any("10.9.9.9" in arguments.managers for arguments in joins)
    served = {name: state(lab, name) for name in lab.ec2.instances if name != STRANGER}
    assert set(served.values()) == {NodeState.IN_SERVICE}


def test_one_of_three_managers_that_lists_less_makes_nobody_leave() -> None:
    lab = a_lab()
    before = dict(lab.nodes.records)
    names = [f"node{name[-3:]}" for name in lab.ec2.instances if name != WORKER]
    listing = Listing(4, (), ids=tuple(names), managers=("node001", "node002", "node003"))
    lab.hosts.own_answers[MANAGERS[1], AgentTask.INSPECT] = Result(
        AgentTask.INSPECT, ok=True, listing=listing
    )
    ticks(lab, 60)
    assert len(commands(lab, AgentTask.INSPECT)) == 12
    assert lab.nodes.records == before


def test_the_only_manager_has_to_say_it_in_two_periods() -> None:
    lab = a_lab()
    for name in MANAGERS[1:]:
        del lab.ec2.instances[name]
        del lab.nodes.records["blue", name]
    lab.managers.record("blue", MANAGERS[:1])
    shows(lab, WORKER, *MANAGERS[1:])
    while not commands(lab, AgentTask.JOIN):
        tick(lab)
    (first, _), (second, _) = commands(lab, AgentTask.INSPECT)
    assert (first, second) == (MANAGERS[0], MANAGERS[0])
    (_, one), (_, other) = commands(lab, AgentTask.INSPECT)
    assert other - one >= 150


def test_a_manager_whose_swarm_is_another_one_is_told_and_not_believed() -> None:
    lab = a_lab()
    before = dict(lab.nodes.records)
    lab.hosts.own_answers[MANAGERS[2], AgentTask.INSPECT] = only("nodexxx", "node002", "node001")
    ticks(lab, 30)
    ((_, text),) = lab.messages.published
    assert f"{MANAGERS[2]} lists a swarm that does not have its node node003 as a manager" in text
    assert lab.nodes.records == before
