"""The names of all metrics, and one measured value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Metric(StrEnum):
    """The name of a metric as CloudWatch shows it; observability.py has the units."""

    INTERRUPTIONS = "Interruptions"
    DUPLICATES = "Duplicates"
    UNMANAGED_INSTANCES = "ForeignInstances"
    UNMANAGED_FLEETS = "ForeignFleets"
    UNMANAGED_COMMANDS = "ForeignCommands"
    MALFORMED_EVENTS = "MalformedEvents"
    COMMANDS_SENT = "CommandsSent"
    COMMAND_FAILURES = "CommandFailures"
    BREAKERS_OPENED = "BreakersOpened"
    NODES_JOINED = "NodesJoined"
    LATE_WARNINGS = "LateWarnings"
    NODES_EVACUATED = "NodesEvacuated"
    NODES_DRAINED = "NodesDrained"
    NODES_DOWN = "NodesDown"
    NODES_ABSENT = "NodesAbsent"
    NODES_UNFINISHED = "NodesUnfinished"
    SECONDS_TO_SAFE = "SecondsToSafe"
    NODES_GONE = "NodesGone"
    OVERDUE_INTENTS = "OverdueIntents"
    RECOMMENDATIONS = "Recommendations"
    GIVEN_UP = "GivenUp"
    DRILLS = "Drills"
    REBALANCES = "Rebalances"
    TASKS_MOVED = "TasksMoved"


@dataclass(frozen=True, slots=True)
class Measure:
    """One value of a metric; seconds for SECONDS_TO_SAFE, otherwise a count."""

    metric: Metric
    value: float = 1
    instance: str = ""
