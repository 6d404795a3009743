"""Fleets: their instances come and go as any other's; what a fleet cannot do, a person has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from chalicelib.actions import Notify, Plan
from chalicelib.events import Change, Ending
from chalicelib.rules.nodes import evacuate, leave
from chalicelib.state.incident import AGAIN, Incident
from chalicelib.state.instance import InstanceState

if TYPE_CHECKING:
    from chalicelib.events import FleetEvent, FleetInstanceChanged
    from chalicelib.state.cluster import Cluster


def on_fleet_instance_changed(event: FleetInstanceChanged, cluster: Cluster) -> Plan:
    """What the instance's own events say too, or would have said."""
    node = cluster.node(event.instance)
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    match event.change:
        case Change.LAUNCHED:
            return leave.plan_for_state(node, InstanceState.RUNNING, event.time, cluster)
        case Change.TERMINATED:
            return leave.plan_for_state(node, InstanceState.TERMINATED, event.time, cluster)
        case Change.TERMINATION_NOTIFIED:
            if event.time < node.launched:
                return Plan("the notice is older than the instance's last start")
            return evacuate.plan_for_warning(node, cluster, event.time, Ending.TERMINATE)
        case _:
            assert_never(event.change)


def on_fleet_said(event: FleetEvent, cluster: Cluster) -> Plan:
    """Noted; a failure is told to people."""
    name = event.fleet or "a fleet that the event does not name"
    what = f"{name}: {event.kind}" + (f", {event.description}" if event.description else "")
    if not event.failure:
        return Plan(f"noted: {what}")
    incident = Incident(
        key=f"fleet#{event.fleet}#{event.kind}" + ("#drill" if event.drill else ""),
        at=event.time,
        what=what,
        left="no node was touched; no capacity comes from this fleet meanwhile",
        remedy="look at the fleet in EC2: its limits, prices, instance types and zones",
        drill=event.drill,
        expires=cluster.now + AGAIN,
    )
    return Plan(f"a fleet has failed: {what}", (Notify(incident),))
