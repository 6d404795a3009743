"""What DynamoStore does, in memory; test_store.py holds both to one contract."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import RLock
from typing import TYPE_CHECKING

from chalicelib.state.cluster import Breaker, Discovery, Host
from chalicelib.state.incident import Incident
from chalicelib.state.job import Job
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from chalicelib.state.settings import ClusterSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass
class MemoryStore:
    """What DynamoStore does, in dictionaries behind one lock."""

    records: dict[tuple[str, str], Node] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    breakers: dict[tuple[str, str], Breaker] = field(default_factory=dict)
    known_managers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    leases: dict[str, tuple[str, float, int]] = field(default_factory=dict)
    conducts: dict[str, ClusterSettings] = field(default_factory=dict)
    known_incidents: dict[tuple[str, str], Incident] = field(default_factory=dict)
    known_errands: dict[tuple[str, str], Job] = field(default_factory=dict)
    last_census: Discovery = field(default_factory=Discovery)
    lock: RLock = field(default_factory=RLock)

    def owner_cluster(self, instance: str) -> str | None:
        return self.homes.get(instance)

    def node(self, cluster: str, instance: str) -> Node | None:
        return self.records.get((cluster, instance))

    def nodes(self, cluster: str) -> tuple[Node, ...]:
        with self.lock:
            return tuple(node for key, node in sorted(self.records.items()) if key[0] == cluster)

    def open(self, cluster: str, until: float) -> tuple[Node, ...]:
        due = [node for node in self.nodes(cluster) if node.due is not None and node.due <= until]
        return tuple(sorted(due, key=lambda node: node.due or 0))

    def register(self, nodes: Iterable[Node], *, owned: bool = True) -> None:
        with self.lock:
            for node in nodes:
                if owned:
                    self.homes[node.instance] = node.cluster
                self.records.setdefault((node.cluster, node.instance), node)

    def replace_record(self, before: Node, after: Node) -> bool:
        with self.lock:
            found = self.records.get((before.cluster, before.instance))
            if found is None or (found.version, found.state) != (before.version, before.state):
                return False
            self.records[before.cluster, before.instance] = after
            return True

    def record_owners(self, cluster: str, fleets: Iterable[str]) -> None:
        self.homes |= dict.fromkeys(fleets, cluster)

    def settings(self, cluster: str) -> ClusterSettings:
        return self.conducts.get(cluster, ClusterSettings())

    def update_settings(self, cluster: str, changes: Mapping[str, str | bool | float]) -> None:
        self.conducts[cluster] = replace(self.settings(cluster), **changes)  # type: ignore[arg-type]

    def incidents(self, cluster: str) -> tuple[Incident, ...]:
        return tuple(one for key, one in sorted(self.known_incidents.items()) if key[0] == cluster)

    def incident(self, cluster: str, name: str) -> Incident | None:
        return self.known_incidents.get((cluster, name))

    def open_incident(self, cluster: str, incident: Incident, now: float) -> bool:
        with self.lock:
            known = self.known_incidents.get((cluster, incident.key))
            if known and known.expires > now:
                return False
            self.known_incidents[cluster, incident.key] = incident
            return True

    def told(self, cluster: str, name: str) -> None:
        if known := self.known_incidents.get((cluster, name)):
            self.known_incidents[cluster, name] = replace(known, notified=True)

    def forget(self, cluster: str, name: str) -> None:
        self.known_incidents.pop((cluster, name), None)

    def replace_job(self, cluster: str, before: Job | None, after: Job) -> bool:
        with self.lock:
            found = self.known_errands.get((cluster, after.task.value))
            if (found and found.version) != (before and before.version):
                return False
            self.known_errands[cluster, after.task.value] = after
            return True

    def jobs(self, cluster: str) -> tuple[Job, ...]:
        return tuple(one for key, one in sorted(self.known_errands.items()) if key[0] == cluster)

    def managers(self, cluster: str) -> tuple[str, ...]:
        return self.known_managers.get(cluster, ())

    def record_managers(self, cluster: str, managers: Iterable[str]) -> None:
        self.known_managers[cluster] = tuple(managers)

    def hosts(self, cluster: str) -> tuple[Host, ...]:
        nodes = [(manager, self.node(cluster, manager)) for manager in self.managers(cluster)]
        return tuple(
            Host(
                manager,
                node.state if node else NodeState.GONE,
                self.breaker(cluster, manager),
                node.address if node else "",
            )
            for manager, node in nodes
        )

    def breaker(self, cluster: str, manager: str) -> Breaker:
        return self.breakers.get((cluster, manager), Breaker())

    def record_breaker(self, cluster: str, manager: str, breaker: Breaker, now: float) -> None:  # noqa: ARG002
        self.breakers[cluster, manager] = breaker

    def acquire(self, cluster: str, holder: str, now: float, seconds: float) -> int | None:
        with self.lock:
            owner, until, calls = self.leases.get(cluster, (holder, 0.0, 0))
            if owner != holder and until > now:
                return None
            self.leases[cluster] = (holder, now + seconds, calls)
            return calls

    def call(self, cluster: str, now: float) -> int:
        with self.lock:
            owner, until, calls = self.leases.get(cluster, ("", 0.0, 0))
            if until <= now:
                return 0
            self.leases[cluster] = (owner, until, calls + 1)
            return calls + 1

    def release(self, cluster: str, holder: str, calls: int | None = None) -> bool:
        with self.lock:
            owner, _, called = self.leases.get(cluster, ("", 0.0, 0))
            if owner != holder or calls not in (None, called):
                return False
            del self.leases[cluster]
            return True

    def discovery(self) -> Discovery:
        return self.last_census

    def begin_discovery(self, seen: Discovery, now: float, seconds: float) -> bool:
        with self.lock:
            if self.last_census.taken != seen.taken or self.last_census.busy_until > now:
                return False
            self.last_census = replace(self.last_census, busy_until=now + seconds)
            return True

    def end_discovery(self, taken: float, clusters: Iterable[str]) -> None:
        if taken >= self.last_census.taken:
            self.last_census = Discovery(taken, clusters=tuple(clusters))
