"""Records as DynamoDB items, and back. Empty values are left out, so that ``due`` makes a sparse index."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from chalicelib.cluster import Breaker, Census, Host, Node, Role
from chalicelib.states import NodeState

if TYPE_CHECKING:
    from collections.abc import Iterable

Item = dict[str, Any]

ENUMS = {"role": Role, "state": NodeState}
WHOLE = frozenset({"version", "attempts"})


def key(cluster: str, item: str) -> Item:
    """The primary key."""
    return {"cluster": {"S": cluster}, "item": {"S": item}}


def number(value: float) -> Item:
    """A number attribute. Floats are exact: DynamoDB keeps 38 digits."""
    return {"N": repr(value)}


def strings(values: Iterable[str]) -> Item:
    """A list of strings; a string set could not be empty."""
    return {"L": [{"S": value} for value in values]}


def texts(attribute: Item) -> tuple[str, ...]:
    """The strings of a list attribute."""
    return tuple(value["S"] for value in attribute["L"])


def node_item(node: Node) -> Item:
    """A node's record."""
    values = {field.name: getattr(node, field.name) for field in fields(node)}
    attributes = {name: _attribute(value) for name, value in values.items() if value not in (None, "")}
    if node.expires is not None:
        attributes["expires"] = number(int(node.expires))  # time to live wants whole seconds
    return key(node.cluster, f"node#{node.instance}") | attributes


def node_from(item: Item) -> Node:
    """A node from its record; attributes that this version does not know are passed over."""
    known = {field.name for field in fields(Node)}
    return Node(**{name: _value(name, attribute) for name, attribute in item.items() if name in known})


def breaker_attributes(breaker: Breaker) -> Item:
    """A breaker's attributes."""
    return {field.name: number(getattr(breaker, field.name)) for field in fields(breaker)}


def breaker_from(item: Item | None) -> Breaker:
    """A breaker; closed if nothing is recorded."""
    if not item:
        return Breaker()
    return Breaker(int(item["failures"]["N"]), float(item["open_until"]["N"]), float(item["good"]["N"]))


def host_from(manager: str, record: Item | None, breaker: Item | None) -> Host:
    """A manager as a place to run commands; gone if it has no record."""
    node = node_from(record) if record else None
    state, address = (node.state, node.address) if node else (NodeState.GONE, "")
    return Host(manager, state, breaker_from(breaker), address)


def census_item(census: Census) -> Item:
    """What is recorded of the census."""
    times = {"taken": number(census.taken), "busy_until": number(census.busy_until)}
    return key("*", "census") | times | {"clusters": strings(census.clusters)}


def census_from(item: Item | None) -> Census:
    """The census; one of long ago if nothing is recorded."""
    if not item:
        return Census()
    return Census(float(item["taken"]["N"]), float(item["busy_until"]["N"]), texts(item["clusters"]))


def _attribute(value: str | float) -> Item:
    return {"S": str(value)} if isinstance(value, str) else number(value)


def _value(name: str, attribute: Item) -> Any:
    if "N" in attribute:
        return int(attribute["N"]) if name in WHOLE else float(attribute["N"])
    return ENUMS.get(name, str)(attribute["S"])
