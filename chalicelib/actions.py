"""What can be done: frozen actions, the plan that holds them, and how one came out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.cluster import Node
    from chalicelib.events import Event
    from chalicelib.protocol import Task


@dataclass(frozen=True, slots=True)
class Enrol:
    """Begin the records of instances that were not known; one that exists stays as it is."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """Replace a record, if it is still the one that was decided on."""

    before: Node
    after: Node


@dataclass(frozen=True, slots=True)
class RecordManagers:
    """Remember which instances are the cluster's managers."""

    managers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoteHost:
    """Tell a manager's breaker how the host behaved."""

    manager: str
    healthy: bool


@dataclass(frozen=True, slots=True)
class Dispatch:
    """See to it that the cluster's open work is sent, ``instance``'s among it, trying for so many seconds.

    With 0 seconds each manager gets one try, and a handler that is at it already is not waited for.
    """

    instance: str = ""
    seconds: float = 40.0


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for a command whose end was not heard of."""

    command: str
    manager: str
    task: Task


Action = Enrol | Move | RecordManagers | NoteHost | Dispatch | Ask


class Metric(StrEnum):
    """What is counted or measured; see observability.py for the units."""

    INTERRUPTIONS = "Interruptions"
    DUPLICATES = "Duplicates"
    FOREIGN_INSTANCES = "ForeignInstances"
    FOREIGN_COMMANDS = "ForeignCommands"
    MALFORMED_EVENTS = "MalformedEvents"
    COMMANDS_SENT = "CommandsSent"
    COMMAND_FAILURES = "CommandFailures"
    BREAKERS_OPENED = "BreakersOpened"
    NODES_JOINED = "NodesJoined"
    NODES_EVACUATED = "NodesEvacuated"
    SECONDS_TO_SAFE = "SecondsToSafe"
    NODES_GONE = "NodesGone"
    OVERDUE_INTENTS = "OverdueIntents"


@dataclass(frozen=True, slots=True)
class Measure:
    """One value of a metric; seconds for SECONDS_TO_SAFE, otherwise a count."""

    metric: Metric
    value: float = 1
    instance: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do and why; without actions, why nothing."""

    reason: str
    actions: tuple[Action, ...] = ()
    measures: tuple[Measure, ...] = ()


class Code(StrEnum):
    """How an action came out."""

    DONE = "done"
    LOST_RACE = "lost-race"
    LEFT_OPEN = "left-open"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action came out; ``event`` is what was learnt by it, to be decided on next."""

    code: Code = Code.DONE
    detail: str = ""
    event: Event | None = None
