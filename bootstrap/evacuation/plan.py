"""What to do next so that nodes empty without a dip; pure, decided anew from each poll.

| what the poll shows                                             | next                                    |
| --------------------------------------------------------------- | --------------------------------------- |
| tasks have to leave, others have room                           | more tasks there first (add_first.py)   |
| they may only be replaced slot for slot                         | Swarm does so, in that order, too       |
| they are served elsewhere, or may be stopped first              | they leave (take_away.py)               |
| a service has no task to leave any more                         | it ends as it was (take_away.py)        |
| all that is left on a node is served elsewhere, or global       | drain the node                          |
| its announced end is near                                       | drain the node, and name what is left   |
| a manager is evacuated                                          | as managers.py says                     |

Nothing is remembered between two polls but for how long tasks have run: the deadline is a node label, and
what was changed in a service is marked in its spec. So a run that was killed, a second run for more nodes and
a run on another manager all continue the one job, and the version that Swarm demands with each change lets
only one of two equal ones win.
"""

from __future__ import annotations

from bootstrap.actions import Action, DrainNode
from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.evacuation.add_first import starts
from bootstrap.evacuation.managers import manager_actions
from bootstrap.evacuation.scene import Scene
from bootstrap.evacuation.take_away import departures, endings
from bootstrap.evacuation.ways import Leave, choose_way

NAMED = 20  # services that a reason names


def next_actions(scene: Scene, self_id: str = "", *, is_lasting: bool = False) -> tuple[Action, ...]:
    """Choose all that can be done at once. ``self_id`` decides, and demotes itself last of all."""
    ways = {service.id: choose_way(service, scene) for service in scene.leaving_services}
    ways |= {service.id: (Leave.HELD, "") for service in scene.leaving_services if scene.is_given_up(service)}
    return (
        *starts(scene, ways),
        *departures(scene, ways),
        *_drains(scene),
        *endings(scene),
        *manager_actions(scene.snapshot, self_id, is_lasting=is_lasting, now=scene.now),
    )


def needed_services(node: Node, scene: Scene) -> tuple[Service, ...]:
    """Find the services whose tasks on a node may not stop yet: they are not served elsewhere."""
    return tuple(
        service
        for service in scene.leaving_services
        if not service.is_global
        and any(task.node == node.id for task in scene.leaving(service))
        and not (service.is_replicated and scene.is_served(service))
    )


def _drains(scene: Scene) -> list[Action]:
    actions: list[Action] = []
    for node in scene.undrained:
        needed = needed_services(node, scene)
        if not needed:
            actions.append(DrainNode(node, "all its replicated tasks are served elsewhere"))
        elif not node.is_gentle and scene.now >= scene.drain_at(node):
            names = ", ".join(service.name for service in needed[:NAMED])
            more = f" and {len(needed) - NAMED} more" if len(needed) > NAMED else ""
            actions.append(DrainNode(node, f"the notice is nearly over, still there: {names}{more}"))
    return actions
