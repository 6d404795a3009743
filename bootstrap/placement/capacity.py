"""Who stands where and what is taken there: one index over all tasks, kept up while services are planned."""

from __future__ import annotations

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
    """What one task of a service takes of its node; ``most`` a node may hold, 0 for any number."""

    cpus: int
    memory: int
    generic: Mapping[str, int]
    ports: frozenset[tuple[str, int]]
    most: int

    @classmethod
    def of(cls, service: Service) -> Demand:
        """Read from the service's spec once, since a plan asks for it at every node."""
        return cls(*service.reserved, service.generic, service.host_ports, service.most_per_node)

    @property
    def fits_anywhere(self) -> bool:
        """It takes nothing that could be short."""
        return not (self.cpus or self.memory or self.generic or self.ports or self.most)


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

    def take(self, demand: Demand, tasks: int = 1) -> None:
        """Let so many tasks come to the node."""
        self.tasks += tasks
        self.cpus -= demand.cpus * tasks
        self.memory -= demand.memory * tasks
        for kind, wanted in demand.generic.items():
            self.generic[kind] = self.generic.get(kind, 0) - wanted * tasks
        self.ports.update(demand.ports)

    def leave(self, tasks: int) -> None:
        """Let so many go. Their resources stay taken: a run may stop before they have left."""
        self.tasks -= tasks

    def load(self, demand: Demand = NOTHING, tasks: int = 0) -> float:
        """Its tasks and, below 1, the share of CPU and memory they reserve; without so many of a kind."""
        cpus = 1 - (self.cpus + demand.cpus * tasks) / self.node.cpus if self.node.cpus else 0.0
        memory = 1 - (self.memory + demand.memory * tasks) / self.node.memory if self.node.memory else 0.0
        return self.tasks - tasks + max(0.0, min(0.999, (cpus + memory) / 2))


class SwarmCapacity:
    """The tasks that Swarm wants, by service and by node. ``settle`` is all that changes it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.held = {node.id: NodeCapacity(node) for node in snapshot.nodes}
        self.counts: dict[str, dict[str, int]] = {}
        self._services = snapshot.service_by_id
        self._demands: dict[str, Demand] = {}
        for task in snapshot.tasks:
            if task.is_wanted and task.node in self.held:
                there = self.counts.setdefault(task.service, {})
                there[task.node] = there.get(task.node, 0) + 1
                self.held[task.node].take(self.demand(task.service))
        self.load = {node: held.load() for node, held in self.held.items()}  # to compare nodes by

    @cached_property
    def hosts(self) -> Mapping[str, str]:
        """Host names by node id."""
        return {key: held.node.hostname or key for key, held in self.held.items()}

    def demand(self, service: str) -> Demand:
        """What one task of the service (an id) takes; nothing, where the service is gone."""
        if service not in self._demands:
            known = self._services.get(service)
            self._demands[service] = Demand.of(known) if known else NOTHING
        return self._demands[service]

    def room(self, node: str, service: str) -> float:
        """How many more tasks of the service the node can take; may be infinite."""
        return min((room for _, room in self.limits(node, service)), default=math.inf)

    def load_of_others(self, service: str) -> dict[str, float]:
        """How loaded each node is by all but this service: what a plan for it adds its own tasks to."""
        demand, counts = self.demand(service), self.counts.get(service, {})
        return {**self.load, **{node: self.held[node].load(demand, count) for node, count in counts.items()}}

    def limits(self, node: str, service: str) -> list[tuple[str, float]]:
        """What bounds the tasks of the service on the node: each rule's name and how many more it allows."""
        demand, held = self.demand(service), self.held[node]
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

    def settle(self, service: str, after: Mapping[str, int]) -> None:
        """Count as done that the service's tasks stand as ``after`` (tasks by node id) says."""
        before, demand = self.counts.get(service, {}), self.demand(service)
        for node in {*before, *after}:
            more = after.get(node, 0) - before.get(node, 0)
            if more > 0:
                self.held[node].take(demand, more)
            elif more < 0:
                self.held[node].leave(-more)
            self.load[node] = self.held[node].load()
        self.counts[service] = dict(after)
