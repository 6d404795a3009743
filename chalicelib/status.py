"""What is recorded, for people: `chalice invoke -n status`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalicelib.tables import shown
from chalicelib.wait import described
from chalicelib.wire import decode_result

if TYPE_CHECKING:
    from chalicelib.errand import Errand
    from chalicelib.world import World


def status_of(wanted: str | None, world: World) -> dict[str, Any]:
    """Census time, and all that is recorded of all clusters, or of one."""
    census = world.store.census()
    names = [name for name in census.clusters if wanted in (None, name)]
    return {"census": census.taken, "clusters": {name: _cluster(name, world) for name in names}}


def _cluster(name: str, world: World) -> dict[str, Any]:
    store = world.store
    return {
        "settings": asdict(store.conduct(name)),
        "managers": [asdict(host) for host in store.hosts(name)],
        "nodes": [asdict(node) for node in store.nodes(name)],
        "incidents": [asdict(incident) for incident in store.incidents(name)],
        "errands": [_errand(errand) for errand in store.errands(name)],
    }


def _errand(errand: Errand) -> dict[str, Any]:
    result = decode_result(errand.result) if errand.result else None
    return described(errand) | ({"result": shown(result)} if result and result.spreads else {})
