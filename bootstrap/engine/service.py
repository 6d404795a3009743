"""One service, with the engine's own JSON as its spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

EXCLUSION_LABEL = "swarmkeeper.evacuate.before"  # service label: what an evacuation replaced, as JSON
SURGE_LABEL = "swarmkeeper.rebalance.before"  # service label: the surge that is under way, as JSON
EVACUATION_ORDER_LABEL = "swarmkeeper.evacuate"  # service label set by users: "stop-first"


@dataclass(frozen=True)
class Service:
    """One service; ``spec`` is the engine's own JSON, so that it can be written back unchanged."""

    id: str
    version: int
    spec: Mapping[str, Any]
    update: str  # UpdateStatus.State: "", updating, paused, completed, rollback_started, …
    is_repeated: bool = False  # its last update changed nothing: somebody asked for what stood already

    @property
    def name(self) -> str:
        return str(self.spec.get("Name", self.id))

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.get("Labels") or {}

    @property
    def is_replicated(self) -> bool:
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
    def has_reservations(self) -> bool:
        """A task takes of its node what tasks of other services may have taken."""
        return bool(self.host_ports or any(self.reserved) or any(self.generic.values()))

    @property
    def stop_grace(self) -> float:
        """Seconds that a task gets between SIGTERM and SIGKILL; Docker's default is 10."""
        container = self.template.get("ContainerSpec") or {}
        grace = container.get("StopGracePeriod")
        return 10.0 if grace is None else float(grace) / 1e9


def counted(rows: Iterable[Mapping[str, Any]] | None) -> dict[str, int]:
    """Count generic resources by kind: counted ones add their value, each named one (a row) counts as one."""
    found: dict[str, int] = {}
    for row in rows or ():
        counted, named = row.get("DiscreteResourceSpec"), row.get("NamedResourceSpec")
        kind = str((counted or named or {}).get("Kind", ""))
        found[kind] = found.get(kind, 0) + (int(counted.get("Value", 0)) if counted else 1)
    return found


Spec = dict[str, Any]
