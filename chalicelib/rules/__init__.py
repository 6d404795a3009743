"""What to do: `decide` gets an event and what is known of the cluster, and returns a plan. It is pure.

The table event -> rule stands in `_apply_rule` (events about a cluster) and `_apply_node_rule` (events about
one instance); mypy checks that no event is missing. Each rule's module opens with its own table. Two steps
follow every rule: what a changed record calls for by itself (rules/finalize.py), and the rebalance that nodes
entering service call for (rules/cluster/rebalance.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from chalicelib.actions import SILENT, Plan
from chalicelib.events import (
    ChangeScheduled,
    CommandFinished,
    CommandRunning,
    DiscoveryFailed,
    EvacuationOrdered,
    FleetFailed,
    FleetInstanceChanged,
    FleetNoted,
    GiveBackOrdered,
    InstancesDiscovered,
    InstanceStateChanged,
    LaunchLifecycleAction,
    RebalanceRecommended,
    RedriveOrdered,
    SettingsOrdered,
    SpotInterruptionWarning,
    SpotRequestFulfilled,
    TaskOrdered,
    TerminateLifecycleAction,
    Tick,
    TurnAsked,
)
from chalicelib.metrics import Metric
from chalicelib.rules import command_results, finalize
from chalicelib.rules.cluster import admin, jobs, rebalance
from chalicelib.rules.nodes import (
    drill,
    evacuate,
    fleet,
    give_back,
    leave,
    lifecycle_hooks,
    recommendation,
    scheduled_change,
    turns,
)
from chalicelib.rules.reconcile import instances, overdue

if TYPE_CHECKING:
    from chalicelib.events import Event, InstanceEvent, NodeOrder
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node


def decide(event: Event, cluster: Cluster) -> Plan:
    """Return the plan for one event in one cluster; in a paused cluster only what reaches no swarm."""
    drilled = getattr(event, "drill", False)
    if drilled and not cluster.settings.drills:
        return Plan('a drill, but this cluster allows none: configure it with {"drills": true}')
    plan = finalize.extend(_apply_rule(event, cluster), cluster)
    if plan.entering:
        plan = rebalance.extend(plan, cluster)
    if drilled:
        drills = tuple(measure for measure in plan.measures if measure.metric is Metric.DRILLS)
        plan = replace(plan, measures=drills)
    return _hold_back(plan) if cluster.settings.paused else plan


def _hold_back(plan: Plan) -> Plan:
    """Keep only the actions that are allowed in a paused cluster."""
    silent = tuple(action for action in plan.actions if isinstance(action, SILENT))
    held = len(plan.actions) - len(silent)
    return replace(plan, reason=f"{plan.reason} (paused: {held} actions held back)", actions=silent)


def _apply_rule(event: Event, cluster: Cluster) -> Plan:
    """Apply the rule of an event about the cluster, or that of the event's instance."""
    match event:
        case Tick():
            return overdue.on_tick(event, cluster)
        case CommandFinished():
            return command_results.on_command_finished(event, cluster)
        case CommandRunning():
            return overdue.on_command_running(event, cluster)
        case InstancesDiscovered():
            return instances.on_instances_discovered(event, cluster)
        case DiscoveryFailed():
            return overdue.on_discovery_failed(event, cluster)
        case FleetNoted() | FleetFailed():
            return fleet.on_fleet_noted(event, cluster)
        case RedriveOrdered():
            return admin.on_redrive_ordered(event, cluster)
        case SettingsOrdered():
            return admin.on_settings_ordered(event, cluster)
        case TaskOrdered():
            return jobs.on_task_ordered(event, cluster)
        case _:
            node = cluster.node(event.instance)
            return _apply_node_rule(event, node, cluster) if node else _plan_without_record(event, cluster)


def _apply_node_rule(  # noqa: C901 - one case for each event
    event: InstanceEvent | NodeOrder | TurnAsked, node: Node, cluster: Cluster
) -> Plan:
    """Apply the rule of an event about an instance that has a record."""
    match event:
        case EvacuationOrdered():
            return evacuate.on_evacuation_ordered(event, node, cluster)
        case TurnAsked():
            return turns.on_turn_asked(event, node, cluster)
        case GiveBackOrdered():
            return give_back.on_give_back_ordered(event, node, cluster)
        case _ if event.drill:
            return drill.on_drill(event, node, cluster)
        case SpotInterruptionWarning():
            return evacuate.on_spot_interruption_warning(event, node, cluster)
        case RebalanceRecommended():
            return recommendation.on_rebalance_recommended(event, node, cluster)
        case InstanceStateChanged():
            return leave.on_instance_state_changed(event, node, cluster)
        case SpotRequestFulfilled():
            return Plan("a Spot request has its instance: the events of its state have the rest")
        case FleetInstanceChanged():
            return fleet.on_fleet_instance_changed(event, node, cluster)
        case LaunchLifecycleAction() | TerminateLifecycleAction():
            return lifecycle_hooks.on_lifecycle_action(event, node, cluster)
        case ChangeScheduled():
            return scheduled_change.on_change_scheduled(event, node, cluster)
        case _:
            assert_never(event)


def _plan_without_record(event: InstanceEvent | NodeOrder | TurnAsked, cluster: Cluster) -> Plan:
    """Plan nothing for an instance that the cluster has no record of; a waiting group may go on."""
    match event:
        case LaunchLifecycleAction() | TerminateLifecycleAction() if not event.drill:
            return lifecycle_hooks.plan_without_record(event, cluster)
        case _:
            reason = f"{event.instance} has no record in {cluster.name}"
            return Plan(reason, refused=isinstance(event, GiveBackOrdered))
