"""What an evacuation did, as seen of the swarm poll by poll; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.evacuation.scene import Scene
from bootstrap.evacuation.ways import choose_way, explain, why_not_replaced
from bootstrap.specs.exclusion import has_exclusion
from bootstrap.specs.surge import wanted_replicas
from chalicelib.protocol.messages import ServiceReport, Way

NAMED = 10  # services that a line names
DRAINED_BEFORE = "its node was drained before this run could see why"


@dataclass(frozen=True)
class TaskReport:
    """One task that was to leave a node: its last state, and how and when it left.

    ``served``: when last seen there, its service was served elsewhere. ``doubt``: why what took its place
    is not sure, where Swarm replaced it for us slot for slot: then it stops it as soon as the new one runs.
    """

    task: Task
    why: str = ""
    served: bool = False
    way: Way | None = None
    after: float = 0.0
    doubt: str = ""

    @property
    def reason(self) -> str:
        """Everything that is to be said about it."""
        return "; ".join(filter(None, (self.why, self.doubt)))


@dataclass(frozen=True)
class EvacuationReport:
    """The tasks seen on the nodes, by task id, and when each node became empty."""

    tasks: Mapping[str, TaskReport] = field(default_factory=dict)
    empty_after: Mapping[str, float] = field(default_factory=dict)

    def with_poll(self, scene: Scene, nodes: Collection[Node], after: float) -> EvacuationReport:
        """Add one more poll, ``after`` so many seconds."""
        snapshot = scene.snapshot
        ids = {node.id for node in nodes}
        drained = {node.id for node in nodes if node.availability == "drain"}
        new = {
            task.id: TaskReport(task)
            for task in snapshot.tasks
            if task.node in (ids if task.is_wanted else drained) and task.is_present
        }
        known = {task.id: task for task in snapshot.tasks}
        rows = {**new, **self.tasks}.items()
        tasks = {key: _follow_task(row, known.get(key), scene, after) for key, row in rows}
        busy = {task.node for task in snapshot.tasks if task.is_present}
        emptied = dict.fromkeys(ids - busy, after)
        return replace(self, tasks=tasks, empty_after={**emptied, **self.empty_after})

    @property
    def service_ids(self) -> frozenset[str]:
        """The services whose tasks were seen on the nodes."""
        return frozenset(row.task.service for row in self.tasks.values())

    @property
    def is_proven(self) -> bool:
        """Whether everything that Swarm has replaced for us has stayed."""
        return not any(row.doubt for row in self.tasks.values())

    def emptied_after(self, node: str) -> float:
        """Tell the seconds until the node had no task left, 0 where it was not seen to be empty."""
        return round(self.empty_after.get(node, 0.0), 2)

    def broken_tasks(self, node: str, snapshot: Snapshot) -> str:
        """Name the services of a node whose tasks were stopped before they were replaced, each with why."""
        rows = (row for row in self.tasks.values() if row.task.node == node)
        return _named((row for row in rows if row.way is Way.DRAIN or row.doubt), snapshot)

    def kept_tasks(self, node: str, snapshot: Snapshot) -> str:
        """Name the services whose tasks are still on a node, each with why."""
        kept = (row for row in self.tasks.values() if row.task.node == node and row.way is None)
        return _named(kept, snapshot)

    def service_reports(self, snapshot: Snapshot) -> tuple[ServiceReport, ...]:
        """Make one report per service and way, in the order of their names."""
        groups: dict[tuple[str, Way], list[TaskReport]] = {}
        for row in self.tasks.values():
            groups.setdefault((_name(row, snapshot), row.way or Way.STAYED), []).append(row)
        return tuple(
            ServiceReport(name, len(rows), way, round(max(row.after for row in rows), 2), rows[-1].reason)
            for (name, way), rows in sorted(groups.items())
        )


def _follow_task(row: TaskReport, task: Task | None, scene: Scene, after: float) -> TaskReport:
    if row.way:
        return replace(row, doubt=_doubt(row, scene)) if row.doubt else row
    service = scene.snapshot.service_by_id.get(row.task.service)
    if task and task.is_wanted:
        if service is None or scene.is_given_up(service):
            return row  # the last word on it stays
        if task not in scene.leaving(service):  # its node is drained
            return replace(row, why=row.why or _why_drained(service, scene))
        return replace(
            row, why=explain(service, scene), served=service.is_replicated and scene.is_served(service)
        )
    is_completed = task is not None and task.state == "complete"
    way = _observed_way(row, service, scene, is_completed=is_completed)
    why = row.why
    if way is Way.START_FIRST and not (service and choose_way(service, scene)[1]):
        why = ""
    elif way is Way.STOP_FIRST and not (service and _stops_first_by_us(service)):
        why = "its owner changed the service meanwhile"
    elif way is Way.DRAIN and service:
        why = why or _why_drained(service, scene)
    row = replace(row, way=way, after=after, why=why)
    is_by_us = way in (Way.START_FIRST, Way.STOP_FIRST) and service is not None and has_exclusion(service)
    return replace(row, doubt=_doubt(row, scene)) if is_by_us and not row.served else row


def _why_drained(service: Service, scene: Scene) -> str:
    """Say why a task was not replaced that an earlier run, or somebody else, has drained with its node."""
    return choose_way(service, scene)[1] or DRAINED_BEFORE


def _doubt(row: TaskReport, scene: Scene) -> str:
    """Say why it is not sure that a task was replaced; "" where it is."""
    service = scene.snapshot.service_by_id.get(row.task.service)
    if service is None or scene.is_served(service):
        return ""
    return why_not_replaced(row.task, scene.snapshot.tasks_of(service), scene)


def _observed_way(row: TaskReport, service: Service | None, scene: Scene, *, is_completed: bool) -> Way:
    """Find how a task left: it is replaced if its slot, or the wanted number, runs elsewhere."""
    if service is None or service.is_global or is_completed:
        return Way.GLOBAL
    if not service.is_replicated:
        return Way.DRAIN
    running = [task for task in scene.elsewhere(service) if task.is_running]
    is_enough = row.served or len(running) >= wanted_replicas(service)
    if is_enough or any(task.slot == row.task.slot for task in running):
        return Way.START_FIRST
    is_drained = scene.snapshot.node_by_id[row.task.node].availability == "drain"
    return Way.DRAIN if is_drained and not _stops_first_by_us(service) else Way.STOP_FIRST


def _stops_first_by_us(service: Service) -> bool:
    return has_exclusion(service) and service.update_config.get("Order") == "stop-first"


def _name(row: TaskReport, snapshot: Snapshot) -> str:
    service = snapshot.service_by_id.get(row.task.service)
    return service.name if service else row.task.service


def _named(rows: Iterable[TaskReport], snapshot: Snapshot) -> str:
    found: dict[str, list[TaskReport]] = {}
    for row in rows:
        found.setdefault(_name(row, snapshot), []).append(row)
    texts = [
        f"{name} ({len(group)}: {group[-1].reason or 'no reason was seen'})"
        for name, group in sorted(found.items())
    ]
    more = f"; and {len(texts) - NAMED} more services" if len(texts) > NAMED else ""
    return "; ".join(texts[:NAMED]) + more
