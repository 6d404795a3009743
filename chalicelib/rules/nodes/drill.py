"""Drills: the events of a rehearsal. A node is emptied as for the real event and given back; nothing ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Plan, ReplaceRecord
from chalicelib.events import (
    Change,
    ChangeScheduled,
    FleetInstanceChanged,
    InstanceStateChanged,
    RebalanceRecommended,
    SpotInterruptionWarning,
    TerminateLifecycleAction,
)
from chalicelib.metrics import Measure, Metric
from chalicelib.rules.nodes import evacuate
from chalicelib.state.instance import GOING, OVER
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.events import InstanceEvent
    from chalicelib.state.cluster import Cluster


def on_drill(event: InstanceEvent, cluster: Cluster) -> Plan:
    """What the real event would do to a node in service, as far as it can be undone."""
    node = cluster.node(event.instance)
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    if _ends(event) and node.drill and node.state is NodeState.EVACUATED:
        after = node.revise(due=cluster.now, back=event.time)
        return Plan(
            "a drill: the instance would have ended, its node is given back", (ReplaceRecord(node, after),)
        )
    seconds = _notice(event, cluster)
    if seconds is None:
        return Plan("a drill: nothing to rehearse, the real event would change nothing or end something")
    if node.state is not NodeState.IN_SERVICE:
        return Plan(f"a drill: the node is {node.state}, only one in service is drilled")
    deadline = evacuate.deadline(event.time, seconds, cluster.now)
    reason = f"a drill: {max(deadline - cluster.now, 0):.0f} s to empty it, then it is given back"
    disruption = evacuate.Disruption(
        event.time, deadline, reason, deadline + cluster.timeouts.drill_s, drill=True
    )
    return evacuate.plan_for(node, cluster, disruption, Measure(Metric.DRILLS, instance=node.instance))


def _ends(event: InstanceEvent) -> bool:
    if isinstance(event, FleetInstanceChanged):
        return event.change is Change.TERMINATED
    return isinstance(event, InstanceStateChanged) and event.state in OVER


def _notice(event: InstanceEvent, cluster: Cluster) -> float | None:
    """Seconds from the event to the end that it rehearses; None where there is nothing to empty."""
    match event:
        case SpotInterruptionWarning():
            return evacuate.notice_s(event.ending, cluster.timeouts)
        case FleetInstanceChanged():
            return cluster.timeouts.notice_s if event.change is Change.TERMINATION_NOTIFIED else None
        case InstanceStateChanged():
            return cluster.timeouts.shutdown_s if event.state in GOING else None
        case RebalanceRecommended() | TerminateLifecycleAction() | ChangeScheduled():
            return cluster.timeouts.evacuation_s
        case _:
            return None
