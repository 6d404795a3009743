"""More tasks elsewhere, before any is taken away: for which services, and how many at a time; pure.

A scale-up stops nothing, whatever somebody else changes meanwhile; but Swarm's updater stops the old task of
a slot as soon as any update meets a replacement in it (measured). So tasks are added first, and only what is
served elsewhere is taken away (take_away.py).

| bound                  | why                                                                         |
| ---------------------- | --------------------------------------------------------------------------- |
| the room elsewhere     | the rest serves until the drain, or until room appears                      |
| starts in the swarm    | more would only queue; what would lose the largest part comes first         |
| the service's own pace | its owner's wish, where it fits into half of the time                       |
| waves, where it stands | a scale-down by somebody else keeps starting tasks on empty nodes, and      |
| unevenly               | stops serving ones on full nodes: at most one wave of them                  |
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from bootstrap.actions import UpdateService
from bootstrap.engine.service import Service
from bootstrap.evacuation.departure import is_departing, slot_for_slot
from bootstrap.evacuation.scene import Scene
from bootstrap.evacuation.ways import Leave, Ways, count_room
from bootstrap.specs.surge import add_tasks, newest_task_time, surge_of, wanted_replicas

START_S = 10.0  # that a task may take to serve, for judging how many waves fit
STARTS_PER_NODE = 10  # tasks that start at a time for each node that may get any: more only queue there
MAX_STARTS = 200  # tasks that start at a time in the whole swarm

STARTING = (Leave.ADD_FIRST, Leave.SLOT_FOR_SLOT)


def starts(scene: Scene, ways: Ways) -> Iterator[UpdateService]:
    """Start tasks elsewhere for the services that need them, those first that would lose the largest part.

    More tasks, or, slot for slot, all of a service at once: then its last ones may be more than the bound.
    """
    found = [service for service in scene.leaving_services if ways[service.id][0] in STARTING]
    usable = sum(node.is_usable for node in scene.snapshot.nodes)
    left = min(STARTS_PER_NODE * usable, MAX_STARTS) - sum(_starting(service, scene) for service in found)
    for service in sorted(found, key=lambda service: _rank(service, scene)):
        way, why = ways[service.id]
        if way is Leave.SLOT_FOR_SLOT:
            if left > 0 and not is_departing(service, scene):
                left -= len(scene.leaving(service))
                yield slot_for_slot(service, scene, why)
            continue
        wished = min(_missing(service, scene), left, _at_once(service, scene))
        by = int(min(wished, count_room(service, scene))) if wished > 0 else 0
        if by > 0 or (surge_of(service) and not _nodes(service, scene) <= _known(service)):
            left -= by
            yield _addition(service, scene, by)


def _addition(service: Service, scene: Scene, by: int) -> UpdateService:
    nodes = _nodes(service, scene) | _known(service)
    begun = newest_task_time(service, scene.snapshot)
    until = max(node.evacuation_deadline or 0.0 for node in scene.snapshot.evacuating_nodes)
    spec = add_tasks(service, by, nodes, begun, until)
    return UpdateService(service, spec, f"{by} more tasks, before those on evacuated nodes stop")


def _nodes(service: Service, scene: Scene) -> frozenset[str]:
    return frozenset(task.node for task in scene.leaving(service))


def _known(service: Service) -> frozenset[str]:
    surge = surge_of(service)
    return frozenset(surge.nodes) if surge else frozenset()


def _rank(service: Service, scene: Scene) -> tuple[float, int, str]:
    """Order services: those that would lose the largest part come first, of these the cheapest."""
    leaving = len(scene.leaving(service))
    return -leaving / max(1, wanted_replicas(service)), leaving, service.name


def _missing(service: Service, scene: Scene) -> int:
    """Count the tasks to be added, by the spec: Swarm may not have made all of them yet."""
    stays = service.replicas - len({task.slot for task in scene.leaving(service)})
    return wanted_replicas(service) - stays


def _starting(service: Service, scene: Scene) -> int:
    """Count the new tasks that do not run yet, but for those that fail or find no node."""
    return _count_new(service, scene, {task.id for task in scene.elsewhere(service) if task.is_running})


def _count_new(service: Service, scene: Scene, serving: Collection[str]) -> int:
    """Count the new tasks that are none of ``serving`` (ids)."""
    here = scene.elsewhere(service)
    fresh = {task.slot for task in here if task.node and task.id not in serving}
    if surge_of(service) and not scene.failures(service):
        slots = {task.slot for task in (*here, *scene.leaving(service))}
        return len(fresh) + max(0, service.replicas - len(slots))
    if is_departing(service, scene) and "paused" not in service.update:
        waiting = {task.slot for task in here if not task.node}
        return len((fresh | {task.slot for task in scene.leaving(service)}) - waiting)
    return 0


def _at_once(service: Service, scene: Scene) -> int:
    """Choose how many more tasks of one service may start now."""
    leaving, config = scene.leaving(service), service.update_config
    left = min(scene.drain_at(scene.snapshot.node_by_id[task.node]) for task in leaving) - scene.now
    delay = float(config.get("Delay") or 0) / 1e9
    waves = max(1, int(left / 2 // (START_S + delay)))
    least = math.ceil(len(leaving) / waves)
    wave = least if _unevenness(service, scene) > 1 else len(leaving)
    if delay and int(config.get("Parallelism", 1)) >= least:
        wave = int(config.get("Parallelism", 1))
    return wave - _count_new(service, scene, scene.sure)


def _unevenness(service: Service, scene: Scene) -> int:
    """Count the tasks that the usable nodes lack to stand one below the fullest."""
    counts = scene.capacity.counts.get(service.id, {})
    top = max(counts.values(), default=0)
    return sum(max(0, top - 1 - counts.get(node.id, 0)) for node in scene.snapshot.nodes if node.is_usable)
