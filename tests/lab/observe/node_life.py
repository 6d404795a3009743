"""Follows the life of nodes: what the handlers have recorded, and what the swarm shows of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from tests.lab import state
from tests.lab.aws import lab_api
from tests.lab.aws.deploy import STAGE
from tests.lab.cli.commands_aws import TABLE
from tests.lab.faults import control
from tests.lab.faults.armed_faults import Kind
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine
from tests.lab.swarm.engine import Node

Record = dict[str, Any]
T = TypeVar("T")
STATE_CHANGE = "EC2 Instance State-change Notification"
LOOK = "errand#inspect"


def tick(lab: Lab) -> None:
    """Fire the deployed schedule now."""
    lab_api.ask(lab, "POST", "/_lab/tick")


def call(lab: Lab, name: str, **payload: Any) -> dict[str, Any]:
    """Make one of the product's manual calls for the lab's cluster, as ``chalice invoke`` does.

    One that ends with an error is answered with its line under ``error``.
    """
    text = json.dumps({"cluster": lab.cluster, **payload})
    functions = lab_api.connect(lab).client("lambda")
    answer = functions.invoke(FunctionName=f"swarmkeeper-{STAGE}-{name}", Payload=text)
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    return {"error": found["errorMessage"]} if "FunctionError" in answer else found


def items(lab: Lab) -> list[dict[str, Any]]:
    """Everything in the product's table, in the order of its keys."""
    table = lab_api.connect(lab).resource("dynamodb").Table(TABLE)
    pages = table.meta.client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
    found = [item for page in pages for item in page["Items"]]
    return sorted(found, key=lambda item: (item["cluster"], item["item"]))


def wait_unchanged(lab: Lab) -> list[dict[str, Any]]:
    """Wait until no node leaves and 3 s have changed nothing but errors and times; answers the items."""

    def read() -> list[dict[str, Any]]:
        return without_tick_items(items(lab))

    def same() -> list[dict[str, Any]]:
        before = read()
        time.sleep(3)
        leaves = any(item.get("state") == "leaving" for item in before)
        return before if read() == before and not leaves else []

    return engine.wait_until(same, "nothing changes any more", seconds=180)


def records(lab: Lab, cluster: str = "") -> dict[str, Record]:
    """Read the records of the nodes of a cluster, by default the lab's own, by instance."""
    mine = (item for item in items(lab) if item["cluster"] == (cluster or lab.cluster))
    return {item["instance"]: item for item in mine if item["item"].startswith("node#")}


def breakers(lab: Lab) -> dict[str, Record]:
    """How each manager has behaved, by instance: its failures in a row, and when it last did well."""
    found = (item for item in items(lab) if item["item"].startswith("breaker#"))
    return {item["item"].removeprefix("breaker#"): item for item in found}


def without_tick_items(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what ticks change by themselves: the census, and the look at the swarm."""
    return [item for item in found if item["item"] not in ("census", LOOK)]


def wait_lease_free(lab: Lab) -> None:
    """Wait until nobody holds the dispatch lease: a handler that was killed keeps it for some seconds."""

    def free() -> bool:
        leases = (item for item in items(lab) if item["item"] == "lease")
        return all(float(item.get("until", 0)) < time.time() for item in leases)

    engine.wait_until(free, "the dispatch lease is free", pause=0.5)


def count_commands(lab: Lab) -> int:
    """How many commands there were, looks at the swarm left out."""
    return sum(not row["order"]["comment"].startswith("inspect ") for row in lab_api.commands(lab))


def inspect_now(lab: Lab) -> None:
    """Have the next look at the swarm come now, as if the last one had been long ago; answers at its end."""
    table = lab_api.connect(lab).resource("dynamodb").Table(TABLE)
    began = round(time.time()) - 1

    def over() -> bool:
        found = table.get_item(Key={"cluster": lab.cluster, "item": LOOK}, ConsistentRead=True).get("Item")
        return bool(found and found.get("ended", 0) >= began and found["stage"] == "done")

    table.update_item(
        Key={"cluster": lab.cluster, "item": LOOK},
        UpdateExpression="SET task = :inspect, stage = :done, since = :long_ago, arguments = :none,"
        " version = if_not_exists(version, :long_ago) + :one REMOVE due",
        ExpressionAttributeValues={
            ":inspect": "inspect",
            ":done": "done",
            ":long_ago": 0,
            ":none": "{}",
            ":one": 1,
        },
    )
    tick(lab)
    engine.wait_until(over, f"a look at the swarm; {_told(lab)}", pause=0.5)


def set_attempts(lab: Lab, host: Host, *, attempts: int) -> None:
    """Write into a host's record that so much was tried in vain before; it is due now."""
    _revise(lab, host, {"attempts": attempts})


def overdue(lab: Lab, host: Host) -> None:
    """Let the time pass in which a host's work may be under way: the next tick finds it overdue."""
    _revise(lab, host, {})


def backdate(lab: Lab, host: Host, seconds: int) -> None:
    """Let a host have been launched so much earlier, by EC2's word and by its record."""
    launched = round(host.launched) - seconds
    state.change(lab.name, lambda now: now.with_host(replace(now.host(host.instance), launched=launched)))
    _revise(lab, host, {"launched": launched})


def _revise(lab: Lab, host: Host, changes: dict[str, Any]) -> None:
    """Change a host's record, which is due now, as the product does: its version rises."""
    table = lab_api.connect(lab).resource("dynamodb").Table(TABLE)

    def written() -> bool:
        found = records(lab)[host.instance]
        new = {**found, **changes, "due": round(time.time()), "version": found["version"] + 1}
        seen = {":seen": found["version"]}
        try:
            table.put_item(Item=new, ConditionExpression="version = :seen", ExpressionAttributeValues=seen)
        except table.meta.client.exceptions.ConditionalCheckFailedException:
            return False  # the product has just written, too
        return True

    engine.wait_until(written, f"the record of {host.name} is written")


def tick_until(lab: Lab, hosts: tuple[Host, ...], wanted: str, seconds: float = 120.0) -> dict[str, Record]:
    """All records once those of the hosts are in a state; meanwhile it ticks more often than each minute."""

    def there() -> dict[str, Record] | None:
        tick(lab)
        return _all_in(lab, hosts, wanted)

    names = ", ".join(host.name for host in hosts)
    return engine.wait_until(there, f"{names}: {wanted}; {_told(lab)}", seconds=seconds, pause=3)


def wait_for_state(lab: Lab, hosts: Sequence[Host], wanted: str, seconds: float = 240.0) -> dict[str, Record]:
    """Wait until the hosts are in a state, by events or the tick of each minute, without a tick of ours."""
    what = f"{', '.join(host.name for host in hosts)}: {wanted}; {_told(lab)}"
    return engine.wait_until(lambda: _all_in(lab, hosts, wanted), what, seconds=seconds, pause=0.5)


def _all_in(lab: Lab, hosts: Sequence[Host], wanted: str) -> dict[str, Record] | None:
    """All records, if those of the hosts are in the state."""
    found = records(lab)
    states = {found.get(host.instance, {}).get("state") for host in hosts}
    return found if states == {wanted} else None


def workers_in_service(lab: Lab) -> list[Host]:
    """List the workers that are in service, the oldest first."""
    found = records(lab)
    workers = [host for host in state.load(lab.name).hosts if host.role == "worker"]
    return [host for host in workers if found.get(host.instance, {}).get("state") == "in-service"]


def availability(lab: Lab, *hosts: Host) -> list[str]:
    """Of the hosts' nodes, as the swarm lists them; "" where it lists none."""
    nodes = engine.nodes(engine.manager(state.load(lab.name)))
    by_address = {node.address: node.availability for node in nodes}
    return [by_address.get(host.address, "") for host in hosts]


def tasks_on(lab: Lab, *hosts: Host) -> int:
    """How many tasks run on the hosts' nodes, as the swarm lists them."""
    client, addresses = engine.manager(state.load(lab.name)), {host.address for host in hosts}
    mine = {node.id for node in engine.nodes(client) if node.address in addresses}
    return sum(task.running for task in engine.tasks(client) if task.node in mine)


def without_state_changes(lab: Lab, act: Callable[[], T]) -> T:
    """Do something to hosts of which their instances' state changes do not tell."""
    control.arm(lab, Kind.DROP, STATE_CHANGE, left=-1)
    try:
        return act()
    finally:
        control.disarm(lab, Kind.DROP)


def node_of(lab: Lab, host: Host) -> Node | None:
    """Find the living node of a host by what the product has written onto it."""
    nodes = engine.nodes(engine.manager(state.load(lab.name)))
    mine = [node for node in nodes if node.labels.get("swarmkeeper.instance") == host.instance]
    return next((node for node in mine if node.state == "ready"), None)


def managers(lab: Lab) -> list[Node]:
    """List the managers of the swarm."""
    nodes = engine.nodes(engine.manager(state.load(lab.name)))
    return [node for node in nodes if node.role == "manager"]


def _told(lab: Lab) -> str:
    return "see `python -m tests.lab logs` and `records` of " + lab.name
