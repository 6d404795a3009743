"""Follows the life of nodes: what the handlers have recorded, and what the swarm shows of it."""

from __future__ import annotations

import json
from typing import Any

from tests.lab import aws, engine, state
from tests.lab.commands_aws import TABLE
from tests.lab.deploy import STAGE
from tests.lab.engine import Node
from tests.lab.state import Host, Lab

Record = dict[str, Any]


def tick(lab: Lab) -> None:
    """Fire the deployed schedule now."""
    aws.ask(lab, "POST", "/_lab/tick")


def call(lab: Lab, name: str, **payload: Any) -> dict[str, Any]:
    """Make one of the product's manual calls for the lab's cluster, as ``chalice invoke`` does.

    One that ends with an error is answered with its line under ``error``.
    """
    text = json.dumps({"cluster": lab.cluster, **payload})
    functions = aws.connect(lab).client("lambda")
    answer = functions.invoke(FunctionName=f"swarmkeeper-{STAGE}-{name}", Payload=text)
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    return {"error": found["errorMessage"]} if "FunctionError" in answer else found


def items(lab: Lab) -> list[dict[str, Any]]:
    """Everything in the product's table, in the order of its keys."""
    table = aws.connect(lab).resource("dynamodb").Table(TABLE)
    pages = table.meta.client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
    found = [item for page in pages for item in page["Items"]]
    return sorted(found, key=lambda item: (item["cluster"], item["item"]))


def records(lab: Lab, cluster: str = "") -> dict[str, Record]:
    """The records of the nodes of a cluster, by default the lab's own, by instance."""
    mine = (item for item in items(lab) if item["cluster"] == (cluster or lab.cluster))
    return {item["instance"]: item for item in mine if item["item"].startswith("node#")}


def ticked(lab: Lab, hosts: tuple[Host, ...], wanted: str, seconds: float = 120.0) -> dict[str, Record]:
    """Let time pass, with more ticks than the minute's own, until all the hosts' records are in a state."""

    def there() -> dict[str, Record] | None:
        tick(lab)
        found = records(lab)
        states = {found.get(host.instance, {}).get("state", "") for host in hosts}
        return found if states == {wanted} else None

    names = ", ".join(host.name for host in hosts)
    return engine.wait_until(there, seconds, f"{names}: {wanted}; {_told(lab)}", pause=3)


def node_of(lab: Lab, host: Host) -> Node | None:
    """The living node of a host, found by what the product has written onto it."""
    nodes = engine.nodes(engine.manager(state.load(lab.name)))
    mine = [node for node in nodes if node.labels.get("swarmkeeper.instance") == host.instance]
    return next((node for node in mine if node.state == "ready"), None)


def managers(lab: Lab) -> list[Node]:
    """The managers that the swarm lists."""
    nodes = engine.nodes(engine.manager(state.load(lab.name)))
    return [node for node in nodes if node.role == "manager"]


def _told(lab: Lab) -> str:
    return "see `python -m tests.lab logs` and `records` of " + lab.name
