"""What most events need to know of a cluster, read in one call."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.adapters.dynamodb.items import key, read_or, try_node_from
from chalicelib.adapters.dynamodb.plain_items import managers_from, settings_from
from chalicelib.adapters.dynamodb.table import Table
from chalicelib.state.cluster import Overview


@dataclass(frozen=True, slots=True)
class DynamoClusters:
    """ports.ClusterRecords in the table."""

    table: Table

    def read(self, cluster: str, instance: str = "") -> Overview:
        """Answer managers, settings, and the record of the instance if one is named."""
        record = f"node#{instance}"
        wanted = ["cluster", "settings", *([record] if instance else [])]
        found = self.table.get_batch([key(cluster, item) for item in wanted])
        items = {item["item"]["S"]: item for item in found}
        managers: tuple[str, ...] = read_or((), managers_from, items.get("cluster"))
        return Overview(managers, settings_from(items.get("settings")), try_node_from(items.get(record)))
