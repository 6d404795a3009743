"""What is served elsewhere leaves, and every service ends as it was; pure.

| what the poll shows                                       | next                                          |
| --------------------------------------------------------- | --------------------------------------------- |
| stop-first, and no other one stopping                     | a constraint, under which Swarm replaces them |
| added tasks serve, but a neighbour keeps the node waiting | the same                                      |
| no task has to leave any more                             | constraint, replicas and marks as before      |
| a scale-down would stop tasks that serve                  | wait; once the notice is over, do it anyway   |
| the time of a node is over that need not be empty         | as before; tasks that do not serve go first   |
"""

from __future__ import annotations

from collections.abc import Iterator

from bootstrap.actions import UpdateService
from bootstrap.engine.service import Service, Spec
from bootstrap.evacuation.departure import departure, is_departing
from bootstrap.evacuation.scene import Scene
from bootstrap.evacuation.ways import Leave, Ways
from bootstrap.specs.exclusion import has_exclusion, restore_spec
from bootstrap.specs.own_update import why_busy
from bootstrap.specs.surge import (
    Surge,
    count_survivors,
    lower_replicas,
    move_off_failing_nodes,
    surge_of,
    wanted_replicas,
)


def surge_for(service: Service) -> Surge | None:
    """Read the surge that an evacuation has begun; None for none, and for a rebalance's."""
    surge = surge_of(service) if service.is_replicated else None
    return surge if surge and surge.nodes else None


def is_marked(service: Service) -> bool:
    """Tell whether an evacuation has changed the service and has yet to end that."""
    return has_exclusion(service) or surge_for(service) is not None


def has_leftovers(scene: Scene) -> bool:
    """Tell whether some service is still as an evacuation made it that has nothing more to move."""
    return any(is_marked(service) and not scene.leaving(service) for service in scene.snapshot.services)


def departures(scene: Scene, ways: Ways) -> Iterator[UpdateService]:
    """Let Swarm replace the tasks of a service on evacuated nodes, and no others."""
    is_one_stopping = False
    for service in scene.leaving_services:
        way, why = ways[service.id]
        if way is Leave.STOP_FIRST:
            if is_departing(service, scene):
                is_one_stopping = True
            elif not is_one_stopping:
                is_one_stopping = True
                yield departure(service, scene, "stop-first", why)
        elif is_departing(service, scene):
            continue
        elif way is Leave.ADD_FIRST and scene.is_served(service) and _is_held_up(service, scene, ways):
            yield departure(service, scene, "start-first", "as many serve elsewhere as are wanted")


def _is_held_up(service: Service, scene: Scene, ways: Ways) -> bool:
    """Tell whether another service will keep one of its nodes waiting until the notice ends."""
    nodes = {task.node for task in scene.leaving(service)}
    return any(
        ways[other.id][0] is Leave.HELD or scene.failures(other)
        for other in scene.leaving_services
        if not scene.is_served(other) and nodes & {task.node for task in scene.leaving(other)}
    )


def endings(scene: Scene) -> Iterator[UpdateService]:
    """End what was changed in services of which nothing has to leave any more."""
    for service in scene.snapshot.services:
        if is_marked(service) and _may_end(service, scene):
            surge = surge_for(service)
            spec = _lowered(service, surge, scene) if surge else restore_spec(service)
            if spec is not None:
                yield UpdateService(service, spec, "its spec becomes what it was")


def _may_end(service: Service, scene: Scene) -> bool:
    """Tell whether nothing is to be waited for: tasks that have to leave, or its owner's own update."""
    if scene.is_given_up(service):
        return True
    tasks = scene.snapshot.tasks_of(service)
    if any(task.is_wanted and task.node in scene.evacuating for task in tasks):
        return False
    is_updating = scene.snapshot.is_replacing(service) or bool(
        not has_exclusion(service) and why_busy(service)
    )
    return not is_updating or not scene.has_time(service)


def _lowered(service: Service, surge: Surge, scene: Scene) -> Spec | None:
    """Make the spec as it was without stopping a task in need; None to wait."""
    spec = restore_spec(service)
    after = lower_replicas(Service(service.id, service.version, spec, "", service.is_repeated), surge)
    if _can_lower(service, scene):
        return after
    if scene.has_time(service):
        return None
    return move_off_failing_nodes(service, scene.snapshot, scene.sure) or after


def _can_lower(service: Service, scene: Scene) -> bool:
    """Tell whether a scale-down would leave as many tasks as are wanted, or all that serve."""
    tasks, wanted = scene.snapshot.tasks_of(service), wanted_replicas(service)
    running = {task.id for task in tasks if task.is_running}
    return all(
        count_survivors(tasks, wanted, serving) >= min(wanted, len(serving))
        for serving in (running, running & scene.sure)
    )
