"""Drills: a node is emptied as for the real event and given back; nothing joins, ends or is removed.

Event of the source swarmkeeper.drill -> plan for a node in service:
    Spot warning, fleet's termination notice   evacuated within the notice; hibernation leaves none
    stopping, shutting-down                    evacuated within the shutdown timeout
    recommendation, terminate hook, change     evacuated within the evacuation timeout
    any other                                  nothing
    (each gently, and once it is its turn: rules/nodes/turns.py)
    stopped, terminated; fleet's termination   a node evacuated by a drill is given back now
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import AskForTurn, Plan, ReplaceRecord
from chalicelib.events import (
    ChangeScheduled,
    FleetChange,
    FleetInstanceChanged,
    InstanceStateChanged,
    RebalanceRecommended,
    SpotInterruptionWarning,
    TerminateLifecycleAction,
)
from chalicelib.metrics import Measure, Metric
from chalicelib.rules.nodes import evacuate, turns
from chalicelib.state.instance import ENDED, ENDING
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.events import InstanceEvent
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node


def on_drill(event: InstanceEvent, node: Node, cluster: Cluster) -> Plan:
    """Do to a node in service what the real event would do, as far as it can be undone."""
    if _is_end(event) and node.drill and node.state is NodeState.EVACUATED:
        after = node.revise(due=cluster.now, back=event.time)
        return Plan(
            "a drill: the instance would have ended, its node is given back", (ReplaceRecord(node, after),)
        )
    seconds = _seconds_to_end(event, cluster)
    if seconds is None:
        return Plan("a drill: nothing to do, the real event would change nothing or end something")
    if node.state is not NodeState.IN_SERVICE:
        return Plan(f"a drill: the node is {node.state}, only one in service is drilled")
    if node.postponed:
        return Plan("a drill: another evacuation waits for its turn already")
    reason = f"a drill: {seconds:.0f} s to empty it, then it is given back"
    after = turns.postpone(node.revise(), event, seconds, reason, cluster)
    counted = (Measure(Metric.DRILLS, instance=node.instance),)
    return Plan(reason, (ReplaceRecord(node, after), AskForTurn(node.instance)), counted)


def _is_end(event: InstanceEvent) -> bool:
    if isinstance(event, FleetInstanceChanged):
        return event.change is FleetChange.TERMINATED
    return isinstance(event, InstanceStateChanged) and event.state in ENDED


def _seconds_to_end(event: InstanceEvent, cluster: Cluster) -> float | None:
    """Return the seconds from the event to the end that it announces; None if there is nothing to empty."""
    match event:
        case SpotInterruptionWarning():
            return evacuate.notice_s(event.action, cluster.timeouts)
        case FleetInstanceChanged():
            return cluster.timeouts.notice_s if event.change is FleetChange.TERMINATION_NOTIFIED else None
        case InstanceStateChanged():
            return cluster.timeouts.shutdown_s if event.state in ENDING else None
        case RebalanceRecommended() | TerminateLifecycleAction() | ChangeScheduled():
            return cluster.timeouts.evacuation_s
        case _:
            return None
