"""The records of nodes, and the owner cluster of each instance and fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.items import node_item, number, owner_from, owner_item, try_node_from
from chalicelib.adapters.dynamodb.table import BATCH_ITEMS, Table, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chalicelib.state.node import Node

REGISTERED_TOGETHER = BATCH_ITEMS // 2  # each with its owner


@dataclass(frozen=True, slots=True)
class DynamoNodes:
    """ports.NodeRecords in the table."""

    table: Table

    def find_owner(self, instance: str) -> str | None:
        """Answer the cluster of an instance or a fleet."""
        return owner_from(self.table.get(instance, "home"))

    def record_owners(self, cluster: str, fleets: Iterable[str]) -> None:
        """Record which cluster fleets work for: their own events name no instance."""
        for fleet in fleets:
            self.table.put(owner_item(fleet, cluster))

    def get(self, cluster: str, instance: str) -> Node | None:
        """Answer the record of an instance."""
        item = self.table.get(cluster, f"node#{instance}")
        return try_node_from(item)

    def list_all(self, cluster: str) -> tuple[Node, ...]:
        """Answer all records of a cluster."""
        return tuple(filter(None, map(try_node_from, self.table.query_prefix(cluster, "node#"))))

    def list_open(self, cluster: str, until: float) -> tuple[Node, ...]:
        """Answer the records with open work that is due by then, in order of ``due``."""
        condition = "#cluster = :cluster AND #due <= :until"
        values = {":cluster": {"S": cluster}, ":until": number(until)}
        names = {"#cluster": "cluster", "#due": "due"}
        found = self.table.query(condition, names, values, IndexName="open")
        items = (item for item in found if item["item"]["S"].startswith("node#"))
        return tuple(filter(None, map(try_node_from, items)))

    def register(self, nodes: Iterable[Node], *, owned: bool = True) -> None:
        """Begin records, and record this cluster as owner if ``owned``; existing records stay.

        Owner and record go in one write: neither is ever there without the other.
        """
        fresh = list(nodes)
        for first in range(0, len(fresh), REGISTERED_TOGETHER):
            some = fresh[first : first + REGISTERED_TOGETHER]
            owners = {node.instance: owner_item(node.instance, node.cluster) for node in some if owned}
            self.table.write_where_met([*map(Write, owners.values()), *map(_first_record, some)])

    def replace(self, before: Node, after: Node) -> bool:
        """Replace a record; False if it is no longer the one that was read."""
        write = _replacement(before, after)
        return self.table.put(write.item, write.condition, write.names, write.values)

    def replace_all(self, pairs: Sequence[tuple[Node, Node]]) -> list[bool]:
        """Replace many records, a hundred in one call; answers which ones were still those that were read."""
        if len(pairs) == 1:
            return [self.replace(*pairs[0])]  # half as dear
        return self.table.write_where_met([_replacement(before, after) for before, after in pairs])


def _first_record(node: Node) -> Write:
    return Write(node_item(node), "attribute_not_exists(#item)", {"#item": "item"})


def _replacement(before: Node, after: Node) -> Write:
    values = {":version": number(before.version), ":state": {"S": before.state.value}}
    names = {"#version": "version", "#state": "state"}
    return Write(node_item(after), "#version = :version AND #state = :state", names, values)
