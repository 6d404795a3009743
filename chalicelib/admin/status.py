"""What is recorded, for people: `chalice invoke -n status`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalicelib.admin.tables import show_result
from chalicelib.admin.waiting import describe_job
from chalicelib.protocol.codec import decode_result
from chalicelib.protocol.strict_json import ProtocolError
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.stored_names import as_stored

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.adapters.ports import World
    from chalicelib.state.job import Job
    from chalicelib.state.node import Node

MAX_CHARACTERS = 2_000_000  # of nodes, and of incidents: Lambda answers with six million bytes at most


def show_status(wanted: str | None, world: World) -> dict[str, Any]:
    """Show the last discovery and the records of all clusters, or of one; very many in part."""
    discovery = world.discoveries.latest()
    names = [name for name in discovery.clusters if wanted in (None, name)]
    most = MAX_CHARACTERS // max(len(names), 1)
    return {"census": discovery.taken, "clusters": {name: _show_cluster(name, most, world) for name in names}}


def _show_cluster(name: str, most: int, world: World) -> dict[str, Any]:
    """``nodes``: those with work first, the gone ones last. ``left_out``: how many did not fit.

    ``waiting``: nodes that wait for their turn to be evacuated.
    """
    records, incidents = world.nodes.list_all(name), world.incidents.list_all(name)
    nodes = _fitting((as_stored(node) for node in sorted(records, key=_rest_order)), most)
    newest = sorted(incidents, key=lambda incident: -incident.at)
    shown = _fitting((as_stored(incident) for incident in newest), most)
    return {
        "settings": asdict(world.settings.get(name)),
        "managers": [asdict(host) for host in world.managers.list_hosts(name)],
        "states": Counter(node.state.value for node in records),
        "waiting": [node.instance for node in records if node.waits_for_turn(world.clock.now())],
        "nodes": nodes,
        "incidents": shown,
        "left_out": {"nodes": len(records) - len(nodes), "incidents": len(incidents) - len(shown)},
        "errands": [_show_job(job) for job in world.jobs.list_all(name)],
    }


def _rest_order(node: Node) -> tuple[bool, bool, str]:
    resting = node.due is None and not node.is_given_up
    return node.state is NodeState.GONE, resting, node.instance


def _fitting(rows: Iterable[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Keep the first rows, as JSON no more than so many characters."""
    fitting, size = [], 0
    for row in rows:
        size += len(json.dumps(row))
        if size > most:
            break
        fitting.append(row)
    return fitting


def _show_job(job: Job) -> dict[str, Any]:
    try:
        result = decode_result(job.result) if job.result else None
    except ProtocolError:
        result = None  # of another version; what became of it is in the reason too
    return describe_job(job) | ({"result": show_result(result)} if result and result.spreads else {})
