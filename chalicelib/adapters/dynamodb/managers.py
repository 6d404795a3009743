"""A cluster's managers, and the circuit breaker of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters.dynamodb.items import key, number, read_or, strings
from chalicelib.adapters.dynamodb.plain_items import (
    breaker_attributes,
    breaker_from,
    host_from,
    managers_from,
)
from chalicelib.adapters.dynamodb.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.state.cluster import Breaker, Host

BREAKER_EXPIRY_S = 86_400.0  # without news, a breaker is deleted by then


@dataclass(frozen=True, slots=True)
class DynamoManagers:
    """ports.ManagerRecords in the table."""

    table: Table

    def list_ids(self, cluster: str) -> tuple[str, ...]:
        """Answer the instances that are the cluster's managers."""
        return read_or((), managers_from, self.table.get(cluster, "cluster"))

    def record(self, cluster: str, managers: Iterable[str]) -> None:
        """Record the cluster's managers."""
        self.table.put(key(cluster, "cluster") | {"managers": strings(managers)})

    def list_hosts(self, cluster: str) -> tuple[Host, ...]:
        """Answer the managers as places to run commands."""
        managers = self.list_ids(cluster)
        keys = [key(cluster, kind + manager) for manager in managers for kind in ("node#", "breaker#")]
        items = {item["item"]["S"]: item for item in self.table.get_batch(keys)}
        return tuple(
            host_from(manager, items.get(f"node#{manager}"), items.get(f"breaker#{manager}"))
            for manager in managers
        )

    def get_breaker(self, cluster: str, manager: str) -> Breaker:
        """Answer how a manager has behaved; closed if nothing is recorded."""
        return breaker_from(self.table.get(cluster, f"breaker#{manager}"))

    def record_breaker(self, cluster: str, manager: str, breaker: Breaker, now: float) -> None:
        """Record how a manager has behaved. The last writer wins: it is advice, not truth."""
        expires = {"expires": number(int(now + BREAKER_EXPIRY_S))}
        self.table.put(key(cluster, f"breaker#{manager}") | breaker_attributes(breaker) | expires)
