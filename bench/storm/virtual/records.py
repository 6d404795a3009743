"""The records of a storm in virtual time: those in memory, each call metered as DynamoDB meters it.

test_storm_virtual.py holds the calls counted here to those that the real adapters make.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from bench.storm.virtual.limits import Limits
from bench.storm.virtual.quotas import Quota
from bench.storm.virtual.timeline import Timeline
from chalicelib.adapters.dynamodb.nodes import REGISTERED_TOGETHER
from chalicelib.adapters.dynamodb.table import BATCH_ITEMS
from chalicelib.adapters.patience import Patience
from chalicelib.errors import ThrottledError
from chalicelib.state.node import Node
from tests.unit.chalicelib.support.memory import MemoryNodes

PAGE_BYTES = 1024 * 1024
READ_BYTES = 4096
Pairs = Sequence[tuple[Node, Node]]


@dataclass(frozen=True)
class Call:
    """One call of DynamoDB in a cluster's partition: its units, and the records that it brings."""

    name: str
    reads: float = 0.0
    writes: float = 0.0
    records: int = 0


@dataclass
class Meter:
    """Takes the time that calls take, and refuses what exceeds a partition's units."""

    clock: Timeline
    limits: Limits
    patience: Patience
    calls: Counter[str] = field(default_factory=Counter)
    callers: Counter[str] = field(default_factory=Counter)
    writes: Quota = field(init=False)
    reads: Quota = field(init=False)

    def __post_init__(self) -> None:
        """Make the partition."""
        now, limits = self.clock.now(), self.limits
        self.writes = Quota("DynamoDB writes of the partition", limits.write_units, limits.write_units, now)
        self.reads = Quota("DynamoDB reads of the partition", limits.read_units, limits.read_units, now)

    def spend(self, call: Call, caller: str) -> None:
        """Make a call, and repeat it as the handlers' own clients do. Raises ThrottledError."""
        began, attempts = self.clock.now(), 0
        self.callers[caller] += 1
        while not self._try(call):
            attempts += 1
            if not self.patience.back_off(attempts, began):
                raise ThrottledError(f"DynamoDB asks for fewer calls: {call.name}")

    def _try(self, call: Call) -> bool:
        self.calls[call.name] += 1
        limits = self.limits
        base_s = {"TransactWriteItems": limits.transaction_s, "Query": limits.page_s}.get(
            call.name, limits.item_s
        )
        self.clock.sleep(base_s + call.records * limits.record_s)
        quota, units = (self.writes, call.writes) if call.writes else (self.reads, call.reads)
        return quota.take(self.clock.now(), units)


class OpenNodes(MemoryNodes):
    """Records in memory that know which ones are open, as the index in the table does."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, dict[str, Node]] = defaultdict(dict)
        self.sizes: Counter[str] = Counter()

    def list_open(self, cluster: str, until: float) -> tuple[Node, ...]:
        due = [node for node in self.open[cluster].values() if node.due is not None and node.due <= until]
        return tuple(sorted(due, key=lambda node: node.due or 0))

    def register(self, nodes: Iterable[Node], *, owned: bool = True) -> None:
        fresh = list(nodes)
        super().register(fresh, owned=owned)
        for node in fresh:
            self.sizes[node.cluster] += 1
            self._index(self.records[node.cluster, node.instance])

    def replace(self, before: Node, after: Node) -> bool:
        done = super().replace(before, after)
        if done:
            self._index(after)
        return done

    def _index(self, node: Node) -> None:
        if node.due is None:
            self.open[node.cluster].pop(node.instance, None)
        else:
            self.open[node.cluster][node.instance] = node


class Metered:
    """A port whose calls are metered first, as ``costs`` says for each method, each to its caller."""

    def __init__(
        self, port: Any, meter: Meter, costs: dict[str, Callable[..., Iterable[Call]]], caller: str = ""
    ) -> None:
        self._port, self._meter, self._costs, self._caller = port, meter, costs, caller

    def __getattr__(self, name: str) -> Any:
        method, cost = getattr(self._port, name), self._costs[name]

        def metered(*args: Any, **more: Any) -> Any:
            for call in cost(self._port, *args, **more):
                self._meter.spend(call, self._caller)
            return method(*args, **more)

        return metered


def costs_of_nodes(limits: Limits) -> dict[str, Callable[..., Iterable[Call]]]:
    """Return what calls of NodeRecords cost. Owners are in partitions of their own, which nothing limits."""
    return {
        "find_owner": lambda *_: [Call("GetItem")],
        "record_owners": lambda _port, _cluster, fleets: [Call("PutItem") for _ in fleets],
        "get": lambda *_: [Call("GetItem", reads=1)],
        "list_all": lambda port, cluster: _pages(port.sizes[cluster], limits),
        "list_open": lambda port, cluster, _: _pages(len(port.open[cluster]), limits),
        "register": _register_calls,
        "replace": lambda _, before, after: [Call("PutItem", writes=_units(before.due, after.due))],
        "replace_all": lambda _, pairs: _replace_calls(pairs),
    }


def _pages(records: int, limits: Limits) -> Iterator[Call]:
    each = PAGE_BYTES // limits.record_bytes
    for first in range(0, max(records, 1), each):
        number = min(each, records - first)
        yield Call("Query", reads=max(1, ceil(number * limits.record_bytes / READ_BYTES)), records=number)


def _register_calls(_: Any, nodes: Iterable[Node], *, owned: bool = True) -> Iterator[Call]:
    fresh = list(nodes)
    for first in range(0, len(fresh), REGISTERED_TOGETHER):
        some = fresh[first : first + REGISTERED_TOGETHER]
        yield Call("TransactWriteItems", writes=2 * sum(_units(None, node.due) for node in some))
    del owned  # an owner's unit is another partition's


def _replace_calls(pairs: Pairs) -> Iterator[Call]:
    if len(pairs) == 1:
        yield Call("PutItem", writes=_units(pairs[0][0].due, pairs[0][1].due))
        return
    for first in range(0, len(pairs), BATCH_ITEMS):
        some = pairs[first : first + BATCH_ITEMS]
        units = 2 * sum(_units(before.due, after.due) for before, after in some)
        yield Call("TransactWriteItems", writes=units)


def _units(before: float | None, after: float | None) -> int:
    """Return the write units of a record below 1 KB: its own, and those of its entry in the index."""
    if before == after:
        return 1 if after is None else 2
    return 2 if before is None or after is None else 3


ONE_READ = (Call("GetItem", reads=1),)
LIST = (Call("Query", reads=1),)
PUT = (Call("PutItem", writes=1),)
UPDATE = (Call("UpdateItem", writes=1),)
DELETE = (Call("DeleteItem", writes=1),)
COSTS: dict[str, dict[str, Callable[..., Iterable[Call]]]] = {
    "clusters": {
        "read": lambda _port, _cluster, instance="": [Call("BatchGetItem", reads=3 if instance else 2)]
    },
    "managers": {
        "list_ids": lambda *_: ONE_READ,
        "record": lambda *_: PUT,
        "list_hosts": lambda port, cluster: [
            *ONE_READ,
            Call("BatchGetItem", reads=2 * len(port.ids.get(cluster, ()))),
        ],
        "get_breaker": lambda *_: ONE_READ,
        "record_breaker": lambda *_: PUT,
    },
    "settings": {"get": lambda *_: ONE_READ, "update": lambda *_: UPDATE},
    "incidents": {
        "list_all": lambda *_: LIST,
        "get": lambda *_: ONE_READ,
        "record": lambda *_: PUT,
        "mark_notified": lambda *_: UPDATE,
        "delete": lambda *_: DELETE,
    },
    "jobs": {"list_all": lambda *_: LIST, "replace": lambda *_: PUT},
    "lease": {
        "acquire": lambda *_: UPDATE,
        "request_recheck": lambda *_: UPDATE,
        "release": lambda *_: DELETE,
    },
    "discoveries": {
        "latest": lambda *_: [Call("GetItem")],
        "look_up": lambda *_: [Call("BatchGetItem")],
        "begin": lambda *_: [Call("PutItem")],
        "finish": lambda *_: [Call("PutItem")],
    },
}
