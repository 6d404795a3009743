"""What to do: `decide` is pure. It gets what happened and what is known, and answers with a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from chalicelib.actions import SILENT, Metric, Plan
from chalicelib.events import (
    CensusFailed,
    CensusTaken,
    ChangeScheduled,
    CommandFinished,
    CommandRunning,
    ConductOrdered,
    EvacuationOrdered,
    FleetFailed,
    FleetInstanceChanged,
    FleetNoted,
    GiveBackOrdered,
    InstanceStateChanged,
    LaunchHeld,
    RebalanceRecommended,
    RedriveOrdered,
    SpotInterruptionWarning,
    SpotRequestFulfilled,
    TaskOrdered,
    TerminationHeld,
    Tick,
)
from chalicelib.rules import (
    ahead,
    census,
    closing,
    drain,
    drill,
    errands,
    fleets,
    give_back,
    hooks,
    leave,
    orders,
    rebalance,
    reconcile,
    results,
)

if TYPE_CHECKING:
    from chalicelib.cluster import Cluster
    from chalicelib.events import Event, InstanceEvent, Order


def decide(event: Event, cluster: Cluster) -> Plan:
    """The plan for one event in one cluster; for a paused one, as far as it reaches no swarm."""
    drilled = getattr(event, "drill", False)
    if drilled and not cluster.conduct.drills:
        return Plan('a drill, but this cluster allows none: configure it with {"drills": true}')
    plan = rebalance.following(closing.closed(_rule(event, cluster), cluster), cluster)
    if drilled:
        rehearsed = tuple(measure for measure in plan.measures if measure.metric is Metric.DRILLS)
        plan = replace(plan, measures=rehearsed)
    if not cluster.conduct.paused:
        return plan
    silent = tuple(action for action in plan.actions if isinstance(action, SILENT))
    held = len(plan.actions) - len(silent)
    return replace(plan, reason=f"{plan.reason} (paused: {held} actions held back)", actions=silent)


def _rule(event: Event, cluster: Cluster) -> Plan:
    match event:
        case CommandFinished():
            return results.on_command_finished(event, cluster)
        case CommandRunning():
            return reconcile.on_command_running(event, cluster)
        case CensusTaken():
            return census.on_census_taken(event, cluster)
        case CensusFailed():
            return reconcile.on_census_failed(event, cluster)
        case Tick():
            return reconcile.on_tick(event, cluster)
        case FleetNoted() | FleetFailed():
            return fleets.on_fleet_said(event, cluster)
        case EvacuationOrdered() | GiveBackOrdered() | RedriveOrdered() | ConductOrdered() | TaskOrdered():
            return _order(event, cluster)
        case _:
            return drill.on_drill(event, cluster) if event.drill else _instance(event, cluster)


def _instance(event: InstanceEvent, cluster: Cluster) -> Plan:
    match event:
        case SpotInterruptionWarning():
            return drain.on_spot_interruption_warning(event, cluster)
        case RebalanceRecommended():
            return drain.on_rebalance_recommended(event, cluster)
        case InstanceStateChanged():
            return leave.on_instance_state_changed(event, cluster)
        case SpotRequestFulfilled():
            return Plan("a Spot request has its instance: its state tells the rest")
        case FleetInstanceChanged():
            return fleets.on_fleet_instance_changed(event, cluster)
        case LaunchHeld():
            return hooks.on_launch_held(event, cluster)
        case TerminationHeld():
            return hooks.on_termination_held(event, cluster)
        case ChangeScheduled():
            return ahead.on_change_scheduled(event, cluster)
        case _:
            assert_never(event)


def _order(event: Order, cluster: Cluster) -> Plan:
    match event:
        case EvacuationOrdered():
            return drain.on_evacuation_ordered(event, cluster)
        case GiveBackOrdered():
            return give_back.on_give_back_ordered(event, cluster)
        case RedriveOrdered():
            return orders.on_redrive_ordered(event, cluster)
        case ConductOrdered():
            return orders.on_conduct_ordered(event, cluster)
        case TaskOrdered():
            return errands.on_task_ordered(event, cluster)
        case _:
            assert_never(event)
