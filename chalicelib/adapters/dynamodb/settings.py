"""The settings of each cluster, as far as people have set them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.items import attribute, key
from chalicelib.adapters.dynamodb.plain_items import settings_from
from chalicelib.adapters.dynamodb.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.state.settings import ClusterSettings


@dataclass(frozen=True, slots=True)
class DynamoSettings:
    """ports.SettingsRecords in the table."""

    table: Table

    def get(self, cluster: str) -> ClusterSettings:
        """Answer the cluster's settings; the defaults if people have set nothing."""
        return settings_from(self.table.get(cluster, "settings"))

    def update(self, cluster: str, changes: Mapping[str, str | bool | float]) -> None:
        """Set some of them; what is not named stays as it is."""
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in changes)
        names = {f"#{name}": name for name in changes}
        values = {f":{name}": attribute(value) for name, value in changes.items()}
        self.table.update(key(cluster, "settings"), change, names, values)
