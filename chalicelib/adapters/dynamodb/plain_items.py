"""The small items, as values and back: settings, managers, breakers, owners, the last discovery.

One that cannot be read is named in the log and counts as not recorded: it stops no cluster.
"""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

from chalicelib.adapters.dynamodb.items import (
    Item,
    key,
    number,
    read_or,
    strings,
    texts,
    try_node_from,
    value_of,
)
from chalicelib.state.cluster import Breaker, Discovery, Host
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.settings import ClusterSettings


def settings_from(item: Item | None) -> ClusterSettings:
    """Read a cluster's settings; the default of each that is not recorded, or cannot be read."""
    found: dict[str, Any] = {}
    for field in fields(ClusterSettings):
        if item and field.name in item:
            read = partial(_setting, field.name, type(field.default))
            found[field.name] = read_or(field.default, read, item, field.name)
    return ClusterSettings(**found)


def _setting(name: str, kind: type, item: Item) -> Any:
    value = value_of(name, item[name])
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def managers_from(item: Item) -> tuple[str, ...]:
    """Read which instances are managers."""
    return texts(item["managers"])


def breaker_attributes(breaker: Breaker) -> Item:
    """Return a breaker's attributes."""
    return {field.name: number(getattr(breaker, field.name)) for field in fields(breaker)}


def breaker_from(item: Item | None) -> Breaker:
    """Read a breaker; closed if nothing is recorded, or nothing that can be read."""
    return read_or(Breaker(), _breaker, item)


def _breaker(item: Item) -> Breaker:
    return Breaker(int(item["failures"]["N"]), float(item["open_until"]["N"]), float(item["good"]["N"]))


def host_from(manager: str, record: Item | None, breaker: Item | None) -> Host:
    """Read a manager as a place to run commands; gone if it has no record."""
    node = try_node_from(record)
    if node is None:
        return Host(manager, NodeState.GONE, breaker_from(breaker))
    return Host(manager, node.state, breaker_from(breaker), node.address, node.node, node.only_tagged)


def discovery_item(discovery: Discovery) -> Item:
    """Return the last discovery as an item."""
    times = {"taken": number(discovery.taken), "busy_until": number(discovery.busy_until)}
    return key("*", "census") | times | {"clusters": strings(discovery.clusters)}


def discovery_from(item: Item | None) -> Discovery:
    """Read the last discovery; one of long ago if nothing is recorded, or nothing that can be read."""
    return read_or(Discovery(), _discovery, item)


def _discovery(item: Item) -> Discovery:
    return Discovery(float(item["taken"]["N"]), float(item["busy_until"]["N"]), texts(item["clusters"]))
