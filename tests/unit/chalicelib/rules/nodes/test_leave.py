"""What an instance's state means for its node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Dispatch, Plan, ReplaceRecord
from chalicelib.events import InstanceStateChanged
from chalicelib.rules import decide
from chalicelib.state.instance import InstanceState
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import START, WORKER, a_cluster, a_node

GOING = ["stopping", "shutting-down"]
OVER = ["stopped", "terminated"]


def changed(state: str, time: float = START) -> InstanceStateChanged:
    return InstanceStateChanged(time, WORKER, InstanceState(state))


@pytest.mark.parametrize("state", GOING)
def test_an_unannounced_shutdown_is_evacuated_in_what_is_left(state: str) -> None:
    node, reason = a_node(), f"the instance is {state} without a warning"
    after = a_node(
        state=NodeState.EVACUATING, version=2, since=START, deadline=START + 30, due=START + 1, reason=reason
    )
    after = replace(after, announced=True)
    plan = decide(changed(state), a_cluster(node, now=START + 1))
    assert plan == Plan(reason, (ReplaceRecord(node, after), Dispatch(WORKER)))


@pytest.mark.parametrize("state", OVER)
@pytest.mark.parametrize("before", [NodeState.IN_SERVICE, NodeState.EVACUATING, NodeState.EVACUATED])
def test_an_ended_instance_leaves_wherever_its_node_stood(before: NodeState, state: str) -> None:
    node = a_node(state=before, node="abc", command="out", manager="i-1", fate="safe")
    after = a_node(
        state=NodeState.LEAVING,
        version=2,
        since=START,
        due=START,
        node="abc",
        reason=f"the instance is {state}",
    )
    plan = decide(changed(state), a_cluster(node))
    assert plan == Plan(after.reason, (ReplaceRecord(node, after), Dispatch(WORKER)))


def test_a_shutdown_during_an_evacuation_can_only_hurry_it() -> None:
    late = a_node(state=NodeState.EVACUATING, since=START - 300, deadline=START - 180, due=START + 60)
    late = replace(late, announced=True, attempts=5)
    assert decide(changed("shutting-down"), a_cluster(late)).actions == (Dispatch(WORKER),)
    (move, _) = decide(changed("stopping"), a_cluster(replace(late, deadline=START + 90))).actions
    assert isinstance(move, ReplaceRecord)
    assert (move.after.deadline, move.after.since) == (START + 30, START - 300)


AFTER_A_STOP = [NodeState.EVACUATED, NodeState.LEAVING, NodeState.GONE]


@pytest.mark.parametrize("before", AFTER_A_STOP)
def test_an_instance_that_was_stopped_and_runs_joins_again(before: NodeState) -> None:
    node = a_node(state=before, since=START - 60, node="abc", expires=START)
    after = a_node(
        state=NodeState.JOINING,
        version=2,
        since=START,
        launched=START,
        due=START + 1,
        node="abc",
        reason="the instance was started again",
    )
    plan = decide(changed("running"), a_cluster(node, now=START + 1))
    assert plan == Plan(after.reason, (ReplaceRecord(node, after), Dispatch(WORKER)))


@pytest.mark.parametrize("before", AFTER_A_STOP)
def test_a_late_event_of_the_first_start_changes_nothing(before: NodeState) -> None:
    node = a_node(state=before, since=START, command="out")
    assert decide(changed("running", START - 1000), a_cluster(node)).actions == ()


def test_an_evacuated_node_that_is_to_be_given_back_was_never_stopped() -> None:
    node = a_node(state=NodeState.EVACUATED, since=START - 60, back=START + 60)
    assert decide(changed("running"), a_cluster(node)).actions == ()


NOTHING = [
    *[(before, state) for before in (NodeState.LEAVING, NodeState.GONE) for state in [*GOING, *OVER]],
    *[(before, state) for before in (NodeState.EVACUATING, NodeState.EVACUATED) for state in GOING],
    *[(before, "pending") for before in NodeState],
    *[(before, "running") for before in NodeState if before not in AFTER_A_STOP],
]


@pytest.mark.parametrize(("before", "state"), NOTHING)
def test_other_changes_begin_nothing(before: NodeState, state: str) -> None:
    node = a_node(state=before, command="out")
    expected = f"the instance is {state}, the node is {before}: nothing to begin"
    assert decide(changed(state), a_cluster(node)) == Plan(expected)


def test_a_repeated_end_sends_what_the_first_only_recorded() -> None:
    plan = decide(changed("terminated"), a_cluster(a_node(state=NodeState.LEAVING)))
    assert plan.actions == (Dispatch(WORKER),)


@pytest.mark.parametrize("state", OVER)
def test_a_removal_that_was_given_up_is_tried_again_when_the_instance_ends(state: str) -> None:
    node = a_node(state=NodeState.LEAVING, attempts=20, fate="alive", since=START - 9000)
    move, *sending = decide(changed(state), a_cluster(node)).actions
    assert isinstance(move, ReplaceRecord)
    assert (move.after.is_unsent, move.after.due, move.after.since) == (True, START, node.since)
    assert sending == [Dispatch(WORKER)]


def test_an_end_from_before_the_last_start_is_ignored() -> None:
    plan = decide(changed("stopped"), a_cluster(a_node(launched=START + 1)))
    assert plan == Plan("stopped, but that was before the instance's last start")


def test_an_instance_without_a_record_is_left_alone() -> None:
    assert decide(changed("stopped"), a_cluster()) == Plan(f"{WORKER} has no record in blue")
