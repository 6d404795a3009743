"""Fleets: what they say of their instances, and what they cannot do.

Event -> plan:
    instance launched                      as for a running instance (rules/nodes/leave.py)
    instance terminated                    as for a terminated instance
    instance's termination is announced    as for a Spot warning (rules/nodes/evacuate.py)
    the fleet is halted, or has failed     notify people
    any other information                  noted in the log
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from chalicelib.actions import Notify, Plan
from chalicelib.events import FleetChange, InterruptionAction
from chalicelib.rules import incidents
from chalicelib.rules.nodes import evacuate, leave
from chalicelib.state.instance import InstanceState

if TYPE_CHECKING:
    from chalicelib.events import FleetEvent, FleetInstanceChanged
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node


def on_fleet_instance_changed(event: FleetInstanceChanged, node: Node, cluster: Cluster) -> Plan:
    """Do what the instance's own event leads to; either may come first, or be lost."""
    match event.change:
        case FleetChange.LAUNCHED:
            return leave.plan_for_state(node, InstanceState.RUNNING, event.time, cluster)
        case FleetChange.TERMINATED:
            return leave.plan_for_state(node, InstanceState.TERMINATED, event.time, cluster)
        case FleetChange.TERMINATION_NOTIFIED:
            if event.time < node.launched:
                return Plan("the notice is older than the instance's last start")
            return evacuate.plan_for_warning(node, cluster, event.time, InterruptionAction.TERMINATE)
        case _:
            assert_never(event.change)


def on_fleet_noted(event: FleetEvent, cluster: Cluster) -> Plan:
    """Note what a fleet says; notify people of a failure."""
    if not event.failure:
        return Plan(f"noted: {event.text}")
    return Plan(f"a fleet has failed: {event.text}", (Notify(incidents.fleet_failed(event, cluster)),))
