"""What happened: typed events, by source, each with the EventBridge pattern that selects it and its parser.

An event from outside has ``PATTERN`` and ``parse(payload)``, which raises MalformedError with one line that
names the field (parsing.py). Its genuine samples are in tests/samples. The instance is taken from ``detail``
only: the ARNs in ``resources`` come in several shapes. The source ``swarmkeeper.drill`` stands beside AWS's
own: the same event, marked as a drill.
"""

from chalicelib.events.admin import (
    EvacuationOrdered,
    GiveBackOrdered,
    RedriveOrdered,
    SettingsOrdered,
    TaskOrdered,
)
from chalicelib.events.autoscaling import LaunchLifecycleAction, TerminateLifecycleAction
from chalicelib.events.ec2 import (
    InstanceStateChanged,
    InterruptionAction,
    RebalanceRecommended,
    SpotInterruptionWarning,
    SpotRequestFulfilled,
)
from chalicelib.events.fleet import FleetChange, FleetFailed, FleetInstanceChanged, FleetNoted
from chalicelib.events.health import ChangeScheduled, HealthNotice
from chalicelib.events.run_command import (
    IN_FLIGHT,
    NOT_STARTED,
    UNKNOWN,
    Answer,
    CommandFinished,
    CommandRunning,
    InvocationEnded,
    finish_command,
    parse_comment,
)
from chalicelib.events.schedule import DiscoveryFailed, InstancesDiscovered, Tick, TurnAsked

# What happened to one instance, wherever it was heard.
InstanceEvent = (
    SpotInterruptionWarning
    | RebalanceRecommended
    | InstanceStateChanged
    | SpotRequestFulfilled
    | FleetInstanceChanged
    | LaunchLifecycleAction
    | TerminateLifecycleAction
    | ChangeScheduled
)
FleetEvent = FleetNoted | FleetFailed
NodeOrder = EvacuationOrdered | GiveBackOrdered
Order = NodeOrder | RedriveOrdered | SettingsOrdered | TaskOrdered
Incoming = (
    SpotInterruptionWarning
    | RebalanceRecommended
    | InstanceStateChanged
    | SpotRequestFulfilled
    | FleetInstanceChanged
    | LaunchLifecycleAction
    | TerminateLifecycleAction
    | FleetNoted
    | FleetFailed
    | HealthNotice
    | InvocationEnded
    | Tick
)
Discovery = InstancesDiscovered | DiscoveryFailed
Event = InstanceEvent | FleetEvent | Order | CommandFinished | CommandRunning | Discovery | TurnAsked | Tick

__all__ = [
    "IN_FLIGHT",
    "NOT_STARTED",
    "UNKNOWN",
    "Answer",
    "ChangeScheduled",
    "CommandFinished",
    "CommandRunning",
    "DiscoveryFailed",
    "EvacuationOrdered",
    "Event",
    "FleetChange",
    "FleetEvent",
    "FleetFailed",
    "FleetInstanceChanged",
    "FleetNoted",
    "GiveBackOrdered",
    "HealthNotice",
    "Incoming",
    "InstanceEvent",
    "InstanceStateChanged",
    "InstancesDiscovered",
    "InterruptionAction",
    "InvocationEnded",
    "LaunchLifecycleAction",
    "NodeOrder",
    "Order",
    "RebalanceRecommended",
    "RedriveOrdered",
    "SettingsOrdered",
    "SpotInterruptionWarning",
    "SpotRequestFulfilled",
    "TaskOrdered",
    "TerminateLifecycleAction",
    "Tick",
    "TurnAsked",
    "finish_command",
    "parse_comment",
]
