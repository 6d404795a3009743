"""What follows from a record alone: hooks are completed, what was tried in vain too often is given up.

Every plan ends with it, and the tick finds what a crash left: until it is done the record is due.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from chalicelib.actions import Notify, Plan, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules.nodes import lifecycle_hooks, scheduled_change
from chalicelib.state.incident import Incident
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

KEPT = 30 * 86_400.0  # seconds that a dead letter stays
LEFT = {
    AgentTask.JOIN: "the instance runs, but is no node of the swarm",
    AgentTask.ACTIVATE: "the node is in the swarm, but has no tasks: it stays drained",
    AgentTask.EVACUATE: "the node may still run tasks; Swarm replaces them when its instance ends",
    AgentTask.GIVE_BACK: "the node is empty and stays drained",
    AgentTask.LEAVE: "the node of the ended instance is still listed in the swarm",
}


def extend(plan: Plan, cluster: Cluster) -> Plan:
    """The plan with what follows from each record that it changes, right after the change."""
    actions: list[Action] = []
    measures = list(plan.measures)
    for action in plan.actions:
        if not isinstance(action, ReplaceRecord):
            actions.append(action)
            continue
        marked = _mark_due(action.after, cluster)
        actions.append(replace(action, after=marked))
        if not cluster.settings.paused:
            actions += finish(marked, cluster)
            measures += () if action.before.is_given_up else measure_given_up(marked)
    return replace(plan, actions=tuple(actions), measures=tuple(measures))


def finish(node: Node, cluster: Cluster) -> tuple[Action, ...]:
    """Tell of what was tried too often; complete the hooks whose phase is over, and only then give up.

    A group that is told to abandon an instance ends it: then it has to be told already what went wrong.
    """
    over = node.is_exhausted and node.due is not None
    told: tuple[Action, ...] = (Notify(dead_letter(node, cluster)),) if over else ()
    if lifecycle_hooks.results(node):
        return (*told, lifecycle_hooks.complete(node, cluster))
    reason = f"given up after {node.attempts} attempts: {node.reason}"
    return (*told, ReplaceRecord(node, node.revise(due=None, reason=reason))) if over else ()


def measure_given_up(node: Node) -> tuple[Measure, ...]:
    """Counted when it happens."""
    over = node.is_exhausted and not lifecycle_hooks.results(node)
    return (Measure(Metric.GIVEN_UP, instance=node.instance),) if over else ()


def dead_letter(node: Node, cluster: Cluster) -> Incident:
    """Work that is given up: what it was, what was left as it is, and all that is needed to run it again."""
    assert node.task is not None  # noqa: S101 - only open work can be given up
    name = node.task.value
    call = json.dumps({"cluster": cluster.name, "instance": node.instance})
    return Incident(
        key=dead_letter_key(node),
        at=cluster.now,
        what=f"{name} was given up after {node.attempts} attempts: {node.reason}",
        left=LEFT[node.task],
        remedy=f"mend the cause, then: echo '{call}' | chalice invoke -n redrive",
        instance=node.instance,
        node=node.node,
        record=json.dumps(asdict(node), sort_keys=True),
        drill=node.drill,
        expires=cluster.now + KEPT,
    )


def dead_letter_key(node: Node) -> str:
    """The name of a dead letter: instance and phase."""
    return f"{node.task.value if node.task else node.state}#{node.instance}#{node.since:.0f}"


def _mark_due(node: Node, cluster: Cluster) -> Node:
    """Due now where something has ended, so that a crash before it is closed is found.

    A node in service is due when its next scheduled change comes near, however it came into service.
    """
    if lifecycle_hooks.results(node):
        due = cluster.now if node.due is None else min(node.due, cluster.now)
        return replace(node, due=due)
    return (
        replace(node, due=scheduled_change.next_due(node, cluster))
        if node.state is NodeState.IN_SERVICE
        else node
    )
