"""What the handlers reach outside of themselves: one port for each concern."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from chalicelib.state.settings import Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chalicelib.actions import LifecycleResult
    from chalicelib.events import Answer
    from chalicelib.protocol.messages import AgentTask, Arguments
    from chalicelib.state.cluster import Breaker, Discovery, Host
    from chalicelib.state.incident import Incident
    from chalicelib.state.instance import DiscoveredInstance, LifecycleAction
    from chalicelib.state.job import Job
    from chalicelib.state.node import Node
    from chalicelib.state.settings import ClusterSettings


class Store(Protocol):
    """The records. Reads see all writes that came before them."""

    def owner_cluster(self, instance: str) -> str | None:
        """The cluster of an instance; None if it was in no discovery."""

    def node(self, cluster: str, instance: str) -> Node | None:
        """The record of an instance."""

    def nodes(self, cluster: str) -> tuple[Node, ...]:
        """All records of a cluster."""

    def open(self, cluster: str, until: float) -> tuple[Node, ...]:
        """The records with open work that is due by then, in order of ``due``."""

    def register(self, nodes: Iterable[Node], *, owned: bool = True) -> None:
        """Begin records, and note that the instances are at home here if so; existing ones stay."""

    def replace_record(self, before: Node, after: Node) -> bool:
        """Replace a record; False if it is no longer the one that was read."""

    def record_owners(self, cluster: str, fleets: Iterable[str]) -> None:
        """Note which cluster fleets work for; ``home`` then answers for them too."""

    def managers(self, cluster: str) -> tuple[str, ...]:
        """The instances that are the cluster's managers."""

    def record_managers(self, cluster: str, managers: Iterable[str]) -> None:
        """Remember the managers."""

    def hosts(self, cluster: str) -> tuple[Host, ...]:
        """The managers as places to run commands."""

    def settings(self, cluster: str) -> ClusterSettings:
        """How the cluster is to be treated."""

    def update_settings(self, cluster: str, changes: Mapping[str, str | bool | float]) -> None:
        """Treat it otherwise; what is not named stays as it is."""

    def incidents(self, cluster: str) -> tuple[Incident, ...]:
        """All incidents that are not forgotten, dead letters among them."""

    def incident(self, cluster: str, name: str) -> Incident | None:
        """The incident of a key."""

    def open_incident(self, cluster: str, incident: Incident, now: float) -> bool:
        """Record an incident; False where it is known and has not expired."""

    def told(self, cluster: str, name: str) -> None:
        """Somebody was told of the incident; one that is forgotten meanwhile stays so."""

    def forget(self, cluster: str, name: str) -> None:
        """The incident is over."""

    def replace_job(self, cluster: str, before: Job | None, after: Job) -> bool:
        """Begin an job (``before`` is None) or replace it; False if it is not the one that was read."""

    def jobs(self, cluster: str) -> tuple[Job, ...]:
        """What was ordered last, one for each task."""

    def breaker(self, cluster: str, manager: str) -> Breaker:
        """How a manager has behaved."""

    def record_breaker(self, cluster: str, manager: str, breaker: Breaker, now: float) -> None:
        """Remember how a manager has behaved."""

    def acquire(self, cluster: str, holder: str, now: float, seconds: float) -> int | None:
        """Take or renew the lease; answers how often it was called for, None while another holder's lasts."""

    def call(self, cluster: str, now: float) -> int:
        """Have the holder of the lease look again before it lets go.

        Answers how many have called since it took the lease; 0 if nobody holds it.
        """

    def release(self, cluster: str, holder: str, calls: int | None = None) -> bool:
        """Let the lease go, if it is still the holder's and, where ``calls`` is given, no more calls came."""

    def discovery(self) -> Discovery:
        """When the last discovery was taken, and which clusters there are."""

    def begin_discovery(self, seen: Discovery, now: float, seconds: float) -> bool:
        """Claim the next discovery for some seconds; False if somebody else was faster."""

    def end_discovery(self, taken: float, clusters: Iterable[str]) -> None:
        """The discovery that began at ``taken`` is recorded; one that began later stands."""


class Hosts(Protocol):
    """The hosts. Calls raise ThrottledError and UnreachableError."""

    def reachable(self, instances: tuple[str, ...]) -> frozenset[str]:
        """Those of at most 50 instances that Run Command can reach now."""

    def send(
        self, hosts: tuple[str, ...], cluster: str, task: AgentTask, arguments: Arguments, seconds: int
    ) -> str:
        """Start a task that may run for some seconds on at most 50 hosts; answers the command's id."""

    def answer(self, command: str, manager: str) -> Answer:
        """What has become of a command."""

    def cancel(self, command: str, manager: str) -> None:
        """Take a command back, as far as possible."""


class Messages(Protocol):
    """Where people hear of incidents. Raises RefusedError."""

    def publish(self, subject: str, text: str) -> None:
        """Tell them."""


class Fleet(Protocol):
    """EC2 and Auto Scaling. Calls to the latter raise ThrottledError and RefusedError."""

    def complete(self, instance: str, hook: LifecycleAction, result: LifecycleResult) -> None:
        """Complete a lifecycle action; one that is over already stays so."""

    def heartbeat(self, instance: str, hook: LifecycleAction) -> None:
        """Have a lifecycle action wait longer; nothing happens to one that is over."""

    def discovery(self) -> tuple[DiscoveredInstance, ...]:
        """All tagged instances of all clusters, their hooks left out."""

    def held(self, groups: Iterable[str], now: float) -> Mapping[str, tuple[LifecycleAction, ...]]:
        """The instances for which these groups wait, each with the lifecycle actions that may be open."""


class Clock(Protocol):
    """Time, in seconds since the epoch."""

    def now(self) -> float:
        """The time."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class WallClock:
    """The real time."""

    def now(self) -> float:
        """The time."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside; ``holder`` names this invocation wherever only one may act."""

    store: Store
    hosts: Hosts
    fleet: Fleet
    messages: Messages
    clock: Clock = field(default_factory=WallClock)
    timeouts: Timeouts = field(default_factory=Timeouts)
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)
