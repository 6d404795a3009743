"""Lifecycle hooks: an Auto Scaling group waits for a node until its lifecycle action is completed.

Lifecycle action, node -> plan:
    new, launching       any                                        recorded; the group waits
    new, terminating     not known to end                           recorded; evacuating
    known                any                                        send what is unsent
    new, launching       evacuated, and no end is announced         joining
    new, launching from  evacuated or removed                       joining
      the warm pool      joining, in a back-off                     sent at once
    launching into the   any, also none                             completed: CONTINUE; the host itself sees
      warm pool                                                     that it is not to join yet
    launching            in service                                 completed: CONTINUE
    launching            evacuated, and no end is announced         completed: CONTINUE
    launching            evacuated else, removed, work given up     completed: ABANDON
    terminating          evacuated or removed, or work given up     completed: CONTINUE
    terminating          it has survived the end that was planned   completed: CONTINUE
    any                  the work goes on for HEARTBEAT_S more      heartbeat
    launching            has no record                              completed: ABANDON
    terminating          has no record                              completed: CONTINUE
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Complete, Dispatch, Heartbeat, LifecycleResult, Plan, Register, ReplaceRecord
from chalicelib.events import LaunchLifecycleAction
from chalicelib.protocol.messages import Fate
from chalicelib.rules.nodes import evacuate, leave, turns
from chalicelib.state.instance import Role, Transition
from chalicelib.state.lifecycle import EMPTY, STAYING, NodeState
from chalicelib.state.node import Node

if TYPE_CHECKING:
    from chalicelib.events import TerminateLifecycleAction
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.instance import LifecycleAction

HEARTBEAT_S = 60.0  # between heartbeats: a group may be set to wait for no longer than a few minutes


def on_lifecycle_action(
    event: LaunchLifecycleAction | TerminateLifecycleAction, node: Node, cluster: Cluster
) -> Plan:
    """Record that a group waits; evacuate a node whose instance it terminates."""
    hook = event.hook
    if _is_known(node, hook):
        return Plan(f"the lifecycle action is known, the node is {node.state}", _dispatch_if_unsent(node))
    from_pool = isinstance(event, LaunchLifecycleAction) and event.from_pool
    after = _add(
        _enter_service(node, hook, event.time, cluster, from_pool=from_pool), hook, event.time, cluster
    )
    reason = f"{hook.group} waits for the node, which is {node.state}"
    if hook.transition is Transition.TERMINATING:
        reason = f"{hook.group} ends the instance"
    return Plan(reason, (ReplaceRecord(node, after), *_dispatch_if_unsent(after)))


def plan_without_record(event: LaunchLifecycleAction | TerminateLifecycleAction, cluster: Cluster) -> Plan:
    """Complete the lifecycle action of an instance without a record; in a paused cluster, record it."""
    hook = event.hook
    launching = hook.transition is Transition.LAUNCHING
    result = LifecycleResult.ABANDON if launching and not hook.warm else LifecycleResult.CONTINUE
    reason = f"{event.instance} has no record in {cluster.name} any more: {hook.group} need not wait"
    if not cluster.settings.paused:
        return Plan(reason, (Complete(((hook, result),), None, event.instance),))
    # Nothing is completed now, so it has to be known later.
    node = Node(cluster=cluster.name, instance=event.instance, role=Role.WORKER, hooks=(hook,))
    gone = leave.record_as_gone(node, since=event.time, now=cluster.now, due=cluster.now, reason=reason)
    return Plan(reason, (Register((gone,)),))


def adopt(node: Node, seen: tuple[LifecycleAction, ...], time: float, cluster: Cluster) -> Node | None:
    """Return the node with the new ones of the lifecycle actions seen at ``time``; None for no change.

    A group may show a completed action for a while: completing it again changes nothing.
    """
    new = tuple(hook for hook in seen if not _is_known(node, hook))
    if not new:
        return None
    after = _add(_enter_service(node, new[0], time, cluster), new[0], time, cluster)
    return replace(after, hooks=(*node.hooks, *new))


def results(node: Node) -> tuple[tuple[LifecycleAction, LifecycleResult], ...]:
    """Return the lifecycle actions that are over, each with its result."""
    known = ((hook, _result(node, hook)) for hook in node.hooks)
    return tuple((hook, result) for hook, result in known if result)


def complete(node: Node, cluster: Cluster) -> Complete:
    """Complete the lifecycle actions that are over and take them off the record."""
    over = results(node)
    done = [hook for hook, _ in over]
    left = tuple(hook for hook in node.hooks if hook not in done)
    after = node.revise(hooks=left, due=_due_without_hooks(node, cluster))
    return Complete(over, ReplaceRecord(node, after), node.instance)


def heartbeat(node: Node, cluster: Cluster) -> Heartbeat | None:
    """Ask Auto Scaling for more time, if the last answer is old and the actions are not completed now."""
    now = cluster.now
    late = tuple(hook for hook in node.hooks if now - max(hook.heartbeat, hook.opened) >= HEARTBEAT_S)
    if not late or (results(node) and not cluster.settings.paused):
        return None
    hooks = tuple(replace(hook, heartbeat=now) if hook in late else hook for hook in node.hooks)
    return Heartbeat(late, ReplaceRecord(node, node.revise(hooks=hooks)))


def _enter_service(
    node: Node, hook: LifecycleAction, time: float, cluster: Cluster, *, from_pool: bool = False
) -> Node:
    """Return the node of an instance that enters service once more: it joins, now."""
    if hook.transition is not Transition.LAUNCHING or hook.warm or time <= node.since:
        return node
    if _is_out_for_a_while(node) or (from_pool and node.state in EMPTY):
        reason = f"it enters service {'from the warm pool' if from_pool else 'once more'}"
        after = node.enter(NodeState.JOINING, since=time, due=cluster.now, reason=reason, node="")
        return replace(after, version=node.version)
    waits = from_pool and node.state is NodeState.JOINING and not node.command
    return replace(node, due=cluster.now, attempts=0) if waits else node


def _is_out_for_a_while(node: Node) -> bool:
    """Tell whether it was evacuated by hand, for a hint or for a pool.

    One that its group terminates, or that never was in the swarm, is of no use to the group.
    """
    ends = node.announced or any(hook.transition is Transition.TERMINATING for hook in node.hooks)
    return node.state is NodeState.EVACUATED and not ends and node.fate != Fate.ABSENT.value


def _add(node: Node, hook: LifecycleAction, time: float, cluster: Cluster) -> Node:
    """Add a lifecycle action to the record; a node whose instance is terminated is evacuated first."""
    after = None
    tried = not hook.token and node.is_exhausted  # seen again, as another action still holds the instance
    if hook.transition is Transition.TERMINATING and not tried:
        until = evacuate.deadline(time, cluster.timeouts.evacuation_s, cluster.now)
        disruption = evacuate.Disruption(time, until, f"{hook.group} ends the instance")
        after = evacuate.apply(node, cluster.now, disruption)
    return replace(after or node.revise(), hooks=(*node.hooks, hook))


def _result(node: Node, hook: LifecycleAction) -> LifecycleResult | None:
    """Return CONTINUE or ABANDON once the phase is over for which the group waits; None before."""
    if hook.warm:
        return LifecycleResult.CONTINUE
    if hook.transition is Transition.LAUNCHING:
        if node.state is NodeState.IN_SERVICE or _is_out_for_a_while(node):
            return LifecycleResult.CONTINUE
        return LifecycleResult.ABANDON if node.state in EMPTY or node.is_exhausted else None
    # A node that stays has survived the end for which its group waited.
    over = node.state in EMPTY or node.state in STAYING or node.is_exhausted
    return LifecycleResult.CONTINUE if over else None


def _due_without_hooks(node: Node, cluster: Cluster) -> float | None:
    """Return when the tick has to look at a node apart from its lifecycle actions."""
    if node.task:
        return node.due
    if node.state is NodeState.IN_SERVICE:
        return turns.next_due(node, cluster)
    return node.back or None


def _is_known(node: Node, hook: LifecycleAction) -> bool:
    """Compare by token; an action without an event has none, and is compared by its hook."""
    return any(
        known.token == hook.token
        if known.token and hook.token
        else (known.group, known.name) == (hook.group, hook.name)
        for known in node.hooks
    )


def _dispatch_if_unsent(node: Node) -> tuple[Dispatch, ...]:
    return (Dispatch(node.instance),) if node.is_unsent and node.due is not None else ()
