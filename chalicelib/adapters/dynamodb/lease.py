"""The lease on sending a cluster's open work: one handler at a time has it."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.adapters.dynamodb.items import key, number
from chalicelib.adapters.dynamodb.table import Table


@dataclass(frozen=True, slots=True)
class DynamoLease:
    """ports.DispatchLease in the table."""

    table: Table

    def acquire(self, cluster: str, holder: str, now: float, seconds: float) -> int | None:
        """Take or renew the lease; answers the rechecks requested, None while another holder's lasts."""
        values = {":holder": {"S": holder}, ":until": number(now + seconds)}
        found = self.table.update(
            key(cluster, "lease"),
            "SET #holder = :holder, #until = :until, #calls = if_not_exists(#calls, :none)",
            {"#holder": "holder", "#until": "until", "#calls": "calls"},
            values | {":now": number(now), ":none": number(0)},
            "attribute_not_exists(#holder) OR #until <= :now OR #holder = :holder",
        )
        return int(found["calls"]["N"]) if found else None

    def request_recheck(self, cluster: str, now: float) -> int:
        """Have the holder look for open work again before it lets go.

        Answers how many have requested that since it took the lease; 0 if nobody holds it.
        """
        names, values = {"#until": "until", "#calls": "calls"}, {":now": number(now), ":one": number(1)}
        found = self.table.update(key(cluster, "lease"), "ADD #calls :one", names, values, "#until > :now")
        return int(found["calls"]["N"]) if found else 0

    def release(self, cluster: str, holder: str, rechecks: int | None = None) -> bool:
        """Let the lease go, if it is still the holder's and no more than these ``rechecks`` came."""
        condition, names, values = "#holder = :holder", {"#holder": "holder"}, {":holder": {"S": holder}}
        if rechecks is not None:
            condition += " AND #calls = :calls"
            names["#calls"], values[":calls"] = "calls", number(rechecks)
        return self.table.delete(key(cluster, "lease"), condition, names, values)
