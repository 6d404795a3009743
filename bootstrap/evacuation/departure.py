"""One update under which Swarm's own updater replaces the tasks of a service on evacuated nodes; pure."""

from __future__ import annotations

from bootstrap.actions import UpdateService
from bootstrap.engine.service import Service
from bootstrap.evacuation.scene import Scene
from bootstrap.specs.exclusion import Pace, exclude_nodes, excluded_nodes, has_exclusion

ALL_AT_ONCE = Pace()


def is_departing(service: Service, scene: Scene) -> bool:
    """Tell whether that is under way: a second update would make Swarm stop old tasks at once."""
    if not has_exclusion(service):
        return False
    return bool({task.node for task in scene.leaving(service)} & excluded_nodes(service)) or (
        scene.snapshot.is_replacing(service)
    )


def departure(
    service: Service, scene: Scene, order: str, why: str, failure_action: str = "continue"
) -> UpdateService:
    """Let Swarm replace the tasks of a service on evacuated nodes, and no others."""
    nodes = {node.id for node in scene.undrained}
    spec = exclude_nodes(service, nodes, order, ALL_AT_ONCE, failure_action)
    return UpdateService(service, spec, f"{order} {len(scene.leaving(service))} of its tasks off: {why}")


def slot_for_slot(service: Service, scene: Scene, why: str) -> UpdateService:
    """Let Swarm replace them start-first, in their slots.

    Paused, Swarm keeps the old task of a slot whose new one fails; else it stops it (measured).
    """
    return departure(service, scene, "start-first", why, failure_action="pause")
