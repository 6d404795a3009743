"""What an evacuation did, as seen of the swarm poll by poll; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.evacuation.plan import choose_way
from bootstrap.specs.exclusion import has_exclusion
from chalicelib.protocol.messages import ServiceReport, Way


@dataclass(frozen=True)
class TaskReport:
    """One task that was to leave a node: what was last said about it, and how and when it left (seconds)."""

    task: Task
    why: str = ""
    way: Way | None = None
    after: float = 0.0


@dataclass(frozen=True)
class EvacuationReport:
    """The tasks seen on the nodes, by task id, and when each node had none left (seconds, by node id)."""

    tasks: Mapping[str, TaskReport] = field(default_factory=dict)
    empty_after: Mapping[str, float] = field(default_factory=dict)

    def with_poll(self, snapshot: Snapshot, nodes: Collection[Node], after: float) -> EvacuationReport:
        """Add one more snapshot, taken ``after`` so many seconds."""
        ids = {node.id for node in nodes}
        new = {task.id: TaskReport(task) for task in snapshot.tasks if task.is_wanted and task.node in ids}
        known = {task.id: task for task in snapshot.tasks}
        tasks = {
            key: row if row.way else _follow_task(row, known.get(key), snapshot, after)
            for key, row in {**new, **self.tasks}.items()
        }
        busy = {task.node for task in snapshot.tasks if task.is_present}
        emptied = dict.fromkeys(ids - busy, after)
        return replace(self, tasks=tasks, empty_after={**emptied, **self.empty_after})

    @property
    def service_ids(self) -> frozenset[str]:
        """The services whose tasks were seen on the nodes."""
        return frozenset(row.task.service for row in self.tasks.values())

    def emptied_after(self, node: str) -> float:
        """Tell the seconds until the node had no task left, 0 where it was not seen to be empty."""
        return round(self.empty_after.get(node, 0.0), 2)

    def broken_tasks(self, node: str) -> str:
        """Count the tasks of a node that were stopped before they were replaced, "" if there were none."""
        count = sum(row.task.node == node and row.way is Way.DRAIN for row in self.tasks.values())
        return f"{count} tasks" if count else ""

    def service_reports(self, snapshot: Snapshot) -> tuple[ServiceReport, ...]:
        """Make one report per service and way, in the order of their names."""
        groups: dict[tuple[str, Way], list[TaskReport]] = {}
        for row in self.tasks.values():
            service = snapshot.service_by_id.get(row.task.service)
            name = service.name if service else row.task.service
            groups.setdefault((name, row.way or Way.DRAIN), []).append(row)
        return tuple(
            ServiceReport(name, len(rows), way, round(max(row.after for row in rows), 2), rows[-1].why)
            for (name, way), rows in sorted(groups.items())
        )


def _follow_task(row: TaskReport, task: Task | None, snapshot: Snapshot, after: float) -> TaskReport:
    service = snapshot.service_by_id.get(row.task.service)
    if task and task.is_wanted:
        if service and not has_exclusion(service):
            return replace(row, why=choose_way(service, snapshot)[1])
        return row
    is_completed = task is not None and task.state == "complete"
    return replace(row, way=_observed_way(row, service, snapshot, is_completed=is_completed), after=after)


def _observed_way(row: TaskReport, service: Service | None, snapshot: Snapshot, *, is_completed: bool) -> Way:
    """Find how a task left; it is replaced if another one of its slot runs, or as many as are wanted."""
    if service is None or service.is_global or is_completed:
        return Way.GLOBAL
    if not service.is_replicated:
        return Way.DRAIN
    running = [task for task in snapshot.tasks_of(service) if task.is_running]
    if any(task.slot == row.task.slot for task in running) or len(running) >= service.replicas:
        return Way.START_FIRST
    return Way.STOP_FIRST if _stops_first_by_us(service) else Way.DRAIN


def _stops_first_by_us(service: Service) -> bool:
    return has_exclusion(service) and service.update_config.get("Order") == "stop-first"
