"""Evacuate: a node that is about to end is emptied inside the time that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Measure, Metric, Move, Plan
from chalicelib.cluster import NodeState
from chalicelib.events import Ending
from chalicelib.protocol import DONE
from chalicelib.rules import again

if TYPE_CHECKING:
    from chalicelib.cluster import Cluster, Node, Policy
    from chalicelib.events import CommandFinished, SpotInterruptionWarning
    from chalicelib.protocol import NodeReport


def on_spot_interruption_warning(event: SpotInterruptionWarning, cluster: Cluster) -> Plan:
    """The first warning begins the evacuation; every other one finds it begun."""
    node = cluster.node(event.instance)
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    if event.time < node.launched:
        return Plan("the warning is older than the instance's last start", measures=(_twice(node),))
    if node.state is NodeState.IN_SERVICE and event.time < node.since:
        return Plan("the warning is of an end from which the instance was spared", measures=(_twice(node),))
    if node.state is not NodeState.IN_SERVICE:
        # Recorded but not sent means that the first handler is still at it, or died.
        actions = (Dispatch(node.instance),) if node.unsent else ()
        return Plan(f"already {node.state}", actions, (_twice(node),))
    deadline = event.time + lead(event.ending, cluster.policy)
    reason = f"EC2 will {event.ending} it, {max(deadline - cluster.now, 0):.0f} s are left"
    after = begun(node, cluster.now, since=event.time, deadline=deadline, reason=reason)
    counted = Measure(Metric.INTERRUPTIONS, instance=node.instance)
    return Plan(reason, (Move(node, after), Dispatch(node.instance)), (counted,))


def lead(ending: Ending, policy: Policy) -> float:
    """Seconds between a warning and the end: none for hibernation, which begins at once."""
    return 0.0 if ending is Ending.HIBERNATE else policy.notice


def begun(node: Node, now: float, *, since: float, deadline: float, reason: str) -> Node:
    """The node as it is when its evacuation begins; due at once."""
    return node.to(NodeState.EVACUATING, since=since, deadline=deadline, due=now, reason=reason)


def concluded(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """The node after an evacuate command: evacuated if the agent says that it is empty, else open again."""
    if report is None or report.fate not in DONE:
        return again.after_failure(node, report, event, now)
    return node.to(
        NodeState.EVACUATED,
        since=event.time,
        reason=f"{report.fate.value}: {report.detail}" if report.detail else report.fate.value,
        fate=report.fate.value,
        node=report.node or node.node,
        command=event.command,
        manager=event.manager,
    )


def _twice(node: Node) -> Measure:
    return Measure(Metric.DUPLICATES, instance=node.instance)
