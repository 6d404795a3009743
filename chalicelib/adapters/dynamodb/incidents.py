"""The incidents of each cluster; one with a node's ``record`` is a dead letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.items import incident_from, incident_item, incident_key, number
from chalicelib.adapters.dynamodb.table import Table

if TYPE_CHECKING:
    from chalicelib.state.incident import Incident


@dataclass(frozen=True, slots=True)
class DynamoIncidents:
    """ports.IncidentRecords in the table."""

    table: Table

    def list_all(self, cluster: str) -> tuple[Incident, ...]:
        """Answer all incidents that are not deleted."""
        return tuple(map(incident_from, self.table.query_prefix(cluster, "incident#")))

    def get(self, cluster: str, name: str) -> Incident | None:
        """Answer the incident of a key."""
        item = self.table.get(cluster, incident_key(cluster, name)["item"]["S"])
        return incident_from(item) if item else None

    def record(self, cluster: str, incident: Incident, now: float) -> bool:
        """Record an incident; False where it is known and has not expired."""
        names, values = {"#expires": "expires"}, {":now": number(now)}
        free = "attribute_not_exists(#expires) OR #expires <= :now"
        return self.table.put(incident_item(cluster, incident), free, names, values)

    def mark_notified(self, cluster: str, name: str) -> None:
        """Record that people were notified of the incident; one that is deleted meanwhile stays so."""
        names, values = {"#told": "told", "#item": "item"}, {":true": {"BOOL": True}}
        where = incident_key(cluster, name)
        self.table.update(where, "SET #told = :true", names, values, "attribute_exists(#item)")

    def delete(self, cluster: str, name: str) -> None:
        """Delete an incident that is over."""
        self.table.delete(incident_key(cluster, name))
