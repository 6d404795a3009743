"""Lambda in virtual time: environments that start cold, a limit of executions, a queue that tries again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.storm.virtual.limits import Limits
from bench.storm.virtual.quotas import Quota
from bench.storm.virtual.timeline import Timeline
from chalicelib.events import SpotInterruptionWarning

RETRIES_S = (60.0, 120.0)  # before a handler that failed is run again
LONGEST_PAUSE_S = 300.0
SHARED, RESERVED = "Lambda executions at once", "reserved executions of the warnings' handler"
GUARDS = "reserved executions of the guards"


class Guard:
    """The second handler of a warning, as a kind beside those of events."""


@dataclass
class Functions:
    """Runs handlers: each event in an environment of its function, warm if one is free."""

    clock: Timeline
    limits: Limits
    run: Callable[[Any, Any], object]
    running: Counter[str] = field(default_factory=Counter)
    most: int = 0
    cold: int = 0
    slowest: dict[Any, float] = field(default_factory=lambda: defaultdict(float))
    failed: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    idle: Counter[Any] = field(default_factory=Counter)
    quotas: dict[Any, Quota] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep the executions that are reserved; all others share the rest."""
        limits = self.limits
        own = {SpotInterruptionWarning: (RESERVED, limits.reserved), Guard: (GUARDS, limits.guards)}
        self.pools = {kind: pool for kind, (pool, room) in own.items() if room}
        self.rooms = {pool: room for pool, room in own.values() if room}
        self.rooms[SHARED] = limits.concurrency - sum(self.rooms.values())

    def invoke(self, kind: Any, payload: Any) -> None:
        """Have EventBridge deliver an event."""
        self.waiting += 1
        self._start_at(self.clock.now() + self.limits.event_s, kind, payload, 0, 0)

    def _start_at(self, time: float, kind: Any, payload: Any, attempt: int, throttles: int) -> None:
        self.clock.call_at(time, lambda: self._start(kind, payload, attempt, throttles))

    def _start(self, kind: Any, payload: Any, attempt: int, throttles: int) -> None:
        now = self.clock.now()
        is_cold = not self.idle[kind]
        pool = self._pool(kind)
        if self.running[pool] >= self.rooms[pool]:
            self._quota(pool).refuse(now)
        elif not is_cold or self._quota(kind).take(now):
            self.running[pool] += 1
            self.most = max(self.most, self.running.total())
            self.idle[kind] -= not is_cold
            self.cold += is_cold
            self.clock.start_at(now, lambda: self._execute(kind, payload, attempt, is_cold=is_cold))
            return
        pause_s = min(self.limits.throttled_s * 2**throttles, LONGEST_PAUSE_S)
        self._start_at(now + pause_s, kind, payload, attempt, throttles + 1)

    def _execute(self, kind: Any, payload: Any, attempt: int, *, is_cold: bool) -> None:
        began = self.clock.now()
        self.clock.sleep(self.limits.handler_s + (self.limits.cold_start_s if is_cold else 0.0))
        try:
            self.run(kind, payload)
        except Exception as error:  # noqa: BLE001 - whatever it is, Lambda tries again
            self.failed[type(error).__name__] += 1
            if attempt < len(RETRIES_S):
                self.waiting += 1
                self._start_at(self.clock.now() + RETRIES_S[attempt], kind, payload, attempt + 1, 0)
        self.waiting -= 1
        self.running[self._pool(kind)] -= 1
        self.idle[kind] += 1
        self.slowest[kind] = max(self.slowest[kind], self.clock.now() - began)

    def _pool(self, kind: Any) -> str:
        return self.pools.get(kind, SHARED)

    def _quota(self, kind: Any) -> Quota:
        if kind not in self.quotas:
            name = kind if isinstance(kind, str) else "Lambda environments of a function"
            limits, now = self.limits, self.clock.now()
            self.quotas[kind] = Quota(name, limits.environments, limits.environments_burst, now)
        return self.quotas[kind]
