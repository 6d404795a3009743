"""The records of nodes, and the owner cluster of each instance and fleet."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.items import key, node_item, number, try_node_from
from chalicelib.adapters.dynamodb.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.state.node import Node

WRITERS = 16  # records written at the same time, when a discovery registers a whole cluster


@dataclass(frozen=True, slots=True)
class DynamoNodes:
    """ports.NodeRecords in the table."""

    table: Table

    def find_owner(self, instance: str) -> str | None:
        """Answer the cluster of an instance or a fleet."""
        item = self.table.get(instance, "home")
        return item["name"]["S"] if item else None

    def record_owners(self, cluster: str, fleets: Iterable[str]) -> None:
        """Record which cluster fleets work for: their own events name no instance."""
        for fleet in fleets:
            self.table.put(key(fleet, "home") | {"name": {"S": cluster}})

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
        """Begin records, and record this cluster as owner if ``owned``; existing records stay."""
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(lambda node: self._register(node, owned=owned), nodes))

    def replace(self, before: Node, after: Node) -> bool:
        """Replace a record; False if it is no longer the one that was read."""
        values = {":version": number(before.version), ":state": {"S": before.state.value}}
        names = {"#version": "version", "#state": "state"}
        return self.table.put(node_item(after), "#version = :version AND #state = :state", names, values)

    def _register(self, node: Node, *, owned: bool) -> None:
        # Owner first: the next discovery adds a record that is missing, but never an owner.
        if owned:
            self.table.put(key(node.instance, "home") | {"name": {"S": node.cluster}})
        self.table.put(node_item(node), "attribute_not_exists(#item)", {"#item": "item"})
