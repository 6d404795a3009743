"""Brings a lab that tests share back to what it was at first, and checks that it is so.

What a test has killed is replaced. What it has evacuated is put back into service as if nothing had been:
its node is made active and its record is written anew, as nobody gives a node back that EC2 takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from docker.errors import APIError, NotFound

from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL
from tests.lab import lifecycle, state
from tests.lab.aws import lab_api, mailbox
from tests.lab.cli.commands_aws import TABLE
from tests.lab.faults import control
from tests.lab.observe import node_life
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine, formation
from tests.lab.swarm.services import NETWORK

WORKERS, MANAGERS = 3, 3
GUARD_LOOKS_S = 20.0  # after its warning, at the latest (routing.py)
# How the tests find a cluster: nothing is rebalanced that nobody calls for, all else is as at first.
SETTINGS: dict[str, Any] = {
    "recommendations": "note",
    "drills": False,
    "notify": True,
    "rebalance": False,
    "settle": 20,
    "cooldown": 300,
    "out_share": 0.3334,
    "description": "",
}
KEPT = ("cluster", "item", "instance", "role", "address", "launched", "node", "version")


def deployed(name: str) -> None:
    """Reset a lab with the app; LabError where it does not come to be as it was."""
    lab = state.load(name)
    control.disarm(lab)
    lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 1})
    for call, fields in (("resume", {}), ("configure", SETTINGS)):
        if "error" in (said := node_life.call(lab, call, **fields)):
            raise LabError(f"{call}: {said['error']}")
    remove_services(lab)
    rewind(lab)
    _replace(lab)
    engine.wait_until(lambda: not _open_jobs(lab), "no job is open", pause=1)
    _forget_letters(lab)
    _check(state.load(name))
    if armed := control.list_armed(lab):
        raise LabError(f"faults are armed: {armed}")


def bare(name: str) -> None:
    """Reset a lab without AWS; LabError where it does not come to be as it was."""
    lab = state.load(name)
    remove_services(lab)
    for host in _with_power(lab, "worker")[WORKERS:]:
        lifecycle.kill(name, host.instance)
    replace_lost(lab)
    roles = {host.address: host.role for host in _with_power(lab)}
    for node in engine.nodes(engine.manager(state.load(name))):
        engine.change_node(lab, node.id, partial(_as_new, roles[node.address]))
    _remove_leftovers(lab)
    formation.mesh(_with_power(state.load(name)))
    _check(state.load(name))


def replace_lost(lab: Lab) -> None:
    """Of a lab without AWS: take dead nodes off the list, and let fresh hosts join in their place."""
    addresses = {host.address for host in _with_power(lab)}
    for node in engine.nodes(engine.manager(state.load(lab.name))):
        if node.address not in addresses:
            remove_node(state.load(lab.name), node)
    for role, wanted in (("manager", MANAGERS), ("worker", WORKERS)):
        for _ in range(wanted - len(_with_power(lab, role))):
            formation.join(state.load(lab.name), lifecycle.add(lab.name, role))


def remove_services(lab: Lab) -> None:
    """Remove all services, and wait until nothing of them runs."""
    client = engine.manager(lab, timeout=30)
    for service in client.services.list():
        service.remove()
    engine.wait_until(lambda: not _containers(lab), "nothing runs any more")


def rewind(lab: Lab) -> None:
    """Put every host that lives and is evacuated back into service, as if nothing had been."""
    records = node_life.records(lab)
    hosts = [host for host in _with_power(lab) if _state(records, host) == "evacuated"]
    _await_guards([records[host.instance] for host in hosts])
    for host in hosts:
        for node in engine.nodes(engine.manager(lab)):
            if node.address == host.address:
                engine.change_node(lab, node.id, partial(_in_service, host.role))
    for host in hosts:
        write = partial(_rewrite, lab, host)
        engine.wait_until(write, f"the record of {host.name} is written")
    if hosts:
        formation.wait_ready(lab, 1)


def _await_guards(records: list[dict[str, Any]]) -> None:
    """Wait until the guards of warnings have looked: one that finds a warned node in service evacuates it."""
    evacuated = [float(record["since"]) for record in records if record.get("announced")]
    time.sleep(max(max(evacuated, default=0.0) + GUARD_LOOKS_S - time.time(), 0.0))


def stock(lab: Lab, count: int) -> list[Host]:
    """Have so many workers in service at least; answers them, the oldest first."""
    missing = count - len(node_life.workers_in_service(lab))
    if missing > 0:
        node_life.wait_for_state(lab, [lifecycle.add(lab.name) for _ in range(missing)], "in-service")
    return node_life.workers_in_service(lab)


def exactly(lab: Lab, count: int) -> list[Host]:
    """Have so many workers in service and no more: those that are too many lose their power."""
    surplus = stock(lab, count)[count:]
    kill(lab, surplus)
    return node_life.workers_in_service(lab)


def kill(lab: Lab, hosts: list[Host]) -> None:
    """Cut their power, and wait until the product has removed their nodes."""
    for host in hosts:
        lifecycle.kill(lab.name, host.instance)
    if hosts:
        node_life.tick_until(lab, tuple(hosts), "gone", 240)


def living_hosts(lab: Lab, role: str = "") -> list[Host]:
    """List the hosts that have power, by default of both roles."""
    return _with_power(state.load(lab.name), role)


def remove_node(lab: Lab, node: engine.Node) -> None:
    """Take a node that is dead off the swarm's list."""

    def removed() -> bool:
        client = engine.manager(lab)
        found = next((one for one in engine.nodes(client) if one.id == node.id), None)
        if found and found.role == "manager":
            engine.change_node(lab, node.id, lambda _: {"Role": "worker"})
        elif found:
            client.api.remove_node(node.id, force=True)
        return found is None

    engine.wait_until(removed, f"the node of {node.name} is removed", pause=0.3)


def _replace(lab: Lab) -> None:
    """In place of hosts that are lost or half-way, fresh ones."""
    records = node_life.records(lab)
    lost = [host for host in _with_power(lab) if _state(records, host) != "in-service"]
    lost += [host for host in _with_power(lab, "manager") if host not in lost][MANAGERS:]
    for host in lost:
        lifecycle.kill(lab.name, host.instance)
    fresh = []
    for role, wanted in (("manager", MANAGERS), ("worker", WORKERS)):
        have = len(_with_power(state.load(lab.name), role))
        fresh += [lifecycle.add(lab.name, role) for _ in range(wanted - have)]
    if fresh:
        node_life.tick_until(lab, tuple(fresh), "in-service", 240)
    records = node_life.records(lab)
    dead = [host for host in state.load(lab.name).hosts if not host.pid]
    dying = tuple(host for host in dead if _state(records, host) not in ("", "gone"))
    if dying:
        node_life.tick_until(lab, dying, "gone", 240)


def _check(lab: Lab) -> None:
    """LabError where the swarm is not what it was at first."""

    def good() -> bool:
        nodes = engine.nodes(engine.manager(lab))
        addresses = {host.address: host.role for host in _with_power(lab)}
        right = all((node.state, node.availability) == ("ready", "active") for node in nodes)
        managers = [node for node in nodes if node.reachability == "reachable"]
        clean = not any(EVACUATION_DEADLINE_LABEL in node.labels for node in nodes)
        same = {node.address: node.role for node in nodes} == addresses
        return right and clean and same and len(managers) == MANAGERS

    engine.wait_until(good, f"the swarm of {lab.name} is as it was at first", pause=0.3)
    if found := engine.services(engine.manager(lab)):
        raise LabError(f"services are left: {found}")


def _with_power(lab: Lab, role: str = "") -> list[Host]:
    hosts = state.load(lab.name).hosts
    return [host for host in hosts if host.pid and role in ("", host.role)]


def _state(records: dict[str, node_life.Record], host: Host) -> str:
    return str(records.get(host.instance, {}).get("state", ""))


def _containers(lab: Lab) -> list[str]:
    """List the containers on the hosts that have power."""
    return [one["Id"] for host in _with_power(lab) for one in engine.connect(host).api.containers()]


def _in_service(role: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {key: value for key, value in spec.get("Labels", {}).items() if key != EVACUATION_DEADLINE_LABEL}
    return {"Labels": labels, "Availability": "active", "Role": role}


def _as_new(role: str, _spec: dict[str, Any]) -> dict[str, Any]:
    return {"Labels": {}, "Availability": "active", "Role": role}


def _rewrite(lab: Lab, host: Host) -> bool:
    """Write the record as of before the evacuation; False where the product has just written, too."""
    table = lab_api.connect(lab).resource("dynamodb").Table(TABLE)
    found = node_life.records(lab)[host.instance]
    kept = {key: found[key] for key in KEPT if key in found}
    new = {**kept, "state": "in-service", "since": found["launched"], "attempts": 0}
    new |= {"version": found["version"] + 1, "reason": "the tests have put it back"}
    try:
        table.put_item(
            Item=new,
            ConditionExpression="version = :seen",
            ExpressionAttributeValues={":seen": found["version"]},
        )
    except table.meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def _open_jobs(lab: Lab) -> list[str]:
    """List the jobs under way, looks at the swarm left out."""
    rows = node_life.without_tick_items(node_life.items(lab))
    return [row["item"] for row in rows if row["item"].startswith("errand#") and row.get("stage") == "open"]


def _forget_letters(lab: Lab) -> None:
    """Incidents that were published are of the past, and so is what people got."""
    mailbox.letters(lab)
    (lab.directory / "letters.jsonl").unlink(missing_ok=True)
    (lab.directory / "foreign.json").unlink(missing_ok=True)


def _remove_leftovers(lab: Lab) -> None:
    client = engine.manager(lab)
    for row in client.api.configs():
        _tolerant(partial(client.api.remove_config, row["ID"]))
    for network in client.networks.list(filters={"driver": "overlay"}):
        if network.name not in ("ingress", NETWORK):
            engine.wait_until(partial(_tolerant, network.remove), f"network {network.name} is removed")


def _tolerant(act: Callable[[], object]) -> bool:
    """Tell whether that is done, or was so already."""
    try:
        act()
    except NotFound:
        return True
    except APIError as error:
        raise LabError(str(error)) from error
    return True
