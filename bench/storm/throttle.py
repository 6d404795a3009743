"""DynamoDB's units of one partition, in front of a table that knows none: what exceeds them is refused.

Units are those that AWS bills: a write for each KB and as much for an entry of the index, twice that in a
transaction; a read for 4 KB. A query's units are known with its answer: they are taken from later ones.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from bench.storm.virtual.limits import Limits
from bench.storm.virtual.quotas import Quota
from tests.lab.endpoint.messages import AwsError, Request, Response, refusal

WRITE_BYTES, READ_BYTES = 1024, 4096
REFUSED = AwsError(
    "ProvisionedThroughputExceededException",
    "The level of configured provisioned throughput for the table was exceeded.",
    400,
)


@dataclass
class ThrottledTable:
    """Passes calls on as long as their partition has units left; ``busy`` is when the table had some."""

    forward: Callable[[Request], Response]
    limits: Limits = field(default_factory=Limits)
    refused: int = 0
    busy: list[tuple[float, float]] = field(default_factory=list)
    _in_flight: int = 0
    _since: float = 0.0
    _quotas: dict[tuple[str, str], Quota] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Request) -> Response:
        """Answer a call of DynamoDB."""
        body = json.loads(request.body)
        units = count_units(request.operation, body)
        with self._lock:
            now = time.time()
            if any(self._quota(*where).level_at(now) < number for where, number in units.items()):
                self.refused += 1
                return refusal(request, REFUSED)
            for where, number in units.items():
                self._quota(*where).spend(number)
            self._since = self._since if self._in_flight else now
            self._in_flight += 1
        try:
            response = self.forward(request)
        finally:
            with self._lock:
                self._in_flight -= 1
                if not self._in_flight:
                    self.busy.append((self._since, time.time()))
        with self._lock:
            if request.operation == "Query":
                quota = self._quota(partition_of_query(body), "reads")
                quota.spend(ceil(len(response.body) / READ_BYTES) - 1)
        return response

    def _quota(self, partition: str, kind: str) -> Quota:
        rate = self.limits.write_units if kind == "writes" else self.limits.read_units
        return self._quotas.setdefault(
            (partition, kind), Quota(f"{kind} of {partition}", rate, rate, time.time())
        )


def count_units(operation: str, body: dict[str, Any]) -> Counter[tuple[str, str]]:
    """Count the units that a call needs, by partition and kind, as far as the call itself shows."""
    found: Counter[tuple[str, str]] = Counter()
    for partition, kind, units in _list_units(operation, body):
        found[partition, kind] += units
    return found


def _list_units(operation: str, body: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    match operation:
        case "PutItem":
            yield _partition(body["Item"]), "writes", units_of_item(body["Item"])
        case "UpdateItem" | "DeleteItem":
            yield _partition(body["Key"]), "writes", 1
        case "TransactWriteItems":
            items = [one["Put"]["Item"] for one in body["TransactItems"]]
            yield from ((_partition(item), "writes", 2 * units_of_item(item)) for item in items)
        case "GetItem":
            yield _partition(body["Key"]), "reads", 1
        case "BatchGetItem":
            keys = [key for table in body["RequestItems"].values() for key in table["Keys"]]
            yield from ((_partition(key), "reads", 1) for key in keys)
        case "Query":
            yield partition_of_query(body), "reads", 1


def _partition(item: dict[str, Any]) -> str:
    return str(item["cluster"]["S"])


def units_of_item(item: dict[str, Any]) -> int:
    """Return the units to write an item; one in the index counts as if its entry moved there."""
    size = ceil(len(json.dumps(item)) / WRITE_BYTES)
    return size * (3 if "due" in item else 2 if item["item"]["S"].startswith("node#") else 1)


def partition_of_query(body: dict[str, Any]) -> str:
    """Return the partition that a query is about."""
    return str(body["ExpressionAttributeValues"][":cluster"]["S"])
