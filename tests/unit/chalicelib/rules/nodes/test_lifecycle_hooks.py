"""Lifecycle actions are completed exactly when the phase ends that they hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Complete, Dispatch, Heartbeat, LifecycleResult, Notify, Register, ReplaceRecord
from chalicelib.events import (
    CommandFinished,
    LaunchLifecycleAction,
    TerminateLifecycleAction,
    Tick,
)
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.rules import decide
from chalicelib.rules.nodes.lifecycle_hooks import adopt, results
from chalicelib.state.cluster import Cluster
from chalicelib.state.instance import LifecycleAction
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from chalicelib.state.settings import ClusterSettings
from tests.unit.chalicelib.rules.nodes.support.lifecycle_actions import END, LAUNCH
from tests.unit.chalicelib.support.fakes import START, WORKER, a_cluster, a_node, instance

TRIED = {"attempts": 12, "command": ""}


def test_a_group_that_waits_for_a_joining_node_is_noted_and_the_join_sent() -> None:
    node = a_node(state=NodeState.JOINING, due=START)
    plan = decide(LaunchLifecycleAction(START, WORKER, LAUNCH), a_cluster(node))
    assert plan.actions == (ReplaceRecord(node, node.revise(hooks=(LAUNCH,))), Dispatch(WORKER))


def test_a_group_that_terminates_an_instance_evacuates_it_in_ten_minutes() -> None:
    node = a_node()
    move, dispatch = decide(TerminateLifecycleAction(START, WORKER, END), a_cluster(node)).actions
    assert isinstance(move, ReplaceRecord)
    assert (move.after.state, move.after.deadline, move.after.hooks) == (
        NodeState.EVACUATING,
        START + 600,
        (END,),
    )
    assert dispatch == Dispatch(WORKER)


def test_a_lifecycle_action_a_warning_and_a_state_change_are_one_evacuation() -> None:
    node = a_node(state=NodeState.EVACUATING, since=START, deadline=START + 120, command="out", due=START + 9)
    (move,) = decide(TerminateLifecycleAction(START, WORKER, END), a_cluster(node)).actions
    assert move == ReplaceRecord(node, node.revise(hooks=(END,)))


def test_the_same_action_twice_is_one() -> None:
    node = a_node(state=NodeState.EVACUATING, command="out", due=START + 9, hooks=(END,))
    assert decide(TerminateLifecycleAction(START, WORKER, END), a_cluster(node)).actions == ()


@pytest.mark.parametrize("seen", ["event", "tick"])
def test_an_evacuated_instance_that_enters_service_once_more_joins(seen: str) -> None:
    """As Standby ends, or a warm pool gives it back and the event about it is lost."""
    node = a_node(state=NodeState.EVACUATED, since=START - 60)
    cluster = a_cluster(node)
    if seen == "event":
        move = decide(LaunchLifecycleAction(START, WORKER, LAUNCH), cluster).actions[0]
        assert isinstance(move, ReplaceRecord)
        after: Node | None = move.after
    else:
        after = adopt(node, (LAUNCH,), START, cluster)
    assert after is not None
    assert (after.state, after.hooks, after.due) == (NodeState.JOINING, (LAUNCH,), cluster.now)
    assert results(after) == ()


def test_a_late_copy_of_a_launch_does_not_bring_an_evacuated_node_back() -> None:
    node = a_node(state=NodeState.EVACUATED, since=START + 60)
    after = adopt(node, (LAUNCH,), START, a_cluster(node))
    assert after is not None
    assert after.state is NodeState.EVACUATED


VERDICTS = [
    (a_node(state=NodeState.JOINING), LAUNCH, None),
    (a_node(state=NodeState.ACTIVATING), LAUNCH, None),
    (a_node(), LAUNCH, LifecycleResult.CONTINUE),
    (a_node(state=NodeState.JOINING, **TRIED), LAUNCH, LifecycleResult.ABANDON),
    (a_node(state=NodeState.EVACUATING), LAUNCH, None),
    (a_node(state=NodeState.EVACUATING, **TRIED), LAUNCH, LifecycleResult.ABANDON),
    (a_node(state=NodeState.EVACUATED), LAUNCH, LifecycleResult.CONTINUE),
    (a_node(state=NodeState.EVACUATED, announced=True), LAUNCH, LifecycleResult.ABANDON),
    (a_node(state=NodeState.EVACUATED, fate=Fate.ABSENT.value), LAUNCH, LifecycleResult.ABANDON),
    (a_node(state=NodeState.GONE), LAUNCH, LifecycleResult.ABANDON),
    (a_node(state=NodeState.EVACUATING), END, None),
    (a_node(state=NodeState.EVACUATING, **TRIED), END, LifecycleResult.CONTINUE),
    (a_node(state=NodeState.EVACUATED), END, LifecycleResult.CONTINUE),
    (a_node(state=NodeState.LEAVING), END, LifecycleResult.CONTINUE),
    (a_node(state=NodeState.GONE), END, LifecycleResult.CONTINUE),
    (a_node(state=NodeState.JOINING), END, LifecycleResult.CONTINUE),
]


@pytest.mark.parametrize(("node", "hook", "result"), VERDICTS)
def test_a_hook_ends_with_its_phase(
    node: Node, hook: LifecycleAction, result: LifecycleResult | None
) -> None:
    assert results(replace(node, hooks=(hook,))) == (((hook, result),) if result else ())


def test_a_group_that_launches_and_terminates_an_instance_is_told_both_ends() -> None:
    node = a_node(state=NodeState.EVACUATED, hooks=(LAUNCH, END))
    assert results(node) == ((LAUNCH, LifecycleResult.ABANDON), (END, LifecycleResult.CONTINUE))


def test_a_node_that_never_joined_does_not_keep_its_group_waiting() -> None:
    node = a_node(state=NodeState.GONE)
    move, complete = decide(TerminateLifecycleAction(START, WORKER, END), a_cluster(node)).actions
    marked = replace(node.revise(hooks=(END,)), due=START)
    assert move == ReplaceRecord(node, marked)
    done = ReplaceRecord(marked, marked.revise(hooks=(), due=None))
    assert complete == Complete(((END, LifecycleResult.CONTINUE),), done, WORKER)


@pytest.mark.parametrize(
    ("event", "result"),
    [
        (TerminateLifecycleAction(START, WORKER, END), LifecycleResult.CONTINUE),
        (LaunchLifecycleAction(START, WORKER, LAUNCH), LifecycleResult.ABANDON),
    ],
)
def test_an_instance_without_a_record_does_not_keep_its_group_waiting(
    event: LaunchLifecycleAction, result: LifecycleResult
) -> None:
    assert decide(event, a_cluster()).actions == (Complete(((event.hook, result),), None, WORKER),)


def test_the_tick_sends_heartbeats_and_completes_what_a_crash_left_open() -> None:
    busy = a_node(state=NodeState.EVACUATING, command="out", due=START + 99, hooks=(END,))
    left = a_node(instance="i-0000000000000000c", state=NodeState.EVACUATED, due=START, hooks=(END,))
    complete, heartbeat = decide(Tick(), a_cluster(busy, left, now=START + 60)).actions
    assert isinstance(heartbeat, Heartbeat)
    assert heartbeat.change.after.hooks == (replace(END, heartbeat=START + 60),)
    assert isinstance(complete, Complete)
    assert complete.instance == left.instance


def test_of_very_many_late_heartbeats_a_tick_sends_the_latest_first() -> None:
    nodes = [
        a_node(
            instance=instance(number),
            state=NodeState.EVACUATING,
            command="out",
            due=START + 9999,
            hooks=(replace(END, heartbeat=START + number),),
        )
        for number in range(300)
    ]
    heartbeats = decide(Tick(), a_cluster(*reversed(nodes), now=START + 1000)).actions
    assert [heartbeat.instance for heartbeat in heartbeats if isinstance(heartbeat, Heartbeat)] == [
        instance(number) for number in range(200)
    ]


def paused(cluster: Cluster) -> Cluster:
    return replace(cluster, settings=ClusterSettings(paused=True))


@pytest.mark.parametrize(
    "node",
    [
        a_node(state=NodeState.EVACUATING, command="out", due=START + 99, hooks=(END,)),
        a_node(due=START, hooks=(LAUNCH,)),
    ],
    ids=["at work", "done, but nothing is completed now"],
)
def test_a_paused_cluster_sends_heartbeats_and_completes_nothing(node: Node) -> None:
    (heartbeat,) = decide(Tick(), paused(a_cluster(node, now=START + 60))).actions
    assert isinstance(heartbeat, Heartbeat)
    assert heartbeat.hooks == node.hooks


def test_an_action_without_a_record_is_recorded_while_the_cluster_is_paused() -> None:
    event = TerminateLifecycleAction(START, WORKER, END)
    (register,) = decide(event, paused(a_cluster())).actions
    assert isinstance(register, Register)
    (node,) = register.nodes
    assert (node.state, node.hooks, node.due) == (NodeState.GONE, (END,), START)
    steps = decide(Tick(), a_cluster(node, now=START + 60)).actions
    (complete,) = (step for step in steps if isinstance(step, Complete))
    assert complete.results == ((END, LifecycleResult.CONTINUE),)


def test_a_completion_refused_for_minutes_is_one_incident_for_each_group() -> None:
    left = [
        a_node(instance=instance(number), state=NodeState.EVACUATED, due=START, hooks=(END,))
        for number in range(3)
    ]
    kinds = [type(action) for action in decide(Tick(), a_cluster(*left, now=START + 300)).actions]
    assert kinds == [Complete] * 3
    *others, message = decide(Tick(), a_cluster(*left, now=START + 301)).actions
    assert [type(action) for action in others] == [Complete] * 3
    assert isinstance(message, Notify)
    assert (message.incident.key, message.incident.expires) == ("hook#workers", START + 301 + 3600)
    waited = [replace(node, hooks=(replace(END, heartbeat=START + 290),)) for node in left]
    after_a_pause = decide(Tick(), a_cluster(*waited, now=START + 301)).actions
    assert [type(action) for action in after_a_pause] == [Complete] * 3


def test_there_is_no_heartbeat_before_it_is_time() -> None:
    busy = a_node(state=NodeState.EVACUATING, command="out", due=START + 99, hooks=(END,))
    assert decide(Tick(), a_cluster(busy, now=START + 59)).actions == ()


def test_a_launch_that_was_given_up_is_an_incident_and_abandoned() -> None:
    node = a_node(state=NodeState.JOINING, due=START, hooks=(LAUNCH,), **TRIED)
    message, complete = decide(Tick(), a_cluster(node)).actions
    assert isinstance(message, Notify)
    assert isinstance(complete, Complete)
    assert complete.results == ((LAUNCH, LifecycleResult.ABANDON),)


WARM = replace(LAUNCH, warm=True)
INTO_POOL = LaunchLifecycleAction(START, WORKER, WARM)
OUT_OF_POOL = LaunchLifecycleAction(START, WORKER, LAUNCH, from_pool=True)


@pytest.mark.parametrize("state", [NodeState.JOINING, NodeState.GONE, NodeState.EVACUATED])
def test_a_group_that_fills_its_warm_pool_is_not_kept_waiting(state: NodeState) -> None:
    node = a_node(state=state, since=START - 60, due=START + 99)
    actions = decide(INTO_POOL, a_cluster(node)).actions
    (complete,) = [action for action in actions if isinstance(action, Complete)]
    assert complete.results == ((WARM, LifecycleResult.CONTINUE),)
    assert complete.change is not None
    assert (complete.change.after.state, complete.change.after.hooks) == (state, ())
    (without_record,) = decide(INTO_POOL, a_cluster()).actions
    assert isinstance(without_record, Complete)
    assert without_record.results == ((WARM, LifecycleResult.CONTINUE),)


@pytest.mark.parametrize("state", [NodeState.EVACUATED, NodeState.LEAVING, NodeState.GONE])
def test_an_instance_that_enters_service_from_the_warm_pool_joins(state: NodeState) -> None:
    node = a_node(state=state, since=START - 60, node="abc")
    change, dispatch = decide(OUT_OF_POOL, a_cluster(node)).actions
    assert isinstance(change, ReplaceRecord)
    after = change.after
    assert (after.state, after.node, after.due, after.hooks) == (NodeState.JOINING, "", START, (LAUNCH,))
    assert (after.version, dispatch) == (2, Dispatch(WORKER))
    late = replace(node, since=START + 5)
    assert decide(OUT_OF_POOL, a_cluster(late)).reason.startswith("workers waits for the node, which is ")


def test_one_that_was_running_in_the_warm_pool_is_asked_again_at_once() -> None:
    node = a_node(state=NodeState.JOINING, since=START - 60, due=START + 800, attempts=3, fate="warm")
    change, dispatch = decide(OUT_OF_POOL, a_cluster(node)).actions
    assert isinstance(change, ReplaceRecord)
    assert (change.after.due, change.after.attempts, dispatch) == (START, 0, Dispatch(WORKER))


def test_a_warm_instance_waits_without_being_given_up() -> None:
    node = a_node(state=NodeState.JOINING, since=START - 60, command="c", manager=WORKER, attempts=12)
    said = NodeReport(WORKER, "", Fate.WARM, "its Auto Scaling group keeps it in a warm pool")
    result = Result(AgentTask.JOIN, ok=False, nodes=(said,))
    ended = CommandFinished(START, "c", WORKER, AgentTask.JOIN, "Failed", result)
    (change,) = decide(ended, a_cluster(node)).actions
    assert isinstance(change, ReplaceRecord)
    after = change.after
    assert (after.state, after.attempts, after.due, after.reason) == (
        NodeState.JOINING,
        0,
        START + 900,
        said.detail,
    )
