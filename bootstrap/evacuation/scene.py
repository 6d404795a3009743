"""What one poll of an evacuation shows: the swarm, the time, and which tasks can be relied on; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task, moment
from bootstrap.placement.capacity import SwarmCapacity
from bootstrap.specs.exclusion import excluded_nodes, has_exclusion
from bootstrap.specs.surge import surge_of, wanted_replicas

DRAIN_MARGIN_S = 5.0  # kept for Swarm to notice a drain (measured: 4.9 s with short graces)
LONGEST_GRACE_S = 30.0  # a longer stop grace period cannot be honoured inside a two-minute notice


@dataclass(frozen=True)
class Scene:
    """The swarm at one moment; ``sure`` are the tasks (ids) that run, are healthy and have stayed so."""

    snapshot: Snapshot
    now: float
    sure: frozenset[str] = frozenset()

    @cached_property
    def evacuating(self) -> frozenset[str]:
        """The ids of all nodes that are being evacuated, drained or not."""
        return frozenset(node.id for node in self.snapshot.evacuating_nodes)

    @cached_property
    def undrained(self) -> tuple[Node, ...]:
        """The nodes that have to be emptied and still keep their tasks."""
        return tuple(node for node in self.snapshot.evacuating_nodes if node.availability != "drain")

    @cached_property
    def capacity(self) -> SwarmCapacity:
        """What each node can still take."""
        return SwarmCapacity(self.snapshot)

    @cached_property
    def leaving_by_service(self) -> Mapping[str, tuple[Task, ...]]:
        """The tasks that still have to leave nodes which are not drained yet, by service id."""
        found: dict[str, list[Task]] = {}
        for task in self.snapshot.tasks_on(node.id for node in self.undrained):
            if task.is_wanted:
                found.setdefault(task.service, []).append(task)
        return {service: tuple(tasks) for service, tasks in found.items()}

    @cached_property
    def leaving_services(self) -> tuple[Service, ...]:
        """The services with tasks that still have to leave, in the order of their names."""
        services = (service for service in self.snapshot.services if service.id in self.leaving_by_service)
        return tuple(sorted(services, key=lambda service: service.name))

    def leaving(self, service: Service) -> tuple[Task, ...]:
        """Find the tasks of a service that still have to leave."""
        return self.leaving_by_service.get(service.id, ())

    def elsewhere(self, service: Service) -> tuple[Task, ...]:
        """Find the tasks of a service that Swarm wants and that are on no node being evacuated."""
        return tuple(
            task
            for task in self.snapshot.tasks_of(service)
            if task.is_wanted and task.node not in self.evacuating
        )

    def sure_elsewhere(self, service: Service) -> int:
        """Count the slots that are served elsewhere by a task that can be relied on."""
        return len({task.slot for task in self.elsewhere(service) if task.id in self.sure})

    def failures(self, service: Service) -> tuple[Task, ...]:
        """Find the added tasks that failed, were rejected or get no node, as Swarm says; the oldest first."""
        surge = surge_of(service)
        begun = surge.begun if surge else math.inf
        found = (
            task
            for task in self.snapshot.tasks_of(service)
            if task.error and task.node not in self.evacuating
        )
        return tuple(
            sorted((task for task in found if moment(task.created) > begun), key=lambda task: task.created)
        )

    def drain_at(self, node: Node) -> float:
        """Tell when a node is drained whatever is left on it, so that stop grace periods still fit."""
        services = {task.service for task in self.snapshot.tasks_on([node.id]) if task.is_present}
        known = (self.snapshot.service_by_id.get(service) for service in services)
        longest = min(max((one.stop_grace for one in known if one), default=0.0), LONGEST_GRACE_S)
        return (node.evacuation_deadline or 0.0) - longest - DRAIN_MARGIN_S

    def has_time(self, service: Service) -> bool:
        """Tell whether the notice is not over of some node for which the service was changed."""
        surge = surge_of(service)
        nodes = excluded_nodes(service) | frozenset(surge.nodes if surge else ())
        return any(self.now <= self._deadline(node) for node in nodes & self.evacuating)

    def is_given_up(self, service: Service) -> bool:
        """Tell whether its tasks stay on their nodes, whose end nobody has announced, as the time is over."""
        nodes = [self.snapshot.node_by_id[task.node] for task in self.leaving(service)]
        over = all(node.is_gentle and self.now > self._deadline(node.id) for node in nodes)
        return bool(nodes) and over and not (has_exclusion(service) and self.snapshot.is_replacing(service))

    def _deadline(self, node: str) -> float:
        return self.snapshot.node_by_id[node].evacuation_deadline or 0.0

    def is_served(self, service: Service) -> bool:
        """Tell whether as many tasks as its owner wants serve elsewhere, so that those here may stop."""
        return self.sure_elsewhere(service) >= wanted_replicas(service)
