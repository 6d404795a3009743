"""The last discovery of all instances, and the claim on the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.items import key, number, owner_from
from chalicelib.adapters.dynamodb.plain_items import discovery_from, discovery_item
from chalicelib.adapters.dynamodb.table import Table
from chalicelib.state.cluster import Discovery

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class DynamoDiscoveries:
    """ports.DiscoveryRecords in the table."""

    table: Table

    def latest(self) -> Discovery:
        """Answer when the last discovery was taken, and which clusters there are."""
        return discovery_from(self.table.get("*", "census"))

    def look_up(self, instance: str) -> tuple[Discovery, str | None]:
        """Answer the last discovery and the cluster of an instance."""
        found = self.table.get_batch([key("*", "census"), key(instance, "home")])
        items = {item["item"]["S"]: item for item in found}
        return discovery_from(items.get("census")), owner_from(items.get("home"))

    def begin(self, seen: Discovery, now: float, seconds: float) -> bool:
        """Claim the next discovery for some seconds; False if somebody else was faster."""
        item = discovery_item(Discovery(seen.taken, now + seconds, seen.clusters))
        values = {":taken": number(seen.taken), ":now": number(now)}
        names = {"#taken": "taken", "#busy": "busy_until"}
        free = "attribute_not_exists(#taken) OR (#taken = :taken AND #busy <= :now)"
        return self.table.put(item, free, names, values)

    def finish(self, taken: float, clusters: Iterable[str]) -> None:
        """Record the discovery that began at ``taken``; one that began later stands."""
        item = discovery_item(Discovery(taken, clusters=tuple(clusters)))
        free = "NOT attribute_type(#taken, :type) OR #taken <= :taken"
        values = {":taken": number(taken), ":type": {"S": "N"}}  # an item that cannot be read is replaced
        self.table.put(item, free, {"#taken": "taken"}, values)
