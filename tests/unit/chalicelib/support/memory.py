"""What adapters/dynamodb does, in memory; test_records.py holds both to one contract."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import RLock
from typing import TYPE_CHECKING

from chalicelib.state.cluster import Breaker, Discovery, Host, Overview
from chalicelib.state.incident import Incident
from chalicelib.state.job import Job
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from chalicelib.state.settings import ClusterSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass
class MemoryNodes:
    """ports.NodeRecords in dictionaries."""

    records: dict[tuple[str, str], Node] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)

    def find_owner(self, instance: str) -> str | None:
        return self.owners.get(instance)

    def record_owners(self, cluster: str, fleets: Iterable[str]) -> None:
        self.owners |= dict.fromkeys(fleets, cluster)

    def get(self, cluster: str, instance: str) -> Node | None:
        return self.records.get((cluster, instance))

    def list_all(self, cluster: str) -> tuple[Node, ...]:
        with self.lock:
            return tuple(node for key, node in sorted(self.records.items()) if key[0] == cluster)

    def list_open(self, cluster: str, until: float) -> tuple[Node, ...]:
        due = [node for node in self.list_all(cluster) if node.due is not None and node.due <= until]
        return tuple(sorted(due, key=lambda node: node.due or 0))

    def register(self, nodes: Iterable[Node], *, owned: bool = True) -> None:
        with self.lock:
            for node in nodes:
                if owned:
                    self.owners[node.instance] = node.cluster
                self.records.setdefault((node.cluster, node.instance), node)

    def replace(self, before: Node, after: Node) -> bool:
        with self.lock:
            found = self.records.get((before.cluster, before.instance))
            if found is None or (found.version, found.state) != (before.version, before.state):
                return False
            self.records[before.cluster, before.instance] = after
            return True

    def replace_all(self, pairs: Sequence[tuple[Node, Node]]) -> list[bool]:
        return [self.replace(before, after) for before, after in pairs]


@dataclass
class MemoryManagers:
    """ports.ManagerRecords in dictionaries, beside the records of nodes."""

    nodes: MemoryNodes
    ids: dict[str, tuple[str, ...]] = field(default_factory=dict)
    breakers: dict[tuple[str, str], Breaker] = field(default_factory=dict)

    def list_ids(self, cluster: str) -> tuple[str, ...]:
        return self.ids.get(cluster, ())

    def record(self, cluster: str, managers: Iterable[str]) -> None:
        self.ids[cluster] = tuple(managers)

    def list_hosts(self, cluster: str) -> tuple[Host, ...]:
        nodes = [(manager, self.nodes.get(cluster, manager)) for manager in self.list_ids(cluster)]
        return tuple(
            Host(
                manager,
                node.state if node else NodeState.GONE,
                self.get_breaker(cluster, manager),
                node.address if node else "",
                node.node if node else "",
                bool(node and node.only_tagged),
            )
            for manager, node in nodes
        )

    def get_breaker(self, cluster: str, manager: str) -> Breaker:
        return self.breakers.get((cluster, manager), Breaker())

    def record_breaker(self, cluster: str, manager: str, breaker: Breaker, now: float) -> None:  # noqa: ARG002
        self.breakers[cluster, manager] = breaker


@dataclass
class MemorySettings:
    """ports.SettingsRecords in a dictionary."""

    records: dict[str, ClusterSettings] = field(default_factory=dict)

    def get(self, cluster: str) -> ClusterSettings:
        return self.records.get(cluster, ClusterSettings())

    def update(self, cluster: str, changes: Mapping[str, str | bool | float]) -> None:
        self.records[cluster] = replace(self.get(cluster), **changes)  # type: ignore[arg-type]


@dataclass
class MemoryClusters:
    """ports.ClusterRecords over what the others have."""

    nodes: MemoryNodes
    managers: MemoryManagers
    settings: MemorySettings

    def read(self, cluster: str, instance: str = "") -> Overview:
        node = self.nodes.get(cluster, instance) if instance else None
        return Overview(self.managers.list_ids(cluster), self.settings.get(cluster), node)


@dataclass
class MemoryIncidents:
    """ports.IncidentRecords in a dictionary behind a lock."""

    records: dict[tuple[str, str], Incident] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)

    def list_all(self, cluster: str) -> tuple[Incident, ...]:
        return tuple(one for key, one in sorted(self.records.items()) if key[0] == cluster)

    def get(self, cluster: str, name: str) -> Incident | None:
        return self.records.get((cluster, name))

    def record(self, cluster: str, incident: Incident, now: float) -> bool:
        with self.lock:
            known = self.records.get((cluster, incident.key))
            if known and known.expires > now:
                return False
            self.records[cluster, incident.key] = incident
            return True

    def mark_notified(self, cluster: str, name: str) -> None:
        if known := self.records.get((cluster, name)):
            self.records[cluster, name] = replace(known, notified=True)

    def delete(self, cluster: str, name: str) -> None:
        self.records.pop((cluster, name), None)


@dataclass
class MemoryJobs:
    """ports.JobRecords in a dictionary behind a lock."""

    records: dict[tuple[str, str], Job] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)

    def list_all(self, cluster: str) -> tuple[Job, ...]:
        return tuple(one for key, one in sorted(self.records.items()) if key[0] == cluster)

    def replace(self, cluster: str, before: Job | None, after: Job) -> bool:
        with self.lock:
            found = self.records.get((cluster, after.task.value))
            if (found and found.version) != (before and before.version):
                return False
            self.records[cluster, after.task.value] = after
            return True


@dataclass
class MemoryLease:
    """ports.DispatchLease in a dictionary behind a lock: holder, end and rechecks of each cluster's."""

    leases: dict[str, tuple[str, float, int]] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)

    def acquire(self, cluster: str, holder: str, now: float, seconds: float) -> int | None:
        with self.lock:
            owner, until, rechecks = self.leases.get(cluster, (holder, 0.0, 0))
            if owner != holder and until > now:
                return None
            self.leases[cluster] = (holder, now + seconds, rechecks)
            return rechecks

    def request_recheck(self, cluster: str, now: float) -> int:
        with self.lock:
            owner, until, rechecks = self.leases.get(cluster, ("", 0.0, 0))
            if until <= now:
                return 0
            self.leases[cluster] = (owner, until, rechecks + 1)
            return rechecks + 1

    def release(self, cluster: str, holder: str, rechecks: int | None = None) -> bool:
        with self.lock:
            owner, _, requested = self.leases.get(cluster, ("", 0.0, 0))
            if owner != holder or rechecks not in (None, requested):
                return False
            del self.leases[cluster]
            return True


@dataclass
class MemoryDiscoveries:
    """ports.DiscoveryRecords: the last discovery, behind a lock, beside the owners of instances."""

    nodes: MemoryNodes
    last: Discovery = field(default_factory=Discovery)
    lock: RLock = field(default_factory=RLock)

    def latest(self) -> Discovery:
        return self.last

    def look_up(self, instance: str) -> tuple[Discovery, str | None]:
        return self.last, self.nodes.find_owner(instance)

    def begin(self, seen: Discovery, now: float, seconds: float) -> bool:
        with self.lock:
            if self.last.taken != seen.taken or self.last.busy_until > now:
                return False
            self.last = replace(self.last, busy_until=now + seconds)
            return True

    def finish(self, taken: float, clusters: Iterable[str]) -> None:
        if taken >= self.last.taken:
            self.last = Discovery(taken, clusters=tuple(clusters))
