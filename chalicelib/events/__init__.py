"""What happened: typed events, by source, each with the EventBridge pattern that selects it and its parser.

An event from outside has ``PATTERN`` and ``parse(payload)``, which raises MalformedError with one line that
names the field. The instance is taken from ``detail`` only: the ARNs in ``resources`` come in several shapes.
The source ``swarmkeeper.drill`` stands beside AWS's own: the same event, marked as a rehearsal.
"""

from chalicelib.events.admin import (
    ConductOrdered,
    EvacuationOrdered,
    GiveBackOrdered,
    RedriveOrdered,
    TaskOrdered,
)
from chalicelib.events.autoscaling import LaunchHeld, TerminationHeld
from chalicelib.events.ec2 import (
    Ending,
    InstanceStateChanged,
    RebalanceRecommended,
    SpotInterruptionWarning,
    SpotRequestFulfilled,
)
from chalicelib.events.fleet import Change, FleetFailed, FleetInstanceChanged, FleetNoted
from chalicelib.events.health import ChangeScheduled, HealthNotice
from chalicelib.events.run_command import (
    IN_FLIGHT,
    NOT_STARTED,
    UNKNOWN,
    Answer,
    CommandFinished,
    CommandRunning,
    InvocationEnded,
    finished,
    task_and_cluster,
)
from chalicelib.events.schedule import CensusFailed, CensusTaken, Tick

# What happened to one instance, wherever it was heard.
InstanceEvent = (
    SpotInterruptionWarning
    | RebalanceRecommended
    | InstanceStateChanged
    | SpotRequestFulfilled
    | FleetInstanceChanged
    | LaunchHeld
    | TerminationHeld
    | ChangeScheduled
)
FleetEvent = FleetNoted | FleetFailed
Order = EvacuationOrdered | GiveBackOrdered | RedriveOrdered | ConductOrdered | TaskOrdered
Incoming = (
    SpotInterruptionWarning
    | RebalanceRecommended
    | InstanceStateChanged
    | SpotRequestFulfilled
    | FleetInstanceChanged
    | LaunchHeld
    | TerminationHeld
    | FleetNoted
    | FleetFailed
    | HealthNotice
    | InvocationEnded
    | Tick
)
Census = CensusTaken | CensusFailed
Event = InstanceEvent | FleetEvent | Order | CommandFinished | CommandRunning | Census | Tick

__all__ = [
    "IN_FLIGHT",
    "NOT_STARTED",
    "UNKNOWN",
    "Answer",
    "CensusFailed",
    "CensusTaken",
    "Change",
    "ChangeScheduled",
    "CommandFinished",
    "CommandRunning",
    "ConductOrdered",
    "Ending",
    "EvacuationOrdered",
    "Event",
    "FleetEvent",
    "FleetFailed",
    "FleetInstanceChanged",
    "FleetNoted",
    "GiveBackOrdered",
    "HealthNotice",
    "Incoming",
    "InstanceEvent",
    "InstanceStateChanged",
    "InvocationEnded",
    "LaunchHeld",
    "Order",
    "RebalanceRecommended",
    "RedriveOrdered",
    "SpotInterruptionWarning",
    "SpotRequestFulfilled",
    "TaskOrdered",
    "TerminationHeld",
    "Tick",
    "finished",
    "task_and_cluster",
]
