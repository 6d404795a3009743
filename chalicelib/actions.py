"""What can be done: frozen actions, the plan that holds them, and the outcome of each."""

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
    """What Auto Scaling is to do with an instance for which its group waits."""

    CONTINUE = "CONTINUE"
    ABANDON = "ABANDON"


@dataclass(frozen=True, slots=True)
class Register:
    """Make the first records of instances; a record that exists stays as it is.

    ``owned``: EC2 shows them in this cluster, so their events are routed to it from now on.
    """

    nodes: tuple[Node, ...]
    owned: bool = True


@dataclass(frozen=True, slots=True)
class ReplaceRecord:
    """Replace a record, if it is still the one that was decided on (compare-and-set)."""

    before: Node
    after: Node

    @property
    def enters_service(self) -> bool:
        """Whether the node enters service by it."""
        return self.after.state is NodeState.IN_SERVICE and self.before.state is not NodeState.IN_SERVICE

    def describe(self, *, done: bool) -> Outcome:
        """Return the outcome: done, or a lost race for the record."""
        if done:
            return Outcome(detail=f"{self.before.instance}: {self.before.state} -> {self.after.state}")
        return Outcome(Code.LOST_RACE, f"{self.before.instance} was changed meanwhile")


@dataclass(frozen=True, slots=True)
class RecordManagers:
    """Record which instances are the cluster's managers."""

    managers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordOwners:
    """Record the cluster as the owner of these fleets."""

    fleets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordHostHealth:
    """Record in a manager's circuit breaker how the host behaved."""

    manager: str
    healthy: bool


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Send the cluster's open work, that of ``instance`` included; try again for so many seconds.

    With 0 seconds each manager gets one try.
    """

    instance: str = ""
    seconds: float = 40.0


@dataclass(frozen=True, slots=True)
class AskForTurn:
    """Ask whether the evacuation of an instance, which waits on its record, may begin."""

    instance: str


@dataclass(frozen=True, slots=True)
class FetchResult:
    """Fetch the result of a command whose end brought no event."""

    command: str
    manager: str
    task: AgentTask


@dataclass(frozen=True, slots=True)
class Complete:
    """Complete lifecycle actions of an instance, each with its result, then replace its record."""

    results: tuple[tuple[LifecycleAction, LifecycleResult], ...]
    change: ReplaceRecord | None
    instance: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Have Auto Scaling wait longer for an instance, then replace its record."""

    hooks: tuple[LifecycleAction, ...]
    change: ReplaceRecord

    @property
    def instance(self) -> str:
        """The instance for which the group waits."""
        return self.change.after.instance


@dataclass(frozen=True, slots=True)
class Notify:
    """Notify people of an incident, once."""

    incident: Incident


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete an incident that is over."""

    key: str


@dataclass(frozen=True, slots=True)
class UpdateSettings:
    """Change the cluster's settings: fields of ClusterSettings and their new values."""

    changes: Mapping[str, str | bool | float]


@dataclass(frozen=True, slots=True)
class ReplaceJob:
    """Replace a job (None: there was none), if it is still the one that was decided on."""

    before: Job | None
    after: Job


@dataclass(frozen=True, slots=True)
class Send:
    """Have a manager run a job, as it is recorded."""

    job: Job


Action = (
    Register
    | ReplaceRecord
    | RecordManagers
    | RecordOwners
    | RecordHostHealth
    | Dispatch
    | AskForTurn
    | FetchResult
    | Complete
    | Heartbeat
    | Notify
    | Forget
    | UpdateSettings
    | ReplaceJob
    | Send
)
# These reach no swarm, and are allowed in a paused cluster; notify.py sends no message while it is paused.
SILENT = (
    Register,
    ReplaceRecord,
    RecordManagers,
    RecordOwners,
    RecordHostHealth,
    Forget,
    UpdateSettings,
    ReplaceJob,
    Notify,
    Heartbeat,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do and why, or why nothing. ``refused``: a person ordered what cannot be done."""

    reason: str
    actions: tuple[Action, ...] = ()
    measures: tuple[Measure, ...] = ()
    refused: bool = False

    @property
    def groups(self) -> list[list[Action]]:
        """Return the actions in order; successive changes of different records are one group."""
        groups: list[list[Action]] = []
        changed: set[str] = set()  # whose records the last group changes
        for action in self.actions:
            name = action.after.instance if isinstance(action, ReplaceRecord) else ""
            if name and changed and name not in changed:
                groups[-1].append(action)
            else:
                groups.append([action])
                changed = set()
            changed |= {name} - {""}
        return groups

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
class Watch:
    """Nodes whose urgent evacuation was sent ``since``: whoever has sent it stays with it ``until`` then."""

    instances: frozenset[str]
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action came out.

    ``event``: what was learnt by it, to be decided on next. ``watch``: what to watch after that.
    """

    code: Code = Code.DONE
    detail: str = ""
    event: Event | None = None
    watch: Watch | None = None
