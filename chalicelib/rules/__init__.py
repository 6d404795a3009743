"""What to do: `decide` is pure. It gets what happened and what is known, and answers with a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from chalicelib.events import (
    CensusTaken,
    CommandFinished,
    CommandRunning,
    InstanceStateChanged,
    SpotInterruptionWarning,
    Tick,
)
from chalicelib.rules import census, drain, leave, reconcile, results

if TYPE_CHECKING:
    from chalicelib.actions import Plan
    from chalicelib.cluster import Cluster
    from chalicelib.events import Event


def decide(event: Event, cluster: Cluster) -> Plan:
    """The plan for one event in one cluster."""
    match event:
        case SpotInterruptionWarning():
            return drain.on_spot_interruption_warning(event, cluster)
        case InstanceStateChanged():
            return leave.on_instance_state_changed(event, cluster)
        case CommandFinished():
            return results.on_command_finished(event, cluster)
        case CommandRunning():
            return reconcile.on_command_running(event, cluster)
        case CensusTaken():
            return census.on_census_taken(event, cluster)
        case Tick():
            return reconcile.on_tick(event, cluster)
        case _:
            assert_never(event)
