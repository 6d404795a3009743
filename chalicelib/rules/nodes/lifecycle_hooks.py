"""Lifecycle hooks: what Auto Scaling holds for us is completed when the phase ends, however it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Complete, Dispatch, Heartbeat, LifecycleResult, Plan, Register, ReplaceRecord
from chalicelib.rules.nodes import evacuate, leave, scheduled_change
from chalicelib.state.instance import Role, Transition
from chalicelib.state.lifecycle import STANDING, NodeState
from chalicelib.state.node import Node

if TYPE_CHECKING:
    from chalicelib.events import LaunchLifecycleAction, TerminateLifecycleAction
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.instance import LifecycleAction

EVERY = 60.0  # seconds between heartbeats: Auto Scaling may be set to wait for no longer than a few minutes
EMPTIED = frozenset({NodeState.EVACUATED, NodeState.LEAVING, NodeState.GONE})


def on_launch_lifecycle_action(event: LaunchLifecycleAction, cluster: Cluster) -> Plan:
    """The group waits until the node is in service."""
    node = cluster.node(event.instance)
    if node is None:
        return _plan_without_record(event, cluster)
    if _is_known(node, event.hook):
        return _plan_for_known(node)
    after = _hold(node, event.hook, event.time, cluster)
    reason = f"{event.hook.group} waits for the node, which is {node.state}"
    return Plan(reason, (ReplaceRecord(node, after), *_dispatch_if_unsent(after)))


def on_terminate_lifecycle_action(event: TerminateLifecycleAction, cluster: Cluster) -> Plan:
    """The group waits until the node is empty; a node that never joined does not keep it waiting."""
    node = cluster.node(event.instance)
    if node is None:
        return _plan_without_record(event, cluster)
    if _is_known(node, event.hook):
        return _plan_for_known(node)
    after = _hold(node, event.hook, event.time, cluster)
    return Plan(
        f"{event.hook.group} ends the instance", (ReplaceRecord(node, after), *_dispatch_if_unsent(after))
    )


def adopt(node: Node, seen: tuple[LifecycleAction, ...], time: float, cluster: Cluster) -> Node | None:
    """The node with those actions seen at ``time`` of which no event told; None if there are none.

    A group may show an action for a while that is over: completed again, it stays so.
    """
    new = tuple(hook for hook in seen if not _is_known(node, hook))
    return replace(_hold(node, new[0], time, cluster), hooks=(*node.hooks, *new)) if new else None


def _hold(node: Node, hook: LifecycleAction, time: float, cluster: Cluster) -> Node:
    """The node once its group waits with this action: what the group ends is emptied first."""
    after = None
    tried = not hook.token and node.is_exhausted  # seen again, as another action still holds the instance
    if hook.transition is Transition.TERMINATING and not tried:
        until = evacuate.deadline(time, cluster.timeouts.evacuation_s, cluster.now)
        disruption = evacuate.Disruption(time, until, f"{hook.group} ends the instance")
        after = evacuate.apply(node, cluster.now, disruption)
    return replace(after or node.revise(), hooks=(*node.hooks, hook))


def results(node: Node) -> tuple[tuple[LifecycleAction, LifecycleResult], ...]:
    """The hooks of a node whose phase is over, and how it came out."""
    results = ((hook, _result(node, hook)) for hook in node.hooks)
    return tuple((hook, result) for hook, result in results if result)


def complete(node: Node, cluster: Cluster) -> Complete:
    """Complete what has ended and take it off the record, which is due again when its own work is."""
    over = results(node)
    done = [hook for hook, _ in over]
    after = node.revise(
        hooks=tuple(hook for hook in node.hooks if hook not in done), due=_due_without_hooks(node, cluster)
    )
    return Complete(over, ReplaceRecord(node, after), node.instance)


def _due_without_hooks(node: Node, cluster: Cluster) -> float | None:
    """When a node has to be looked at whose hooks are no reason for it."""
    if node.task:
        return node.due
    if node.state is NodeState.IN_SERVICE:
        return scheduled_change.next_due(node, cluster)
    return node.back or None


def heartbeat(node: Node, cluster: Cluster) -> Heartbeat | None:
    """Ask for more time, where there was no answer for a while and the work goes on, or may not end yet."""
    now = cluster.now
    late = tuple(hook for hook in node.hooks if now - max(hook.heartbeat, hook.opened) >= EVERY)
    if not late or (results(node) and not cluster.settings.paused):
        return None
    after = node.revise(
        hooks=tuple(replace(hook, heartbeat=now) if hook in late else hook for hook in node.hooks)
    )
    return Heartbeat(late, ReplaceRecord(node, after))


def _result(node: Node, hook: LifecycleAction) -> LifecycleResult | None:
    """CONTINUE or ABANDON once the phase that the hook holds is over; None before."""
    if hook.transition is Transition.LAUNCHING:
        if node.state in EMPTIED or node.is_exhausted:
            return LifecycleResult.ABANDON
        return LifecycleResult.CONTINUE if node.state is NodeState.IN_SERVICE else None
    # A node that stands has outlived the end that it was held for.
    over = node.state in EMPTIED or node.state in STANDING or node.is_exhausted
    return LifecycleResult.CONTINUE if over else None


def _plan_without_record(event: LaunchLifecycleAction | TerminateLifecycleAction, cluster: Cluster) -> Plan:
    result = LifecycleResult.CONTINUE
    if event.hook.transition is Transition.LAUNCHING:
        result = LifecycleResult.ABANDON
    reason = f"{event.instance} has no record in {cluster.name} any more: {event.hook.group} need not wait"
    if cluster.settings.paused:  # nothing is completed now, so that it has to be known later
        ended_before = Node(
            cluster=cluster.name,
            instance=event.instance,
            role=Role.WORKER,
            state=NodeState.GONE,
            since=event.time,
            due=cluster.now,
            reason=reason,
            hooks=(event.hook,),
            expires=cluster.now + leave.KEEP_GONE_S,
        )
        return Plan(reason, (Register((ended_before,)),))
    return Plan(reason, (Complete(((event.hook, result),), None, event.instance),))


def _is_known(node: Node, hook: LifecycleAction) -> bool:
    """By its token; one of which no event told has none, and is the one of its hook."""
    return any(
        known.token == hook.token
        if known.token and hook.token
        else (known.group, known.name) == (hook.group, hook.name)
        for known in node.hooks
    )


def _plan_for_known(node: Node) -> Plan:
    return Plan(f"the lifecycle action is known, the node is {node.state}", _dispatch_if_unsent(node))


def _dispatch_if_unsent(node: Node) -> tuple[Dispatch, ...]:
    return (Dispatch(node.instance),) if node.is_unsent and node.due is not None else ()
