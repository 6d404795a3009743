"""What the handlers reach outside of themselves: one port for each concern."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from chalicelib.state.deployment import Deployment
from chalicelib.state.settings import Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chalicelib.actions import LifecycleResult
    from chalicelib.events import Answer
    from chalicelib.protocol.messages import AgentTask, Arguments
    from chalicelib.state.cluster import Breaker, Discovery, Host, Overview
    from chalicelib.state.incident import Incident
    from chalicelib.state.instance import DiscoveredInstance, LifecycleAction
    from chalicelib.state.job import Job
    from chalicelib.state.node import Node
    from chalicelib.state.settings import ClusterSettings


OPEN_WORK_AHEAD_S = 86_400.0  # until when work may be due that is still open, also while its command is out


class NodeRecords(Protocol):
    """The records of instances as nodes, and which cluster owns an instance or a fleet.

    Reads of this port and of all others see every write that came before them.
    """

    def find_owner(self, instance: str) -> str | None:
        """Answer the cluster of an instance or a fleet; None if no discovery saw it."""

    def record_owners(self, cluster: str, fleets: Iterable[str]) -> None:
        """Record which cluster fleets work for; ``find_owner`` then answers for them too."""

    def get(self, cluster: str, instance: str) -> Node | None:
        """Answer the record of an instance."""

    def list_all(self, cluster: str) -> tuple[Node, ...]:
        """Answer all records of a cluster."""

    def list_open(self, cluster: str, until: float) -> tuple[Node, ...]:
        """Answer the records with open work that is due by then, in order of ``due``."""

    def register(self, nodes: Iterable[Node], *, owned: bool = True) -> None:
        """Begin records, and record this cluster as owner if ``owned``; existing records stay."""

    def replace(self, before: Node, after: Node) -> bool:
        """Replace a record; False if it is no longer the one that was read."""

    def replace_all(self, pairs: Sequence[tuple[Node, Node]]) -> list[bool]:
        """Replace many records of a cluster; answers which ones were still those that were read.

        Raises ThrottledError where the table refuses it for too long.
        """


class ClusterRecords(Protocol):
    """What most events need to know of a cluster."""

    def read(self, cluster: str, instance: str = "") -> Overview:
        """Answer managers, settings, and the record of the instance if one is named."""


class ManagerRecords(Protocol):
    """Which instances are a cluster's managers, and a circuit breaker for each."""

    def list_ids(self, cluster: str) -> tuple[str, ...]:
        """Answer the instances that are the cluster's managers."""

    def record(self, cluster: str, managers: Iterable[str]) -> None:
        """Record the cluster's managers."""

    def list_hosts(self, cluster: str) -> tuple[Host, ...]:
        """Answer the managers as places to run commands."""

    def get_breaker(self, cluster: str, manager: str) -> Breaker:
        """Answer how a manager has behaved; closed if nothing is recorded."""

    def record_breaker(self, cluster: str, manager: str, breaker: Breaker, now: float) -> None:
        """Record how a manager has behaved."""


class SettingsRecords(Protocol):
    """How each cluster is to be treated."""

    def get(self, cluster: str) -> ClusterSettings:
        """Answer the cluster's settings; the defaults if people have set nothing."""

    def update(self, cluster: str, changes: Mapping[str, str | bool | float]) -> None:
        """Set some of them; what is not named stays as it is."""


class IncidentRecords(Protocol):
    """The incidents of each cluster, dead letters among them."""

    def list_all(self, cluster: str) -> tuple[Incident, ...]:
        """Answer all incidents that are not deleted."""

    def get(self, cluster: str, name: str) -> Incident | None:
        """Answer the incident of a key."""

    def record(self, cluster: str, incident: Incident, now: float) -> bool:
        """Record an incident; False where it is known and has not expired."""

    def mark_notified(self, cluster: str, name: str) -> None:
        """Record that people were notified of the incident; one that is deleted meanwhile stays so."""

    def delete(self, cluster: str, name: str) -> None:
        """Delete an incident that is over."""


class JobRecords(Protocol):
    """The last job of each task in each cluster."""

    def list_all(self, cluster: str) -> tuple[Job, ...]:
        """Answer what was ordered last, one for each task."""

    def replace(self, cluster: str, before: Job | None, after: Job) -> bool:
        """Begin a job (``before`` is None) or replace it; False if it is not the one that was read."""


class DispatchLease(Protocol):
    """Who may send a cluster's open work: one handler at a time."""

    def acquire(self, cluster: str, holder: str, now: float, seconds: float) -> int | None:
        """Take or renew the lease; answers the rechecks requested, None while another holder's lasts."""

    def request_recheck(self, cluster: str, now: float) -> int:
        """Have the holder look for open work again before it lets go.

        Answers how many have requested that since it took the lease; 0 if nobody holds it.
        """

    def release(self, cluster: str, holder: str, rechecks: int | None = None) -> bool:
        """Let the lease go, if it is still the holder's and no more than these ``rechecks`` came."""


class DiscoveryRecords(Protocol):
    """The last discovery of all instances: when it was taken, and by whom the next one is claimed."""

    def latest(self) -> Discovery:
        """Answer when the last discovery was taken, and which clusters there are."""

    def look_up(self, instance: str) -> tuple[Discovery, str | None]:
        """Answer the last discovery and the cluster of an instance, read at once but in any order."""

    def begin(self, seen: Discovery, now: float, seconds: float) -> bool:
        """Claim the next discovery for some seconds; False if somebody else was faster."""

    def finish(self, taken: float, clusters: Iterable[str]) -> None:
        """Record the discovery that began at ``taken``; one that began later stands."""


class Hosts(Protocol):
    """The hosts. Calls raise ThrottledError and RefusedError, of which UnreachableError is one."""

    def find_reachable(self, instances: tuple[str, ...]) -> frozenset[str]:
        """Find those of at most 50 instances that Run Command can reach now."""

    def send(
        self, hosts: tuple[str, ...], cluster: str, task: AgentTask, arguments: Arguments, seconds: int
    ) -> str:
        """Start a task that may run for some seconds on at most 50 hosts; answers the command's id."""

    def fetch_answer(self, command: str, manager: str) -> Answer:
        """Fetch what has become of a command."""

    def cancel(self, command: str, manager: str) -> None:
        """Take a command back, as far as possible."""


class Messages(Protocol):
    """How people are notified of incidents. Raises RefusedError."""

    def publish(self, subject: str, text: str) -> None:
        """Send them a message."""


class Ec2(Protocol):
    """EC2."""

    def discover(self) -> tuple[DiscoveredInstance, ...]:
        """Answer all tagged instances of the stage, of all clusters, without their lifecycle actions."""


class AutoScaling(Protocol):
    """Auto Scaling. Calls raise ThrottledError and RefusedError."""

    def complete(self, instance: str, hook: LifecycleAction, result: LifecycleResult) -> None:
        """Complete a lifecycle action; one that is over already stays so."""

    def record_heartbeat(self, instance: str, hook: LifecycleAction) -> None:
        """Have a lifecycle action wait longer; nothing happens to one that is over."""

    def list_open(self, groups: Iterable[str], now: float) -> Mapping[str, tuple[LifecycleAction, ...]]:
        """Answer the instances for which these groups wait, each with the actions that may be open."""


class Clock(Protocol):
    """Time, in seconds since the epoch."""

    def now(self) -> float:
        """Return the time."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class WallClock:
    """The real time."""

    def now(self) -> float:
        """Return the time."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside; ``holder`` names this invocation wherever only one may act."""

    nodes: NodeRecords
    clusters: ClusterRecords
    managers: ManagerRecords
    settings: SettingsRecords
    incidents: IncidentRecords
    jobs: JobRecords
    lease: DispatchLease
    discoveries: DiscoveryRecords
    hosts: Hosts
    ec2: Ec2
    autoscaling: AutoScaling
    messages: Messages
    clock: Clock = field(default_factory=WallClock)
    timeouts: Timeouts = field(default_factory=Timeouts)
    deployment: Deployment = field(default_factory=Deployment)
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)
