"""A warning begins one evacuation; its command ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Dispatch, Plan, ReplaceRecord
from chalicelib.events import InterruptionAction, SpotInterruptionWarning
from chalicelib.metrics import Measure, Metric
from chalicelib.rules import decide
from chalicelib.state.lifecycle import STAYING, NodeState
from chalicelib.state.settings import Timeouts
from tests.unit.chalicelib.support.fakes import START, WORKER, a_cluster, a_node

WARNING = SpotInterruptionWarning(START, WORKER)
TWICE = (Measure(Metric.DUPLICATES, instance=WORKER),)


@pytest.mark.parametrize(
    ("action", "lead", "reason"),
    [
        (InterruptionAction.TERMINATE, 120.0, "EC2 will terminate it, 118 s are left"),
        (InterruptionAction.STOP, 120.0, "EC2 will stop it, 118 s are left"),
        (InterruptionAction.HIBERNATE, 2.0, "EC2 will hibernate it, 0 s are left"),
    ],
)
def test_the_first_warning_begins_the_evacuation(
    action: InterruptionAction, lead: float, reason: str
) -> None:
    node = a_node()
    plan = decide(SpotInterruptionWarning(START, WORKER, action), a_cluster(node, now=START + 2))
    after = a_node(
        state=NodeState.EVACUATING,
        version=2,
        since=START,
        deadline=START + lead,
        due=START + 2,
        reason=reason,
        announced=True,
    )
    interrupted = (Measure(Metric.INTERRUPTIONS, instance=WORKER),)
    assert plan == Plan(reason, (ReplaceRecord(node, after), Dispatch(WORKER)), interrupted)


@pytest.mark.parametrize(
    ("late", "deadline", "reason"),
    [
        (119, START + 120, "EC2 will terminate it, 1 s are left"),
        (121, START + 241, "EC2 will terminate it, 0 s are left"),
        (420, START + 540, "EC2 will terminate it, 0 s are left"),
    ],
)
def test_a_warning_after_its_notice_has_ended_gives_the_node_a_second_notice(
    late: float, deadline: float, reason: str
) -> None:
    plan = decide(WARNING, a_cluster(a_node(), now=START + late))
    move = plan.actions[0]
    assert isinstance(move, ReplaceRecord)
    assert (move.after.state, move.after.deadline) == (NodeState.EVACUATING, deadline)
    assert plan.reason == reason


@pytest.mark.parametrize("state", NodeState)
@pytest.mark.parametrize("back", [0.0, START + 9999])
def test_a_warning_whose_notice_ended_long_ago_changes_nothing_and_is_counted(
    state: NodeState, back: float
) -> None:
    node = a_node(state=state, since=START - 60, command="out", deadline=START + 9999, back=back)
    late = (Measure(Metric.LATE_WARNINGS, instance=WORKER),)
    reason = f"the warning's notice was over 301 s ago, the node is {state}"
    assert decide(WARNING, a_cluster(node, now=START + 421)) == Plan(reason, (), late)


def test_the_notice_is_the_clusters_policy() -> None:
    cluster = replace(a_cluster(a_node()), timeouts=Timeouts(notice_s=30))
    move = decide(WARNING, cluster).actions[0]
    assert isinstance(move, ReplaceRecord)
    assert move.after.deadline == START + 30


@pytest.mark.parametrize("state", sorted(STAYING))
def test_a_node_that_is_not_in_service_yet_or_again_is_evacuated_too(state: NodeState) -> None:
    move, dispatch = decide(WARNING, a_cluster(a_node(state=state, command="out"))).actions
    assert isinstance(move, ReplaceRecord)
    assert (move.after.state, move.after.command) == (NodeState.EVACUATING, "")
    assert dispatch == Dispatch(WORKER)


@pytest.mark.parametrize("state", [state for state in NodeState if state not in STAYING])
def test_another_warning_changes_nothing(state: NodeState) -> None:
    node = a_node(state=state, since=START, announced=True, command="out", manager="i-1")
    assert decide(WARNING, a_cluster(node)) == Plan(f"already {state}", (), TWICE)


def test_another_warning_sends_what_the_first_only_recorded() -> None:
    node = a_node(state=NodeState.EVACUATING, since=START, announced=True)
    assert decide(WARNING, a_cluster(node)) == Plan("already evacuating", (Dispatch(WORKER),), TWICE)


def test_a_warning_from_before_the_last_start_is_ignored() -> None:
    plan = decide(WARNING, a_cluster(a_node(launched=START + 1)))
    assert plan == Plan("the warning is older than the instance's last start", (), TWICE)


def test_an_instance_without_a_record_is_left_alone() -> None:
    assert decide(WARNING, a_cluster()) == Plan(f"{WORKER} has no record in blue")
