"""What a lab is like now: as data, and as a table for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich import box
from rich.table import Table

from tests.lab.machines import machine
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine
from tests.lab.swarm.engine import Node


def status(lab: Lab) -> dict[str, Any]:
    """Collect the lab and each host, with the node and the tasks that the swarm has there."""
    try:
        client = engine.manager(lab)
        nodes, tasks, trouble = engine.nodes(client), engine.tasks(client), ""
        version = engine.version(client)
    except (LabError, *engine.UNREACHABLE) as error:
        nodes, tasks, trouble, version = [], [], str(error), ""
    known = {node.instance: node for node in nodes}
    spread = engine.spread(tasks)
    return {
        "name": lab.name,
        "cluster": lab.cluster,
        "engine": {"name": lab.engine, "version": version},
        "endpoint": lab.endpoint,
        "gateway": lab.gateway,
        "registry": f"{lab.gateway}:5000",
        "directory": str(lab.directory),
        "trouble": trouble,
        "services": {service.name: service.wanted for service in engine.services(client)}
        if not trouble
        else {},
        "hosts": [_host(lab, host, known.get(host.instance), spread) for host in lab.hosts],
    }


def tables(found: dict[str, Any]) -> Iterator[Table | str]:
    """Lay out the status for people: what runs where, then how to reach it."""
    endpoint = found["endpoint"] or "none (bare)"
    engine_version = found["engine"]["version"] or found["engine"]["name"]
    yield f"lab {found['name']}, cluster {found['cluster']}, engine {engine_version}, AWS endpoint {endpoint}"
    yield _table(("host", "role", "instance", "power", "swarm", "tasks"), map(_swarm_row, found["hosts"]))
    yield _table(("host", "zone", "life cycle", "node id", "socket"), map(_reach_row, found["hosts"]))


def _table(columns: Iterable[str], rows: Iterable[list[str]]) -> Table:
    out = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        out.add_column(column, overflow="fold", no_wrap=column not in ("tasks", "swarm"))
    for row in rows:
        out.add_row(*row)
    return out


def _host(lab: Lab, host: Host, node: Node | None, spread: dict[str, dict[str, int]]) -> dict[str, Any]:
    on = machine.has_power(lab, host)
    here = {service: places[node.id] for service, places in spread.items() if node and node.id in places}
    return {
        "name": host.name,
        "role": host.role,
        "instance": host.instance,
        "address": host.address,
        "zone": host.zone,
        "type": host.instance_type,
        "lifecycle": host.lifecycle,
        "state": host.state,
        "power": on,
        "pid": host.pid,
        "socket": host.socket if on else "",
        "node": node.id if node else "",
        "node_role": node.role if node else "",
        "availability": node.availability if node else "",
        "node_state": node.state if node else "",
        "leader": bool(node and node.leader),
        "tasks": here,
    }


def _swarm_row(host: dict[str, Any]) -> list[str]:
    swarm = f"{host['node_state']} {host['availability']}" if host["node"] else "not in the swarm"
    return [
        host["name"],
        f"{host['node_role'] or host['role']}{' *' if host['leader'] else ''}",
        host["instance"],
        f"{'on' if host['power'] else 'off'} ({host['state']})",
        swarm,
        ", ".join(f"{name} {n}" for name, n in host["tasks"].items()) or "-",
    ]


def _reach_row(host: dict[str, Any]) -> list[str]:
    return [host["name"], host["zone"], host["lifecycle"], host["node"] or "-", host["socket"] or "-"]
