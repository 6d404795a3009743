"""Scheduled changes: noted in every state, evacuated ahead of, given back after; the last word holds."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from chalicelib.actions import Complete, Dispatch, Notify
from chalicelib.events import ChangeScheduled, CommandFinished, Tick
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.rules import decide
from chalicelib.state.instance import LifecycleAction
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.scheduled_change import ScheduledChange
from chalicelib.state.settings import Timeouts
from tests.unit.chalicelib.rules.nodes.support.disruptions import after, after_turn
from tests.unit.chalicelib.rules.nodes.support.lifecycle_actions import END, LAUNCH
from tests.unit.chalicelib.support.fakes import START, WORKER, a_cluster, a_node

SCHEDULED = ChangeScheduled(START, WORKER, START + 86_400, code="RETIREMENT", arn="1")
NOTICE = ScheduledChange(START, start=START + 86_400, code="RETIREMENT", arn="1")
CLOSED = replace(SCHEDULED, time=START + 5, closed=True)
OTHER = replace(SCHEDULED, start=START + 90_000, arn="2")
BEGIN, UNTIL = START + 82_800, START + 90_000


def test_a_change_far_ahead_is_planned_for_an_hour_before() -> None:
    node = after(SCHEDULED, a_cluster(a_node()))
    assert node is not None
    assert (node.state, node.due, node.notices) == (NodeState.IN_SERVICE, START + 82_800, (NOTICE,))
    assert after(SCHEDULED, a_cluster(node)) is None, "published twice, planned once"
    put_off = after(replace(SCHEDULED, start=START + 90_000), a_cluster(node))
    assert put_off is not None
    assert put_off.due == START + 86_400
    off = after(replace(SCHEDULED, closed=True), a_cluster(node))
    assert off == node.revise(due=None, notices=(replace(NOTICE, closed=True),))


def test_a_due_planned_evacuation_begins_and_ends_with_the_node_given_back() -> None:
    planned = after(SCHEDULED, a_cluster(a_node()))
    assert planned is not None
    node = after(Tick(), a_cluster(planned, now=START + 82_801))
    assert node is not None
    assert (node.state, node.deadline) == (NodeState.EVACUATING, START + 83_401)
    assert (node.back, node.reason) == (START + 90_000, "RETIREMENT")


def test_a_change_that_is_near_begins_at_once() -> None:
    node = after_turn(replace(SCHEDULED, start=START + 300), a_cluster(a_node()))
    assert node is not None
    assert (node.state, node.deadline) == (NodeState.EVACUATING, START + 300)


@pytest.mark.parametrize("state", NodeState)
def test_a_change_far_ahead_is_noted_in_every_state_and_changes_no_work(state: NodeState) -> None:
    before = a_node(state=state, due=START + 7, command="out", back=START + 9)
    node = after(SCHEDULED, a_cluster(before))
    due = BEGIN if state is NodeState.IN_SERVICE else START + 7
    assert node == before.revise(notices=(NOTICE,), due=due)


ENDS = [
    (AgentTask.ACTIVATE, NodeState.ACTIVATING, Fate.ACTIVE),
    (AgentTask.GIVE_BACK, NodeState.RETURNING, Fate.ACTIVE),
]


@pytest.mark.parametrize(("task", "state", "fate"), ENDS)
def test_a_change_noted_meanwhile_is_due_once_the_node_is_in_service(
    task: AgentTask, state: NodeState, fate: Fate
) -> None:
    before = a_node(state=state, command="c", manager="m", due=START + 7, notices=(NOTICE,))
    result = Result(task, ok=True, nodes=(NodeReport(WORKER, "abc", fate),))
    node = after(CommandFinished(START, "c", "m", task, "Success", result), a_cluster(before))
    assert node is not None
    assert (node.state, node.due, node.notices) == (NodeState.IN_SERVICE, BEGIN, (NOTICE,))


@pytest.mark.parametrize("group", [LAUNCH, END])
def test_a_completed_hook_leaves_the_change_due(group: LifecycleAction) -> None:
    before = a_node(hooks=(group,), notices=(NOTICE,), due=START)
    (complete,) = decide(Tick(), a_cluster(before)).actions
    assert isinstance(complete, Complete)
    assert complete.change is not None
    assert complete.change.after.due == BEGIN


def test_a_change_that_has_passed_meanwhile_is_not_due_any_more() -> None:
    late = a_node(notices=(NOTICE, replace(NOTICE, start=START + 9e6, arn="2")), due=BEGIN)
    node = after(Tick(), a_cluster(late, now=UNTIL))
    assert node is not None
    assert (node.state, node.due) == (NodeState.IN_SERVICE, START + 9e6 - 3600)


def test_a_node_that_is_out_already_stays_out_until_the_change_is_over() -> None:
    empty = a_node(state=NodeState.EVACUATED, due=BEGIN + 9, back=BEGIN + 9, drill=True, notices=(NOTICE,))
    node = after(Tick(), a_cluster(empty, now=BEGIN + 9))
    assert node is not None
    assert (node.state, node.due, node.back, node.drill) == (NodeState.EVACUATED, UNTIL, UNTIL, False)
    back = after(Tick(), a_cluster(node, now=UNTIL))
    assert back is not None
    assert back.state is NodeState.RETURNING


@pytest.mark.parametrize("state", [NodeState.EVACUATING, NodeState.EVACUATED])
@pytest.mark.parametrize(
    "event", [replace(CLOSED, time=BEGIN + 60), replace(SCHEDULED, time=BEGIN + 60, start=UNTIL * 2)]
)
def test_a_node_evacuated_for_a_change_that_is_called_off_is_given_back(
    event: ChangeScheduled, state: NodeState
) -> None:
    out = a_node(state=state, due=UNTIL, back=UNTIL, notices=(NOTICE,))
    node = after(event, a_cluster(out, now=BEGIN + 60))
    assert node is not None
    assert node.back == BEGIN + 60
    assert node.due == (BEGIN + 60 if state is NodeState.EVACUATED else UNTIL)


def test_a_node_evacuated_for_another_reason_is_not_given_back_early() -> None:
    out = a_node(state=NodeState.EVACUATED, due=START + 900, back=START + 900, notices=(NOTICE,))
    node = after(CLOSED, a_cluster(out))
    assert node is not None
    assert (node.due, node.back) == (START + 900, START + 900)


@pytest.mark.parametrize("now", [START, BEGIN + 60])
@pytest.mark.parametrize(
    "order",
    list(itertools.permutations([SCHEDULED, replace(SCHEDULED, start=UNTIL, time=START + 1), CLOSED])),
)
def test_notices_in_any_order_and_twice_end_in_the_latest_one(
    order: tuple[ChangeScheduled, ...], now: float
) -> None:
    node = a_node()
    for event in order * 2:
        node = after_turn(event, a_cluster(node, now=now)) or node
    assert node.notices == (replace(NOTICE, published=START + 5, closed=True),)
    if order[0] is CLOSED:
        assert (node.state, node.due) == (NodeState.IN_SERVICE, None)
    assert node.due is None or node.back == now


def test_a_late_copy_of_a_notice_does_not_evacuate_a_node_given_back() -> None:
    closed = after(CLOSED, a_cluster(a_node()))
    assert closed is not None
    plan = decide(replace(SCHEDULED, start=START + 60), a_cluster(closed))
    assert (plan.actions, plan.reason) == ((), "RETIREMENT: known")
    assert after(replace(OTHER, start=START + 60), a_cluster(closed)) is not None, "another change"
    anew = after_turn(replace(SCHEDULED, time=START + 6, start=START + 60), a_cluster(closed))
    assert anew is not None, "newer than the end: announced anew"
    assert anew.state is NodeState.EVACUATING


def test_a_copy_sends_what_a_crash_left_unsent() -> None:
    begun = after_turn(replace(SCHEDULED, start=START + 60), a_cluster(a_node()))
    assert begun is not None
    plan = decide(replace(SCHEDULED, start=START + 60), a_cluster(begun))
    assert plan.actions == (Dispatch(WORKER),)


def test_a_change_does_not_count_for_an_instance_that_was_started_since() -> None:
    node = after(SCHEDULED, a_cluster(a_node(launched=START + 1)))
    assert node is not None
    assert node.due is None


def test_what_is_long_over_is_forgotten() -> None:
    old = tuple(replace(NOTICE, start=START - ago * 86_400, arn=str(ago)) for ago in (9, 6))
    node = after(
        SCHEDULED, a_cluster(a_node(notices=tuple(replace(one, published=one.start) for one in old)))
    )
    assert node is not None
    assert [one.arn for one in node.notices] == ["6", "1"]


def test_a_long_window_keeps_the_node_out_for_hours_and_people_are_told_once() -> None:
    days = replace(SCHEDULED, start=START + 300, end=START + 14 * 86_400)
    plan = decide(days, a_cluster(a_node()))
    (message,) = [action.incident for action in plan.actions if isinstance(action, Notify)]
    assert message.key == f"change#{WORKER}#1"
    assert message.left.endswith("and given back 7 hours after that time")
    node = after_turn(days, a_cluster(a_node()))
    assert node is not None
    assert (node.state, node.back) == (NodeState.EVACUATING, START + 300 + 7 * 3600)
    again = a_node(notices=node.notices, due=node.back)
    back = after(Tick(), a_cluster(again, now=node.back))
    assert back is not None
    assert (back.state, back.due) == (NodeState.IN_SERVICE, None), "not out for the same change again"


def test_a_window_of_some_hours_is_kept_to_its_end() -> None:
    plan = decide(replace(SCHEDULED, end=SCHEDULED.start + 6 * 3600), a_cluster(a_node()))
    assert not [action for action in plan.actions if isinstance(action, Notify)]
    change = ScheduledChange(START, start=START, end=START + 6 * 3600)
    assert change.empty_until(Timeouts()) == START + 7 * 3600
