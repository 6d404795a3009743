"""What is recorded, for people: `chalice invoke -n status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalicelib.world import connected

if TYPE_CHECKING:
    from chalicelib.world import World


def status_of(payload: object, world: World | None = None) -> dict[str, Any]:
    """Census time, and per cluster its managers, breakers and records; ``{"cluster": name}`` selects one."""
    world = world or connected()
    census = world.store.census()
    wanted = payload.get("cluster") if isinstance(payload, dict) else None
    names = [name for name in census.clusters if wanted in (None, name)]
    return {"census": census.taken, "clusters": {name: _cluster(name, world) for name in names}}


def _cluster(name: str, world: World) -> dict[str, Any]:
    hosts = [asdict(host) for host in world.store.hosts(name)]
    return {"managers": hosts, "nodes": [asdict(node) for node in world.store.nodes(name)]}
