"""The lease on sending a cluster's open work: one handler at a time has it."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.adapters.dynamodb.items import Item, key, number
from chalicelib.adapters.dynamodb.table import Table

LONGEST_LEASE_S = 3600.0  # one that lasts longer was not written by a handler
NUMBER = {"S": "N"}  # DynamoDB's word for the type


@dataclass(frozen=True, slots=True)
class DynamoLease:
    """ports.DispatchLease in the table. A lease that cannot be read is nobody's, and is taken."""

    table: Table

    def acquire(self, cluster: str, holder: str, now: float, seconds: float) -> int | None:
        """Take or renew the lease; answers the rechecks requested, None while another holder's lasts."""
        mine = "NOT attribute_type(#until, :type) OR #until <= :now OR #until > :far"
        mine += " OR attribute_not_exists(#holder) OR #holder = :holder"
        values: Item = {":holder": {"S": holder}, ":until": number(now + seconds), ":none": number(0)}
        found = self.table.update(
            key(cluster, "lease"),
            "SET #holder = :holder, #until = :until, #calls = if_not_exists(#calls, :none)",
            {"#holder": "holder", "#until": "until", "#calls": "calls"},
            values | {":now": number(now), ":far": number(now + LONGEST_LEASE_S), ":type": NUMBER},
            mine,
        )
        if found and "N" not in found["calls"]:
            none = {":none": number(0)}
            found = self.table.update(key(cluster, "lease"), "SET #calls = :none", {"#calls": "calls"}, none)
        return int(found["calls"]["N"]) if found else None

    def request_recheck(self, cluster: str, now: float) -> int:
        """Have the holder look for open work again before it lets go.

        Answers how many have requested that since it took the lease; 0 if nobody holds it.
        """
        names, values = {"#until": "until", "#calls": "calls"}, {":now": number(now), ":one": number(1)}
        held = "attribute_type(#until, :type) AND attribute_type(#calls, :type)"
        held += " AND #until > :now AND #until <= :far"
        values |= {":far": number(now + LONGEST_LEASE_S), ":type": NUMBER}
        found = self.table.update(key(cluster, "lease"), "ADD #calls :one", names, values, held)
        return int(found["calls"]["N"]) if found else 0

    def release(self, cluster: str, holder: str, rechecks: int | None = None) -> bool:
        """Let the lease go, if it is still the holder's and no more than these ``rechecks`` came."""
        condition, names, values = "#holder = :holder", {"#holder": "holder"}, {":holder": {"S": holder}}
        if rechecks is not None:
            condition += " AND #calls = :calls"
            names["#calls"], values[":calls"] = "calls", number(rechecks)
        return self.table.delete(key(cluster, "lease"), condition, names, values)
