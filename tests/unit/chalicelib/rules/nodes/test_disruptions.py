"""Recommendations, drills and what fleets say: evacuations that end with the node given back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.actions import Dispatch, ReplaceRecord
from chalicelib.events import (
    ChangeScheduled,
    CommandFinished,
    EvacuationOrdered,
    FleetChange,
    FleetInstanceChanged,
    InstanceStateChanged,
    TerminateLifecycleAction,
    Tick,
)
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.rules import decide
from chalicelib.state.instance import InstanceState
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from chalicelib.state.settings import Recommendations
from tests.unit.chalicelib.rules.nodes.support.disruptions import (
    RECOMMENDATION,
    WARNING,
    after,
    after_turn,
    with_settings,
)
from tests.unit.chalicelib.rules.nodes.support.lifecycle_actions import END
from tests.unit.chalicelib.support.fakes import START, WORKER, a_cluster, a_node

SAFE = Result(AgentTask.EVACUATE, ok=True, nodes=(NodeReport(WORKER, "abc", Fate.SAFE),))
RECOMMENDED = a_node(
    state=NodeState.EVACUATING,
    since=START - 9,
    deadline=START + 591,
    due=START + 20,
    command="out",
    back=START + 3591,
)


def test_a_recommendation_is_noted_by_default_and_ignored_if_so_configured() -> None:
    assert after(RECOMMENDATION, with_settings(a_node())) == a_node(version=2, hinted=START)
    assert after(RECOMMENDATION, with_settings(a_node(), recommendations=Recommendations.IGNORE)) is None


def test_a_recommendation_evacuates_the_node_for_a_while_if_so_configured() -> None:
    node = after_turn(RECOMMENDATION, with_settings(a_node(), recommendations=Recommendations.EVACUATE))
    assert node is not None
    assert (node.state, node.deadline, node.back) == (NodeState.EVACUATING, START + 600, START + 3600)


@pytest.mark.parametrize(("ago", "counts"), [(1, False), (3599, False), (3600, True)])
def test_a_recommendation_soon_after_the_last_one_is_ignored(ago: float, *, counts: bool) -> None:
    cluster = with_settings(a_node(hinted=START - ago), recommendations=Recommendations.EVACUATE)
    assert (after(RECOMMENDATION, cluster) is not None) is counts


@pytest.mark.parametrize("wanted", Recommendations)
def test_a_recommendation_of_long_ago_changes_nothing(wanted: Recommendations) -> None:
    assert after(RECOMMENDATION, with_settings(a_node(), now=START + 3600, recommendations=wanted)) is None
    noted = after(RECOMMENDATION, with_settings(a_node(), now=START + 3599, recommendations=wanted))
    assert (noted is None) == (wanted is Recommendations.IGNORE)


@pytest.mark.parametrize("state", [state for state in NodeState if state is not NodeState.IN_SERVICE])
def test_a_recommendation_counts_only_for_a_node_in_service(state: NodeState) -> None:
    assert (
        after(RECOMMENDATION, with_settings(a_node(state=state), recommendations=Recommendations.EVACUATE))
        is None
    )


def test_a_warning_after_a_recommendation_hurries_the_evacuation_for_good() -> None:
    plan = decide(WARNING, a_cluster(RECOMMENDED))
    move, dispatch = plan.actions
    assert isinstance(move, ReplaceRecord)
    assert (move.after.state, move.after.since) == (NodeState.EVACUATING, RECOMMENDED.since)
    assert (move.after.deadline, move.after.back, move.after.command) == (START + 120, 0.0, "")
    assert dispatch == Dispatch(WORKER)


def test_a_warning_keeps_an_empty_node_from_being_given_back() -> None:
    empty = a_node(state=NodeState.EVACUATED, due=START + 9, back=START + 9, drill=True)
    node = after(WARNING, a_cluster(empty))
    assert node is not None
    assert (node.state, node.due, node.back, node.drill) == (NodeState.EVACUATED, None, 0.0, False)


LATE = replace(RECOMMENDED, deadline=START - 1, due=START + 200, attempts=5, command="")
GIVEN_UP = replace(RECOMMENDED, due=None, attempts=12, command="")


@pytest.mark.parametrize("node", [LATE, replace(LATE, command="out"), GIVEN_UP])
@pytest.mark.parametrize("back", [0.0, START + 3591])
def test_a_warning_begins_an_evacuation_again_that_had_come_to_nothing(node: Node, back: float) -> None:
    node = replace(node, back=back)
    plan = decide(WARNING, a_cluster(node))
    move, dispatch = plan.actions
    assert isinstance(move, ReplaceRecord)
    again = move.after
    assert (again.since, again.deadline, again.due) == (START, START + 120, START)
    assert (again.attempts, again.command, again.back) == (0, "", 0.0)
    assert again.announced == bool(back), "for good stays for good"
    assert dispatch == Dispatch(WORKER)
    assert plan.measures == (Measure(Metric.INTERRUPTIONS, instance=WORKER),)


@pytest.mark.parametrize("node", [LATE, GIVEN_UP])
@pytest.mark.parametrize("now", [START, START + 121, START + 400])
def test_a_copy_of_the_first_warning_does_not_begin_it_again(node: Node, now: float) -> None:
    known = replace(node, since=START, deadline=START + 120, back=0.0, announced=True)
    assert after(WARNING, a_cluster(known, now=now)) is None


def test_work_given_up_is_counted_once_whatever_is_noted_later() -> None:
    plan = decide(ChangeScheduled(START, WORKER, START + 86_400, arn="1"), a_cluster(GIVEN_UP))
    assert len(plan.actions) == 1
    assert plan.measures == ()


FOR_GOOD = EvacuationOrdered(START, WORKER, 600.0)
FOR_A_WHILE = EvacuationOrdered(START, WORKER, 600.0, 60.0)
HELD = TerminateLifecycleAction(START, WORKER, END)
STOPPING = InstanceStateChanged(START, WORKER, InstanceState.STOPPING)
NOTIFIED = FleetInstanceChanged(START, WORKER, FleetChange.TERMINATION_NOTIFIED)


@pytest.mark.parametrize(
    ("event", "announced", "for_a_while"),
    [
        (WARNING, True, False),
        (NOTIFIED, True, False),
        (STOPPING, True, False),
        (FOR_GOOD, False, False),
        (HELD, False, False),
        (FOR_A_WHILE, False, True),
        (ChangeScheduled(START, WORKER, START + 60, arn="1"), False, True),
    ],
)
def test_only_a_warning_or_a_shutdown_marks_the_end_as_announced(
    event: Any, *, announced: bool, for_a_while: bool
) -> None:
    node = after_turn(event, a_cluster(a_node()))
    assert node is not None
    assert (node.announced, node.back > 0) == (announced, for_a_while)
    ended = CommandFinished(START + 9, "c", "m", AgentTask.EVACUATE, "Success", SAFE)
    empty = after(ended, a_cluster(node.mark_sent("c", "m", due=START)))
    assert empty is not None
    assert (empty.state, empty.announced) == (NodeState.EVACUATED, announced)


@pytest.mark.parametrize("first", [WARNING, FOR_A_WHILE, FOR_GOOD, HELD])
@pytest.mark.parametrize("second", [WARNING, FOR_A_WHILE, FOR_GOOD, HELD])
@pytest.mark.parametrize("state", [NodeState.EVACUATING, NodeState.EVACUATED])
def test_of_two_reasons_the_more_lasting_holds(first: Any, second: Any, state: NodeState) -> None:
    node = after(first, a_cluster(a_node()))
    assert node is not None
    node = replace(node, state=state)
    node = after(second, a_cluster(node)) or node
    good = {FOR_GOOD, HELD} & {first, second}
    assert node.announced == (not good and WARNING in (first, second))
    assert (node.back > 0) == (first is second is FOR_A_WHILE)


def test_a_node_evacuated_for_a_while_returns_when_nothing_followed() -> None:
    empty = a_node(state=NodeState.EVACUATED, due=START, back=START)
    move, dispatch = decide(Tick(), a_cluster(empty)).actions
    assert isinstance(move, ReplaceRecord)
    assert (move.after.state, move.after.reason) == (NodeState.RETURNING, "nothing followed")
    assert dispatch == Dispatch(seconds=0)


@pytest.mark.parametrize(
    ("change", "before", "expected"),
    [
        (FleetChange.LAUNCHED, NodeState.GONE, NodeState.JOINING),
        (FleetChange.TERMINATION_NOTIFIED, NodeState.IN_SERVICE, NodeState.EVACUATING),
        (FleetChange.TERMINATED, NodeState.IN_SERVICE, NodeState.LEAVING),
    ],
)
def test_what_a_fleet_says_of_an_instance_is_as_good_as_its_own_event(
    change: FleetChange, before: NodeState, expected: NodeState
) -> None:
    node = after(
        FleetInstanceChanged(START, WORKER, change), a_cluster(a_node(state=before, since=START - 60))
    )
    assert node is not None
    assert node.state is expected
