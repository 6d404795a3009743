"""How the tasks of a service leave evacuated nodes, and why it is not better; pure.

| the service, first match                                   | way                                         |
| ---------------------------------------------------------- | ------------------------------------------- |
| global                                                     | Swarm stops its task with the node          |
| a job; work that has ended and would be done again         | the drain                                   |
| its own update is under way or paused                      | the drain, unless that ends in time         |
| no other node has room, and nothing of it moves yet        | the drain, unless room appears              |
| its owner labelled it stop-first                           | an update, stop-first, one service at a time |
| its slots are named in its spec, or it runs each task once | an update, start-first: slot for slot; not  |
|                                                            | where no end is announced: it stays         |
| any other                                                  | more tasks first; once they serve these stop |
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum

from bootstrap.engine.service import EVACUATION_ORDER_LABEL, Service
from bootstrap.engine.task import Task
from bootstrap.evacuation.scene import Scene
from bootstrap.placement.constraints import can_hold, needed_plugins
from bootstrap.specs.exclusion import excluded_nodes, has_exclusion
from bootstrap.specs.lifetime import why_ended, why_one_for_one
from bootstrap.specs.own_update import why_busy
from bootstrap.specs.surge import surge_of, wanted_replicas

SHOWN_ERROR = 160  # characters of what Swarm says of a task
NO_ROOM = "no other node has room for it"
KEPT = "it stays, as no end is announced and it can only be moved slot for slot"
NO_TURN = "its turn did not come before the notice ended"


class Leave(Enum):
    """How tasks leave."""

    GLOBAL = "global"
    HELD = "held"  # they serve until the drain
    ADD_FIRST = "add-first"
    SLOT_FOR_SLOT = "slot-for-slot"
    STOP_FIRST = "stop-first"


Ways = Mapping[str, tuple[Leave, str]]  # by service id


def choose_way(service: Service, scene: Scene) -> tuple[Leave, str]:
    """Choose how the tasks of a service leave, and say why it is not the usual way."""
    if not service.is_replicated:
        return (Leave.GLOBAL, "global") if service.is_global else (Leave.HELD, "a job cannot be updated")
    if why := why_ended(service, scene.snapshot.tasks_of(service)):
        return Leave.HELD, why
    if not has_exclusion(service) and (why := why_busy(service)):
        return Leave.HELD, f"{why} ({service.update})"
    if not has_exclusion(service) and not surge_of(service) and not count_room(service, scene):
        return Leave.HELD, NO_ROOM
    if service.labels.get(EVACUATION_ORDER_LABEL) == "stop-first":
        return Leave.STOP_FIRST, f"label {EVACUATION_ORDER_LABEL}=stop-first"
    if why := why_one_for_one(service):
        if _is_kept(service, scene):
            return Leave.HELD, f"{KEPT}: {why}"
        return Leave.SLOT_FOR_SLOT, f"moved slot for slot: {why}"
    return Leave.ADD_FIRST, ""


def _is_kept(service: Service, scene: Scene) -> bool:
    """Tell whether it may stay: moved slot for slot, a task stops before its replacement has stayed."""
    nodes = {task.node for task in scene.leaving(service)}
    is_gentle = all(scene.snapshot.node_by_id[node].is_gentle for node in nodes)
    return is_gentle and not nodes & excluded_nodes(service)


def count_room(service: Service, scene: Scene) -> float:
    """Count the tasks of the service that other nodes can take more; may be infinite."""
    snapshot = scene.snapshot
    wanted = needed_plugins(service, snapshot)
    room = sum(
        scene.capacity.room(node.id, service.id)
        for node in snapshot.nodes
        if node.id not in scene.evacuating and can_hold(node, service, wanted)
    )
    wanted_tasks = [task for task in snapshot.tasks_of(service) if task.is_wanted]
    waiting = sum(not task.node for task in wanted_tasks)
    if surge_of(service):  # what was just asked for, Swarm may not have made yet
        waiting += max(0, service.replicas - len({task.slot for task in wanted_tasks}))
    return max(0.0, room - waiting)


def explain(service: Service, scene: Scene) -> str:
    """Say why its tasks are still there, or how they leave; "" where all goes the usual way."""
    way, why = choose_way(service, scene)
    return why_not_served(service, scene) if way is Leave.ADD_FIRST else why


def why_not_served(service: Service, scene: Scene) -> str:
    """Say what keeps its new tasks from serving; "" where they do."""
    if scene.is_served(service):
        return ""
    if not surge_of(service):
        return NO_TURN
    if failed := scene.failures(service):
        return f"its new tasks do not serve: {' '.join(failed[-1].error.split())[:SHOWN_ERROR]}"
    here = scene.elsewhere(service)
    if unsure := [task for task in here if task.id not in scene.sure]:
        return f"its new tasks do not serve yet: {unsure[0].state}"
    if count_room(service, scene):
        return NO_TURN
    leaving, wanted = len(scene.leaving(service)), wanted_replicas(service)
    return f"room for {len(here) + leaving - wanted} of {leaving} tasks"


def why_not_replaced(old: Task, tasks: Collection[Task], scene: Scene) -> str:
    """Say why no task can be relied on that took the slot of an old one; "" where one can."""
    newer = (task for task in tasks if task.slot == old.slot and task.created > old.created)
    later = sorted(newer, key=lambda task: task.created)
    if any(task.id in scene.sure for task in later):
        return ""
    if failed := [task for task in later if task.error]:
        return f"its new task does not serve: {' '.join(failed[-1].error.split())[:SHOWN_ERROR]}"
    return f"its new task does not serve yet: {later[-1].state if later else 'there is none'}"
