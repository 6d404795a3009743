"""What follows from a record alone, whatever rule changed it; every plan ends with this.

    record                                        plan
    its lifecycle actions are over                complete them
    all attempts were made in vain                notify people, then let the work rest (dead letter)
    in service, with an evacuation planned        due when the node has to be empty

Until it is done the record is due, so that the tick finds what a crash left undone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Notify, Plan, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.rules import incidents
from chalicelib.rules.nodes import lifecycle_hooks, turns
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node


def extend(plan: Plan, cluster: Cluster) -> Plan:
    """Return the plan with what follows from each record that it changes, right after the change."""
    actions: list[Action] = []
    measures = list(plan.measures)
    for action in plan.actions:
        if not isinstance(action, ReplaceRecord):
            actions.append(action)
            continue
        after = _set_due(action.after, cluster)
        actions.append(replace(action, after=after))
        may_be_over = after.hooks or after.is_exhausted
        if may_be_over and not cluster.settings.paused:
            actions += finish(after, cluster)
            measures += () if action.before.is_given_up else _measure_given_up(after)
    return replace(plan, actions=tuple(actions), measures=tuple(measures))


def finish(node: Node, cluster: Cluster) -> tuple[Action, ...]:
    """Notify of work that was tried too often, complete lifecycle actions, and only then give up.

    A group that has to abandon an instance terminates it: people have to know before what went wrong.
    """
    giving_up = node.is_exhausted and node.due is not None
    message: tuple[Action, ...] = ()
    if giving_up:
        message = (Notify(incidents.node_work_given_up(node, cluster)),)
    if lifecycle_hooks.results(node):
        return (*message, lifecycle_hooks.complete(node, cluster))
    reason = f"given up after {node.attempts} attempts: {node.reason}"
    return (*message, ReplaceRecord(node, node.revise(due=None, reason=reason))) if giving_up else ()


def _measure_given_up(node: Node) -> tuple[Measure, ...]:
    giving_up = node.is_exhausted and not lifecycle_hooks.results(node)
    return (Measure(Metric.GIVEN_UP, instance=node.instance),) if giving_up else ()


def _set_due(node: Node, cluster: Cluster) -> Node:
    """Make the record due: now if lifecycle actions are over, in service when an evacuation is planned."""
    if node.hooks and lifecycle_hooks.results(node):
        due = cluster.now if node.due is None else min(node.due, cluster.now)
        return replace(node, due=due)
    if node.state is NodeState.IN_SERVICE:
        return replace(node, due=turns.next_due(node, cluster))
    return node
