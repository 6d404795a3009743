"""Drills: a node in service is emptied and given back; nothing joins, ends or is removed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.actions import Notify
from chalicelib.events import (
    ChangeScheduled,
    CommandFinished,
    FleetChange,
    FleetInstanceChanged,
    InstanceStateChanged,
    InterruptionAction,
    LaunchLifecycleAction,
    SpotInterruptionWarning,
    TerminateLifecycleAction,
    Tick,
)
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules import decide
from chalicelib.state.instance import InstanceState, Role
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.rules.nodes.support.disruptions import (
    ACTIVE,
    RECOMMENDATION,
    WARNING,
    after,
    after_turn,
    with_settings,
)
from tests.unit.chalicelib.rules.nodes.support.lifecycle_actions import END, LAUNCH
from tests.unit.chalicelib.support.fakes import START, WORKER, a_cluster, a_node

DRILLS = [
    (replace(WARNING, drill=True), 120.0),
    (SpotInterruptionWarning(START, WORKER, InterruptionAction.HIBERNATE, drill=True), 0.0),
    (replace(RECOMMENDATION, drill=True), 600.0),
    (FleetInstanceChanged(START, WORKER, FleetChange.TERMINATION_NOTIFIED, drill=True), 120.0),
    (InstanceStateChanged(START, WORKER, InstanceState.SHUTTING_DOWN, drill=True), 30.0),
    (TerminateLifecycleAction(START, WORKER, END, drill=True), 600.0),
    (ChangeScheduled(START, WORKER, START + 9999, drill=True), 600.0),
]


@pytest.mark.parametrize(("event", "seconds"), DRILLS)
def test_a_drill_evacuates_marks_the_record_and_gives_back(event: Any, seconds: float) -> None:
    cluster = with_settings(a_node(), drills=True)
    node = after_turn(event, cluster)
    assert node is not None
    assert (node.state, node.drill, node.gentle, node.hooks) == (NodeState.EVACUATING, True, True, ())
    assert (node.deadline, node.back) == (START + seconds, START + seconds + 30)
    assert decide(event, cluster).measures == (Measure(Metric.DRILLS, instance=WORKER),)


@pytest.mark.parametrize(("event", "_"), DRILLS)
def test_where_drills_are_not_allowed_nothing_happens(event: Any, _: float) -> None:
    plan = decide(event, with_settings(a_node()))
    assert (plan.actions, plan.reason.startswith("a drill, but this cluster allows none")) == ((), True)


@pytest.mark.parametrize(
    "event",
    [
        InstanceStateChanged(START, WORKER, InstanceState.TERMINATED, drill=True),
        InstanceStateChanged(START, WORKER, InstanceState.RUNNING, drill=True),
        FleetInstanceChanged(START, WORKER, FleetChange.TERMINATED, drill=True),
        FleetInstanceChanged(START, WORKER, FleetChange.LAUNCHED, drill=True),
        LaunchLifecycleAction(START, WORKER, LAUNCH, drill=True),
    ],
)
@pytest.mark.parametrize("state", NodeState)
def test_a_drill_never_removes_joins_or_terminates(event: Any, state: NodeState) -> None:
    assert decide(event, with_settings(a_node(state=state), drills=True)).actions == ()


def test_the_drilled_end_of_an_instance_gives_its_node_back_at_once() -> None:
    event = InstanceStateChanged(START, WORKER, InstanceState.TERMINATED, drill=True)
    empty = a_node(state=NodeState.EVACUATED, due=START + 99, back=START + 99, drill=True)
    node = after(event, with_settings(empty, drills=True))
    assert node is not None
    assert (node.state, node.due) == (NodeState.EVACUATED, START)


def test_a_drill_that_comes_late_has_its_time_all_the_same() -> None:
    node = after_turn(replace(WARNING, drill=True), with_settings(a_node(), now=START + 500, drills=True))
    assert node is not None
    assert (node.deadline, node.back) == (START + 620, START + 650)


def test_a_drilled_manager_says_so_until_it_is_in_service_again() -> None:
    node = a_node(state=NodeState.RETURNING, role=Role.MANAGER, drill=True, command="c", manager="m")
    ended = CommandFinished(
        START, "c", "m", AgentTask.GIVE_BACK, "Success", replace(ACTIVE, task=AgentTask.GIVE_BACK)
    )
    node = after(ended, a_cluster(node)) or node
    assert (node.state, node.drill) == (NodeState.ACTIVATING, True)
    failing = replace(node, attempts=12, due=START)
    raised = next(
        action for action in decide(Tick(), a_cluster(failing)).actions if isinstance(action, Notify)
    )
    assert raised.incident.drill
    ended = CommandFinished(START, "c", "m", AgentTask.ACTIVATE, "Success", ACTIVE)
    served = after(ended, a_cluster(node.mark_sent("c", "m", due=START)))
    assert served is not None
    assert (served.state, served.drill) == (NodeState.IN_SERVICE, False)


def test_a_real_end_during_a_drill_removes_the_node() -> None:
    event = InstanceStateChanged(START, WORKER, InstanceState.TERMINATED)
    node = after(event, a_cluster(a_node(state=NodeState.EVACUATED, back=START + 99, drill=True)))
    assert node is not None
    assert (node.state, node.drill, node.back) == (NodeState.LEAVING, False, 0.0)
