"""What to do next so that doomed nodes empty without a dip; pure, decided anew from each look at the swarm.

Nothing is remembered between two looks: doom is a node label, and what was changed in a service is marked in
its spec. So a run that was killed, a second run for more nodes and a run on another manager all continue the
one job, and the version that Swarm demands with each change lets only one of two equal changes win.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Union

from bootstrap.engine.node import Node
from bootstrap.engine.service import EVACUATION_ORDER_LABEL, Service, Spec
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.membership.quorum import next_demotion
from bootstrap.placement.constraints import room
from bootstrap.specs.exclusion import Pace, exclude_nodes, excluded_nodes, restore_spec

DRAIN_MARGIN_S = 5.0  # seconds kept for Swarm to notice a drain (measured: 4.9 s with short graces)
LONGEST_GRACE_S = 30.0  # seconds; a longer stop grace period cannot be honoured inside a two-minute notice
TASK_START_S = 10.0  # seconds that a task may take to run, for judging whether a service's own pace fits


@dataclass(frozen=True)
class PauseNode:
    """Let no new task come to a node that will be gone at ``deadline``; its label tells both (doom.py)."""

    node: Node
    deadline: float
    reason: str
    version: int = 0


@dataclass(frozen=True)
class DrainNode:
    """Let Swarm stop what is left on a node."""

    node: Node
    reason: str


@dataclass(frozen=True)
class DemoteNode:
    """Make a doomed manager a worker, while the quorum is safe."""

    node: Node
    reason: str


@dataclass(frozen=True)
class UpdateService:
    """Give a service another spec."""

    service: Service
    spec: Spec
    reason: str


Action = Union[PauseNode, DrainNode, DemoteNode, UpdateService]

BUSY = {  # UpdateStatus.State of a service's own update that must not be disturbed, and why
    "updating": " and is left alone",
    "rollback_started": " and is left alone",
    "paused": "; another update would resume it",
    "rollback_paused": "; another update would resume it",
}


class Course(Enum):
    """How the tasks of one service on doomed nodes fare."""

    MOVING = "moving"
    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"
    HELD = "held"  # they serve until the drain, in case room appears
    GLOBAL = "global"  # they end with the node


def next_actions(snapshot: Snapshot, now: float, self_id: str = "") -> tuple[Action, ...]:
    """All that can be done at once. ``self_id`` is the node that decides, which does not demote itself."""
    courses = {service.id: how_tasks_leave(service, snapshot) for service in leaving_services(snapshot)}
    return (
        *_moves(snapshot, courses, now),
        *_drains(snapshot, courses, now),
        *_restores(snapshot),
        *_demotions(snapshot, self_id),
    )


def how_tasks_leave(service: Service, snapshot: Snapshot) -> tuple[Course, str]:
    """How the tasks of a service leave the doomed nodes, and why that way."""
    if not service.is_replicated:
        return (Course.GLOBAL, "global") if service.is_global else (Course.HELD, "a job cannot be updated")
    if service.before is not None:
        return _again(service, snapshot)
    if why := BUSY.get(service.update):
        return Course.HELD, f"its own update is {service.update}{why}"
    return _fresh(service, snapshot)


def _again(service: Service, snapshot: Snapshot) -> tuple[Course, str]:
    """A second update must wait for the first: Swarm would stop the old tasks before the new ones run."""
    under_way = {task.node for task in leaving_tasks(service, snapshot)} & excluded_nodes(service)
    if under_way or snapshot.is_replacing(service):
        return Course.MOVING, "its evacuation is under way"
    return _fresh(service, snapshot)


def _fresh(service: Service, snapshot: Snapshot) -> tuple[Course, str]:
    if service.labels.get(EVACUATION_ORDER_LABEL) == "stop-first":
        return Course.STOP_FIRST, f"label {EVACUATION_ORDER_LABEL}=stop-first"
    tasks = len(leaving_tasks(service, snapshot))
    space = room(service, snapshot, without={node.id for node in snapshot.evacuating_nodes})
    if space <= 0:
        return Course.HELD, "no other node has room for it"
    return Course.START_FIRST, f"room for {space:.0f} of {tasks} tasks" if space < tasks else ""


def leaving_tasks(service: Service, snapshot: Snapshot) -> tuple[Task, ...]:
    """The tasks of a service that still have to leave doomed nodes which are not drained yet."""
    nodes = {node.id for node in _undrained(snapshot)}
    return tuple(task for task in snapshot.tasks_of(service) if task.is_wanted and task.node in nodes)


def leaving_services(snapshot: Snapshot) -> tuple[Service, ...]:
    """The services with tasks that still have to leave, in the order of their names."""
    services = (service for service in snapshot.services if leaving_tasks(service, snapshot))
    return tuple(sorted(services, key=lambda service: service.name))


def drain_at(node: Node, snapshot: Snapshot) -> float:
    """When a doomed node is drained whatever is left on it, so that stop grace periods still fit."""
    services = {task.service for task in snapshot.tasks_on([node.id]) if task.is_present}
    graces = (known.stop_grace for service in services if (known := snapshot.service_by_id.get(service)))
    return (node.evacuation_deadline or 0.0) - min(max(graces, default=0.0), LONGEST_GRACE_S) - DRAIN_MARGIN_S


def pace(service: Service, tasks: int, budget: float) -> Pace:
    """The service's own pace where it has a delay that fits into half of the budget, else all at once."""
    delay = int(service.update_config.get("Delay") or 0)
    parallelism = int(service.update_config.get("Parallelism", 1)) or tasks
    if not delay or math.ceil(tasks / parallelism) * (delay / 1e9 + TASK_START_S) > budget / 2:
        return Pace()
    return Pace(parallelism, delay)


def _undrained(snapshot: Snapshot) -> tuple[Node, ...]:
    return tuple(node for node in snapshot.evacuating_nodes if node.availability != "drain")


def _moves(snapshot: Snapshot, courses: Mapping[str, tuple[Course, str]], now: float) -> list[Action]:
    """One update for each service that can start first, and for one at a time of those that cannot."""
    chosen: dict[Course, list[Service]] = {way: [] for way in Course}
    for key, (way, _) in courses.items():
        chosen[way].append(snapshot.service_by_id[key])
    stopping = any(_stops_first(service) for service in chosen[Course.MOVING])
    one_by_one = [] if stopping else chosen[Course.STOP_FIRST][:1]
    return [
        _move(service, courses[service.id], snapshot, now)
        for service in (*chosen[Course.START_FIRST], *one_by_one)
    ]


def _stops_first(service: Service) -> bool:
    return service.update_config.get("Order") == "stop-first"


def _move(service: Service, found: tuple[Course, str], snapshot: Snapshot, now: float) -> UpdateService:
    way, why = found
    tasks = leaving_tasks(service, snapshot)
    nodes = {node.id for node in _undrained(snapshot)}
    budget = min(drain_at(snapshot.node_by_id[task.node], snapshot) for task in tasks) - now
    spec = exclude_nodes(service, nodes, way.value, pace(service, len(tasks), budget))
    return UpdateService(
        service, spec, f"{way.value} {len(tasks)} of its tasks off doomed nodes{why and ': ' + why}"
    )


def _drains(snapshot: Snapshot, courses: Mapping[str, tuple[Course, str]], now: float) -> list[Action]:
    acts: list[Action] = []
    for node in _undrained(snapshot):
        left = {
            task.service
            for task in snapshot.tasks_on([node.id])
            if task.is_wanted and task.service in courses
        }
        waiting = sorted(left - {key for key, (found, _) in courses.items() if found is Course.GLOBAL})
        if not waiting:
            acts.append(DrainNode(node, "all its replicated tasks run elsewhere"))
        elif now >= drain_at(node, snapshot):
            names = ", ".join(snapshot.service_by_id[key].name for key in waiting)
            acts.append(DrainNode(node, f"the notice is nearly over, still there: {names}"))
    return acts


def _restores(snapshot: Snapshot) -> list[Action]:
    return [
        UpdateService(service, restore_spec(service), "its tasks have left; its spec becomes what it was")
        for service in snapshot.services
        if service.before is not None
        and not leaving_tasks(service, snapshot)
        and not snapshot.is_replacing(service)
    ]


def _demotions(snapshot: Snapshot, self_id: str) -> list[Action]:
    # Measured: a new leader goes on with a start-first update by stopping old tasks at once. So none then.
    moving = any(service.before is not None for service in snapshot.services)
    ready = (
        node
        for node in snapshot.evacuating_nodes
        if empty(node, snapshot) and not (node.is_leader and moving)
    )
    going = [node.id for node in ready if node.id != self_id]
    managers = [node for node in snapshot.nodes if node.role == "manager"]
    manager, reason = next_demotion(managers, going)
    return [DemoteNode(manager, reason)] if manager else []


def empty(node: Node, snapshot: Snapshot) -> bool:
    """The node is drained and no container of a task is left on it."""
    return node.availability == "drain" and not any(task.is_present for task in snapshot.tasks_on([node.id]))
