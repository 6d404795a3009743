"""How much each node can still take: one index over all tasks, kept up while services are planned; pure."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot


@dataclass(frozen=True)
class Demand:
    """What one task takes of its node; a node may hold ``most`` of them, 0 for any number."""

    cpus: int
    memory: int
    generic: Mapping[str, int]
    ports: frozenset[tuple[str, int]]
    most: int

    @classmethod
    def of(cls, service: Service) -> Demand:
        """Read the demand from the service's spec; once, since a plan asks for it at every node."""
        return cls(*service.reserved, service.generic, service.host_ports, service.most_per_node)

    @property
    def is_shared(self) -> bool:
        """It takes what tasks of other services may have taken."""
        return bool(self.cpus or self.memory or self.generic or self.ports)

    @property
    def is_limited(self) -> bool:
        """It takes something that could be short."""
        return self.is_shared or bool(self.most)


NOTHING = Demand(0, 0, {}, frozenset(), 0)  # what a task takes whose service is gone


class NodeCapacity:
    """What the tasks on one node leave free of it."""

    __slots__ = ("cpus", "generic", "memory", "node", "ports", "tasks")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.tasks = 0
        self.cpus = node.cpus
        self.memory = node.memory
        self.generic = dict(node.generic)
        self.ports: Counter[tuple[str, int]] = Counter()

    def copy(self) -> NodeCapacity:
        """Copy it, to be changed apart."""
        other = NodeCapacity(self.node)
        other.tasks, other.cpus, other.memory = self.tasks, self.cpus, self.memory
        other.generic = dict(self.generic)
        if self.ports:
            other.ports = Counter(self.ports)
        return other

    def take(self, demand: Demand, tasks: int = 1) -> None:
        """Count so many tasks more on the node."""
        self.tasks += tasks
        self.cpus -= demand.cpus * tasks
        self.memory -= demand.memory * tasks
        for kind, wanted in demand.generic.items():
            self.generic[kind] = self.generic.get(kind, 0) - wanted * tasks
        self.ports.update(demand.ports)

    def leave(self, tasks: int) -> None:
        """Count so many tasks less. Their resources stay taken: a run may stop before they have left."""
        self.tasks -= tasks

    def load(self, demand: Demand = NOTHING, tasks: int = 0) -> float:
        """Add up its tasks and, below 1, their share of CPU and memory; without so many of a kind."""
        cpus = 1 - (self.cpus + demand.cpus * tasks) / self.node.cpus if self.node.cpus else 0.0
        memory = 1 - (self.memory + demand.memory * tasks) / self.node.memory if self.node.memory else 0.0
        return self.tasks - tasks + max(0.0, min(0.999, (cpus + memory) / 2))


class SwarmCapacity:
    """The tasks that Swarm wants, by service and by node. ``apply_plan`` is all that changes it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.nodes = {node.id: NodeCapacity(node) for node in snapshot.nodes}
        self.counts: dict[str, dict[str, int]] = {}
        self._services = snapshot.service_by_id
        self._demands: dict[str, Demand] = {}
        for task in snapshot.tasks:
            if task.is_wanted and task.node in self.nodes:
                there = self.counts.setdefault(task.service, {})
                there[task.node] = there.get(task.node, 0) + 1
        for service, there in self.counts.items():
            demand = self.demand(service)
            for node, count in there.items():
                self.nodes[node].take(demand, count)
        self.load = {node: held.load() for node, held in self.nodes.items()}  # to compare nodes by

    def copy(self) -> SwarmCapacity:
        """Copy the index, so that what is planned in the one does not count in the other."""
        other = copy.copy(self)
        other.nodes = {key: node.copy() for key, node in self.nodes.items()}
        other.counts = {key: dict(counts) for key, counts in self.counts.items()}
        other.load = dict(self.load)
        return other

    @cached_property
    def hosts(self) -> Mapping[str, str]:
        """The host names by node id."""
        return {key: held.node.hostname or key for key, held in self.nodes.items()}

    def demand(self, service: str) -> Demand:
        """Tell what one task of the service (an id) takes; nothing, where the service is gone."""
        if service not in self._demands:
            known = self._services.get(service)
            self._demands[service] = Demand.of(known) if known else NOTHING
        return self._demands[service]

    def room(self, node: str, service: str) -> float:
        """Count how many more tasks of the service the node can take; may be infinite."""
        return min((room for _, room in self.limits(node, service)), default=math.inf)

    def load_of_others(self, service: str) -> dict[str, float]:
        """Measure the load of each node without this service, whose plan adds its own tasks."""
        demand, counts = self.demand(service), self.counts.get(service, {})
        return {**self.load, **{node: self.nodes[node].load(demand, count) for node, count in counts.items()}}

    def limits(self, node: str, service: str) -> list[tuple[str, float]]:
        """List what bounds the service on the node: each rule's name and how many more tasks it allows."""
        demand, held = self.demand(service), self.nodes[node]
        found: list[tuple[str, float]] = []
        if demand.cpus:
            found.append(("reserved CPU", held.cpus // demand.cpus))
        if demand.memory:
            found.append(("reserved memory", held.memory // demand.memory))
        for kind, wanted in demand.generic.items():
            if wanted:
                found.append((f"generic resource {kind}", held.generic.get(kind, 0) // wanted))
        if demand.most:
            found.append(("max replicas per node", demand.most - self.counts.get(service, {}).get(node, 0)))
        if demand.ports:
            found.append(("host port", 0 if any(held.ports[port] > 0 for port in demand.ports) else 1))
        return [(rule, max(0, room)) for rule, room in found]

    def apply_plan(self, service: str, after: Mapping[str, int]) -> None:
        """Count the service's tasks as standing as ``after`` (tasks by node id) says."""
        before, demand = self.counts.get(service, {}), self.demand(service)
        for node in {*before, *after}:
            more = after.get(node, 0) - before.get(node, 0)
            if more > 0:
                self.nodes[node].take(demand, more)
            elif more < 0:
                self.nodes[node].leave(-more)
            self.load[node] = self.nodes[node].load()
        self.counts[service] = dict(after)
