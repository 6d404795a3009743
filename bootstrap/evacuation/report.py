"""What an evacuation did, told from what was seen of the swarm; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.evacuation.plan import how_tasks_leave
from chalicelib.protocol.messages import ServiceReport, Way


@dataclass(frozen=True)
class Leaving:
    """One task that was to leave a node: what was last said about it, and how and when it left (seconds)."""

    task: Task
    why: str = ""
    way: Way | None = None
    after: float = 0.0


@dataclass(frozen=True)
class EvacuationReport:
    """The tasks seen on the nodes, by task id, and when each node had none left (seconds, by node id)."""

    tasks: Mapping[str, Leaving] = field(default_factory=dict)
    empty_after: Mapping[str, float] = field(default_factory=dict)

    def seen(self, snapshot: Snapshot, nodes: Collection[Node], after: float) -> EvacuationReport:
        """The tally with one more look at the swarm, ``after`` so many seconds."""
        ids = {node.id for node in nodes}
        new = {task.id: Leaving(task) for task in snapshot.tasks if task.is_wanted and task.node in ids}
        known = {task.id: task for task in snapshot.tasks}
        tasks = {
            key: entry if entry.way else _look(entry, known.get(key), snapshot, after)
            for key, entry in {**new, **self.tasks}.items()
        }
        busy = {task.node for task in snapshot.tasks if task.is_present}
        emptied = dict.fromkeys(ids - busy, after)
        return replace(self, tasks=tasks, empty_after={**emptied, **self.empty_after})

    def emptied(self, node: str) -> float:
        """Seconds until the node had no task left, 0 where it was not seen to be empty."""
        return round(self.empty_after.get(node, 0.0), 2)

    def broken(self, node: str) -> str:
        """The tasks of a node that were stopped before they were replaced, "" if there were none."""
        count = sum(entry.task.node == node and entry.way is Way.DRAIN for entry in self.tasks.values())
        return f"{count} tasks" if count else ""

    def services(self, snapshot: Snapshot) -> tuple[ServiceReport, ...]:
        """One report per service and way, in the order of their names."""
        groups: dict[tuple[str, Way], list[Leaving]] = {}
        for entry in self.tasks.values():
            service = snapshot.service_by_id.get(entry.task.service)
            name = service.name if service else entry.task.service
            groups.setdefault((name, entry.way or Way.DRAIN), []).append(entry)
        return tuple(
            ServiceReport(name, len(left), way, round(max(entry.after for entry in left), 2), left[-1].why)
            for (name, way), left in sorted(groups.items())
        )


def _look(entry: Leaving, task: Task | None, snapshot: Snapshot, after: float) -> Leaving:
    service = snapshot.service_by_id.get(entry.task.service)
    if task and task.is_wanted:
        why = how_tasks_leave(service, snapshot)[1] if service and not service.before else entry.why
        return replace(entry, why=why)
    completed = task is not None and task.state == "complete"
    return replace(entry, way=_way(entry, service, snapshot, completed=completed), after=after)


def _way(entry: Leaving, service: Service | None, snapshot: Snapshot, *, completed: bool) -> Way:
    """Replaced means: another task of its slot runs, or as many run as the service wants (it was scaled)."""
    if service is None or service.is_global or completed:
        return Way.GLOBAL
    if not service.is_replicated:
        return Way.DRAIN
    running = [task for task in snapshot.tasks_of(service) if task.is_running]
    if any(task.slot == entry.task.slot for task in running) or len(running) >= service.replicas:
        return Way.START_FIRST
    return Way.STOP_FIRST if _chosen(service) else Way.DRAIN


def _chosen(service: Service) -> bool:
    return service.before is not None and service.update_config.get("Order") == "stop-first"
