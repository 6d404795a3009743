"""The whole swarm at one moment, as far as an agent has read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.task import Task


@dataclass(frozen=True)
class Snapshot:
    """The swarm at one moment. ``tasks`` has at least those of evacuating nodes and of services concerned."""

    nodes: tuple[Node, ...]
    services: tuple[Service, ...]
    tasks: tuple[Task, ...]

    @cached_property
    def node_by_id(self) -> Mapping[str, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def service_by_id(self) -> Mapping[str, Service]:
        return {service.id: service for service in self.services}

    @cached_property
    def evacuating_nodes(self) -> tuple[Node, ...]:
        """Nodes that an evacuation was begun for, not down, and not made active again by somebody since."""
        return tuple(node for node in self.nodes if node.is_evacuating and not node.is_down)

    @cached_property
    def _by_service(self) -> Mapping[str, tuple[Task, ...]]:
        found: dict[str, list[Task]] = {}
        for task in self.tasks:
            found.setdefault(task.service, []).append(task)
        return {service: tuple(tasks) for service, tasks in found.items()}

    def tasks_of(self, service: Service) -> tuple[Task, ...]:
        return self._by_service.get(service.id, ())

    def drivers_of(self, service: Service) -> frozenset[str]:
        """Collect the drivers of the networks that its tasks are attached to: its own spec gives ids only.

        Ended tasks do not count: they may be of a time with other networks.
        """
        tasks = (task for task in self.tasks_of(service) if task.is_wanted)
        return frozenset(driver for task in tasks for driver in task.drivers)

    def tasks_on(self, nodes: Iterable[str]) -> tuple[Task, ...]:
        ids = frozenset(nodes)
        return tuple(task for task in self.tasks if task.node in ids)

    def is_drained(self, node: Node) -> bool:
        """Tell whether a node is drained and no container of a task is left on it."""
        return node.availability == "drain" and not any(task.is_present for task in self.tasks_on([node.id]))

    def is_replacing(self, service: Service) -> bool:
        """Tell whether some slot holds an old task and the new one that is to replace it."""
        slots = [task.slot for task in self.tasks_of(service) if task.is_wanted]
        return len(slots) != len(set(slots))
