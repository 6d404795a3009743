"""Lifecycle actions that the discovery sees: those without an event are added and completed too."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.actions import Complete, Dispatch, Register, ReplaceRecord
from chalicelib.events import (
    InstancesDiscovered,
    InstanceStateChanged,
    TerminateLifecycleAction,
)
from chalicelib.rules import decide
from chalicelib.state.instance import InstanceState, LifecycleAction, Transition
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from tests.unit.chalicelib.rules.nodes.support.lifecycle_actions import END, LAUNCH
from tests.unit.chalicelib.support.fakes import START, WORKER, a_cluster, a_discovered_instance, a_node

SEEN_LAUNCH, SEEN_END = (replace(hook, token="") for hook in (LAUNCH, END))


def seen(node: Node, *hooks: LifecycleAction) -> Node | None:
    """Return the node after a discovery that shows these actions, before its plan is finalized."""
    discovered = a_discovered_instance(node.instance, hooks=hooks, group="workers")
    moves = [
        action
        for action in decide(
            InstancesDiscovered(START + 60, (discovered,)), a_cluster(node, now=START + 60)
        ).actions
        if isinstance(action, ReplaceRecord)
    ]
    return moves[0].after if moves else None


def test_an_action_without_an_event_is_added_by_the_discovery_and_work_goes_on() -> None:
    joining = a_node(state=NodeState.JOINING, due=START)
    assert seen(joining, SEEN_LAUNCH) == joining.revise(hooks=(SEEN_LAUNCH,))
    served = a_node()
    assert seen(served, SEEN_LAUNCH) == replace(served.revise(hooks=(SEEN_LAUNCH,)), due=START + 60), (
        "due now"
    )


def test_a_terminating_action_without_an_event_begins_the_evacuation_too() -> None:
    after = seen(a_node(), SEEN_END)
    assert after
    assert (after.state, after.deadline, after.hooks) == (NodeState.EVACUATING, START + 660, (SEEN_END,))


def test_an_action_seen_again_does_not_restart_an_evacuation_that_was_given_up() -> None:
    tried = a_node(state=NodeState.EVACUATING, attempts=12, due=None, deadline=START - 60)
    assert tried.is_exhausted
    after = seen(tried, SEEN_END)
    assert after
    assert (after.attempts, after.deadline, after.hooks) == (12, START - 60, (SEEN_END,))


def test_an_action_known_by_its_event_is_not_added_again_by_the_discovery() -> None:
    busy = {"state": NodeState.EVACUATING, "command": "out", "due": START + 99}
    assert seen(a_node(**busy, hooks=(END,)), SEEN_END) is None
    found = a_node(**busy, hooks=(SEEN_END,))
    assert decide(TerminateLifecycleAction(START, WORKER, END), a_cluster(found)).actions == ()
    another = LifecycleAction("workers", "leave", "token-3", Transition.TERMINATING, START)
    assert decide(
        TerminateLifecycleAction(START, WORKER, another), a_cluster(a_node(**busy, hooks=(END,)))
    ).actions


def test_a_new_instance_is_enrolled_with_its_hooks() -> None:
    (register,) = (
        action
        for action in decide(
            InstancesDiscovered(START, (a_discovered_instance(hooks=(SEEN_LAUNCH,)),)), a_cluster(managers=())
        ).actions
    )
    assert isinstance(register, Register)
    assert register.nodes[0].hooks == (SEEN_LAUNCH,)


def test_lifecycle_actions_are_added_only_after_all_other_changes() -> None:
    ended = a_discovered_instance(state=InstanceState.TERMINATED, hooks=(SEEN_END,))
    (move, *_) = decide(InstancesDiscovered(START, (ended,)), a_cluster(a_node(), managers=())).actions
    assert isinstance(move, ReplaceRecord)
    assert (move.after.state, move.after.hooks) == (NodeState.LEAVING, ())
    again = decide(InstancesDiscovered(START, (ended,)), a_cluster(move.after, managers=())).actions
    assert [type(action) for action in again] == [ReplaceRecord, Complete]


def test_an_end_without_an_event_of_the_group_completes_its_action_too() -> None:
    node = a_node(state=NodeState.EVACUATING, command="out", due=START + 9, hooks=(END,))
    event = InstanceStateChanged(START, WORKER, InstanceState.TERMINATED)
    kinds = [type(action) for action in decide(event, a_cluster(node)).actions]
    assert kinds == [ReplaceRecord, Complete, Dispatch]
