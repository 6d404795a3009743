"""What an agent sees of the swarm: nodes, services and tasks as values, read from the engine's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

INSTANCE_LABEL = "swarmkeeper.instance"  # engine or node label: the EC2 instance that a node is
ZONE_LABEL = "swarmkeeper.zone"  # engine or node label: its Availability Zone
TYPE_LABEL = "swarmkeeper.type"  # engine or node label: its instance type
LIFECYCLE_LABEL = "swarmkeeper.lifecycle"  # engine or node label: spot or on-demand
DOOMED_LABEL = "swarmkeeper.evacuate"  # node label: the second since the epoch at which the node is gone
MARK_LABEL = "swarmkeeper.evacuate.before"  # service label: what an evacuation replaced, as JSON
SERVICE_LABEL = "swarmkeeper.evacuate"  # service label set by users: "stop-first"

ENDED = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})
WANTED = frozenset(
    {"new", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running", "complete"}
)  # "complete" is what Swarm wants of a job's tasks


@dataclass(frozen=True)
class Node:
    """One node, as listed by the managers."""

    id: str
    version: int
    spec: Mapping[str, Any]
    state: str
    address: str
    hostname: str
    engine_labels: Mapping[str, str]
    platform: tuple[str, str]  # (operating system, architecture)
    cpus: int  # in units of 1e-9 CPU
    memory: int  # in bytes
    reachability: str = ""  # of a manager: reachable, unreachable; "" for workers
    leader: bool = False
    generic: Mapping[str, int] = field(default_factory=dict)  # generic resources: kind -> how many
    plugins: frozenset[tuple[str, str]] | None = None  # (Volume, Network or Log, name); None: not told

    @property
    def availability(self) -> str:
        return str(self.spec.get("Availability", "active"))

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.get("Labels") or {}

    @property
    def role(self) -> str:
        return str(self.spec.get("Role", "worker"))

    @property
    def votes(self) -> bool:
        """It counts for the quorum; after force-new-cluster the lost managers are managers in name only."""
        return self.role == "manager" and bool(self.reachability)

    @property
    def instance(self) -> str:
        """The EC2 instance id, "" where neither the engine nor the node is labelled."""
        return self.labels.get(INSTANCE_LABEL) or self.engine_labels.get(INSTANCE_LABEL, "")

    @property
    def doom(self) -> float | None:
        """When the node will be gone, in seconds since the epoch; None if it is not doomed."""
        try:
            return float(self.labels[DOOMED_LABEL].split(" ")[0])
        except (KeyError, ValueError):
            return None

    @property
    def going(self) -> bool:
        """It is doomed, and nobody has made it active again since: the label alone may be a left-over."""
        return self.doom is not None and self.availability != "active"

    @property
    def down(self) -> bool:
        """Swarm has given it up. ``unknown`` is less: all are for up to 5 s after an election (measured)."""
        return self.state == "down"


@dataclass(frozen=True)
class Membership:
    """How a host stands to a swarm, as its own engine sees it.

    ``state`` is Swarm's own word: inactive, pending, active, error or locked. ``managers`` are addresses.
    """

    state: str
    node: str = ""
    manages: bool = False
    managers: frozenset[str] = frozenset()
    error: str = ""
    raft: bool = False  # a manager's state is on its disk
    engine_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def leaderless(self) -> bool:
        """A manager says that too few managers answer to agree on anything."""
        return "does not have a leader" in self.error


@dataclass(frozen=True)
class Service:
    """One service; ``spec`` is the engine's own JSON, so that it can be written back unchanged."""

    id: str
    version: int
    spec: Mapping[str, Any]
    update: str  # UpdateStatus.State: "", updating, paused, completed, rollback_started, …

    @property
    def name(self) -> str:
        return str(self.spec.get("Name", self.id))

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.get("Labels") or {}

    @property
    def replicated(self) -> bool:
        return "Replicated" in self.spec.get("Mode", {})

    @property
    def is_global(self) -> bool:
        return "Global" in self.spec.get("Mode", {})

    @property
    def replicas(self) -> int:
        return int((self.spec.get("Mode", {}).get("Replicated") or {}).get("Replicas", 0))

    @property
    def template(self) -> Mapping[str, Any]:
        return self.spec.get("TaskTemplate") or {}

    @property
    def placement(self) -> Mapping[str, Any]:
        return self.template.get("Placement") or {}

    @property
    def update_config(self) -> Mapping[str, Any]:
        return self.spec.get("UpdateConfig") or {}

    @property
    def reserved(self) -> tuple[int, int]:
        """What one task reserves: (CPU in 1e-9, memory in bytes)."""
        reservations = (self.template.get("Resources") or {}).get("Reservations") or {}
        return int(reservations.get("NanoCPUs", 0)), int(reservations.get("MemoryBytes", 0))

    @property
    def generic(self) -> Mapping[str, int]:
        """What one task reserves of generic resources: kind -> how many."""
        reservations = (self.template.get("Resources") or {}).get("Reservations") or {}
        return counted(reservations.get("GenericResources"))

    @property
    def most_per_node(self) -> int:
        """How many tasks one node may hold; 0 for any number."""
        return int(self.placement.get("MaxReplicas") or 0)

    @property
    def spread_over(self) -> tuple[str, ...]:
        """The placement preferences, outermost first: labels such as ``node.labels.swarmkeeper.zone``."""
        rows = self.placement.get("Preferences") or ()
        return tuple(str((row.get("Spread") or {}).get("SpreadDescriptor", "")) for row in rows)

    @property
    def host_ports(self) -> frozenset[tuple[str, int]]:
        """The (protocol, port) pairs that a task takes on its node."""
        ports = (self.spec.get("EndpointSpec") or {}).get("Ports") or []
        return frozenset(
            (port.get("Protocol", "tcp"), int(port["PublishedPort"]))
            for port in ports
            if port.get("PublishMode") == "host" and port.get("PublishedPort")
        )

    @property
    def takes_room(self) -> bool:
        """A task takes of its node what tasks of other services may have taken."""
        return bool(self.host_ports or any(self.reserved) or any(self.generic.values()))

    @property
    def stop_grace(self) -> float:
        """Seconds that a task gets between SIGTERM and SIGKILL; Docker's default is 10."""
        container = self.template.get("ContainerSpec") or {}
        grace = container.get("StopGracePeriod")
        return 10.0 if grace is None else float(grace) / 1e9

    @property
    def before(self) -> Mapping[str, Any] | None:
        """What a running evacuation replaced in the spec; None where none is running.

        A label of that name that no evacuation wrote counts for nothing: it must not stop the others.
        """
        try:
            mark = json.loads(self.labels.get(MARK_LABEL, ""))
            return mark if isinstance(mark["nodes"], list) and isinstance(mark["ours"], dict) else None
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True)
class Task:
    """One task, in the engine's terms."""

    id: str
    service: str
    node: str
    slot: int
    state: str
    desired: str
    created: str = ""  # RFC 3339, as the engine gives it; see ``moment``
    since: str = ""  # when it entered its state
    drivers: tuple[str, ...] = ()  # of the networks that it is attached to

    @property
    def wanted(self) -> bool:
        """Swarm wants it to run and it has not ended."""
        return self.desired in WANTED and self.state not in ENDED

    @property
    def running(self) -> bool:
        """It runs (healthy, where it has a health check) and Swarm wants it to."""
        return self.state == "running" and self.desired == "running"

    @property
    def present(self) -> bool:
        """Its container may still exist on the node."""
        return bool(self.node) and self.state not in ENDED


def moment(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time in UTC with up to nine decimals; 0 for none."""
    if not text:
        return 0.0
    whole, _, part = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{part or 0}")


def counted(rows: Iterable[Mapping[str, Any]] | None) -> dict[str, int]:
    """Counted resources add their value, named ones (each row is one) count as one."""
    found: dict[str, int] = {}
    for row in rows or ():
        counted, named = row.get("DiscreteResourceSpec"), row.get("NamedResourceSpec")
        kind = str((counted or named or {}).get("Kind", ""))
        found[kind] = found.get(kind, 0) + (int(counted.get("Value", 0)) if counted else 1)
    return found


Spec = dict[str, Any]
