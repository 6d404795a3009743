"""What can be done: frozen actions, the plan that holds them, and how one came out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chalicelib.metrics import Measure
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.events import Event
    from chalicelib.protocol.messages import AgentTask
    from chalicelib.state.incident import Incident
    from chalicelib.state.instance import LifecycleAction
    from chalicelib.state.job import Job
    from chalicelib.state.node import Node


class LifecycleResult(StrEnum):
    """What Auto Scaling shall do with an instance that it holds."""

    CONTINUE = "CONTINUE"
    ABANDON = "ABANDON"


@dataclass(frozen=True, slots=True)
class Register:
    """Begin the records of instances that were not known; one that exists stays as it is.

    ``owned``: EC2 shows them in this cluster, so what is told of them from now on is its business.
    """

    nodes: tuple[Node, ...]
    owned: bool = True


@dataclass(frozen=True, slots=True)
class ReplaceRecord:
    """Replace a record, if it is still the one that was decided on."""

    before: Node
    after: Node

    @property
    def enters_service(self) -> bool:
        """Whether the node enters service by it."""
        return self.after.state is NodeState.IN_SERVICE and self.before.state is not NodeState.IN_SERVICE


@dataclass(frozen=True, slots=True)
class RecordManagers:
    """Remember which instances are the cluster's managers."""

    managers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordOwners:
    """Remember which cluster these fleets work for."""

    fleets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoteHost:
    """Tell a manager's breaker how the host behaved."""

    manager: str
    healthy: bool


@dataclass(frozen=True, slots=True)
class Dispatch:
    """See to it that the cluster's open work is sent, ``instance``'s among it, trying for so many seconds.

    With 0 seconds each manager gets one try.
    """

    instance: str = ""
    seconds: float = 40.0


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for a command whose end was not heard of."""

    command: str
    manager: str
    task: AgentTask


@dataclass(frozen=True, slots=True)
class Complete:
    """Complete lifecycle actions of an instance, each with its result, then take them off the record."""

    results: tuple[tuple[LifecycleAction, LifecycleResult], ...]
    move: ReplaceRecord | None
    instance: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Have Auto Scaling wait longer for an instance whose work goes on, and record it."""

    hooks: tuple[LifecycleAction, ...]
    move: ReplaceRecord

    @property
    def instance(self) -> str:
        """Whose."""
        return self.move.after.instance


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell people of an incident, once."""

    incident: Incident


@dataclass(frozen=True, slots=True)
class Forget:
    """An incident is over."""

    key: str


@dataclass(frozen=True, slots=True)
class UpdateSettings:
    """Treat the cluster otherwise from now on: fields of settings.ClusterSettings and their new values."""

    changes: Mapping[str, str | bool | float]


@dataclass(frozen=True, slots=True)
class ReplaceJob:
    """Replace an job (None: there was none), if it is still the one that was decided on."""

    before: Job | None
    after: Job


@dataclass(frozen=True, slots=True)
class Send:
    """Have a manager run an job, as it is recorded."""

    job: Job


Action = (
    Register
    | ReplaceRecord
    | RecordManagers
    | RecordOwners
    | NoteHost
    | Dispatch
    | Ask
    | Complete
    | Heartbeat
    | Notify
    | Forget
    | UpdateSettings
    | ReplaceJob
    | Send
)
# These reach no swarm: records, and a group's patience. Of an incident people hear after the pause (tell.py).
SILENT = (
    Register,
    ReplaceRecord,
    RecordManagers,
    RecordOwners,
    NoteHost,
    Forget,
    UpdateSettings,
    ReplaceJob,
    Notify,
    Heartbeat,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do and why; without actions, why nothing. ``refused``: a person ordered what cannot be done."""

    reason: str
    actions: tuple[Action, ...] = ()
    measures: tuple[Measure, ...] = ()
    refused: bool = False

    @property
    def entering(self) -> tuple[ReplaceRecord, ...]:
        """Return the changes by which nodes enter service."""
        changes = (action for action in self.actions if isinstance(action, ReplaceRecord))
        return tuple(change for change in changes if change.enters_service)


class Code(StrEnum):
    """How an action came out."""

    DONE = "done"
    LOST_RACE = "lost-race"
    LEFT_OPEN = "left-open"
    RAISED = "raised"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action came out; ``event`` is what was learnt by it, to be decided on next."""

    code: Code = Code.DONE
    detail: str = ""
    event: Event | None = None
