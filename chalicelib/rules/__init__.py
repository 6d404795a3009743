"""What to do: `decide` is pure. It gets what happened and what is known, and answers with a plan."""

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
)
from chalicelib.metrics import Metric
from chalicelib.rules import command_results, finalize
from chalicelib.rules.cluster import admin, jobs, rebalance
from chalicelib.rules.nodes import drill, evacuate, fleet, give_back, leave, lifecycle_hooks, scheduled_change
from chalicelib.rules.reconcile import instances, overdue

if TYPE_CHECKING:
    from chalicelib.events import Event, InstanceEvent, Order
    from chalicelib.state.cluster import Cluster


def decide(event: Event, cluster: Cluster) -> Plan:
    """The plan for one event in one cluster; for a paused one, as far as it reaches no swarm."""
    drilled = getattr(event, "drill", False)
    if drilled and not cluster.settings.drills:
        return Plan('a drill, but this cluster allows none: configure it with {"drills": true}')
    plan = rebalance.extend(finalize.extend(_rule(event, cluster), cluster), cluster)
    if drilled:
        rehearsed = tuple(measure for measure in plan.measures if measure.metric is Metric.DRILLS)
        plan = replace(plan, measures=rehearsed)
    if not cluster.settings.paused:
        return plan
    silent = tuple(action for action in plan.actions if isinstance(action, SILENT))
    held = len(plan.actions) - len(silent)
    return replace(plan, reason=f"{plan.reason} (paused: {held} actions held back)", actions=silent)


def _rule(event: Event, cluster: Cluster) -> Plan:
    match event:
        case CommandFinished():
            return command_results.on_command_finished(event, cluster)
        case CommandRunning():
            return overdue.on_command_running(event, cluster)
        case InstancesDiscovered():
            return instances.on_instances_discovered(event, cluster)
        case DiscoveryFailed():
            return overdue.on_discovery_failed(event, cluster)
        case Tick():
            return overdue.on_tick(event, cluster)
        case FleetNoted() | FleetFailed():
            return fleet.on_fleet_said(event, cluster)
        case EvacuationOrdered() | GiveBackOrdered() | RedriveOrdered() | SettingsOrdered() | TaskOrdered():
            return _order(event, cluster)
        case _:
            return drill.on_drill(event, cluster) if event.drill else _instance(event, cluster)


def _instance(event: InstanceEvent, cluster: Cluster) -> Plan:
    match event:
        case SpotInterruptionWarning():
            return evacuate.on_spot_interruption_warning(event, cluster)
        case RebalanceRecommended():
            return evacuate.on_rebalance_recommended(event, cluster)
        case InstanceStateChanged():
            return leave.on_instance_state_changed(event, cluster)
        case SpotRequestFulfilled():
            return Plan("a Spot request has its instance: its state tells the rest")
        case FleetInstanceChanged():
            return fleet.on_fleet_instance_changed(event, cluster)
        case LaunchLifecycleAction():
            return lifecycle_hooks.on_launch_lifecycle_action(event, cluster)
        case TerminateLifecycleAction():
            return lifecycle_hooks.on_terminate_lifecycle_action(event, cluster)
        case ChangeScheduled():
            return scheduled_change.on_change_scheduled(event, cluster)
        case _:
            assert_never(event)


def _order(event: Order, cluster: Cluster) -> Plan:
    match event:
        case EvacuationOrdered():
            return evacuate.on_evacuation_ordered(event, cluster)
        case GiveBackOrdered():
            return give_back.on_give_back_ordered(event, cluster)
        case RedriveOrdered():
            return admin.on_redrive_ordered(event, cluster)
        case SettingsOrdered():
            return admin.on_settings_ordered(event, cluster)
        case TaskOrdered():
            return jobs.on_task_ordered(event, cluster)
        case _:
            assert_never(event)
