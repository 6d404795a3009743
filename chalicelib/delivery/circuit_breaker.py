"""When a failing manager gets no commands, and for how long."""

from __future__ import annotations

from chalicelib.adapters.ports import World
from chalicelib.metrics import Measure, Metric
from chalicelib.observability import measure
from chalicelib.rules.retry import exponential_s
from chalicelib.state.cluster import Breaker

MAX_FAILURES = 1  # in a row that leave the breaker closed
FIRST_BACK_OFF_S = 30.0  # seconds; doubled with each further failure
LONGEST_BACK_OFF_S = 300.0


def after_failure(breaker: Breaker, now: float) -> Breaker:
    """Count one more failure in a row: from the second on the breaker opens, each time for longer."""
    failures = breaker.failures + 1
    if failures <= MAX_FAILURES:
        return Breaker(failures, good=breaker.good)
    back_off_s = exponential_s(FIRST_BACK_OFF_S, failures - MAX_FAILURES - 1, LONGEST_BACK_OFF_S)
    return Breaker(failures, now + back_off_s, breaker.good)


def after_success(now: float) -> Breaker:
    """Close the breaker: the host did well."""
    return Breaker(good=now)


def note_host(cluster: str, manager: str, world: World, *, healthy: bool) -> None:
    """Record in the manager's breaker how the host behaved."""
    now = world.clock.now()
    if healthy:
        after = after_success(now)
    else:
        after = after_failure(world.managers.get_breaker(cluster, manager), now)
    world.managers.record_breaker(cluster, manager, after, now)
    if after.open_until > now:
        measure(cluster, [Measure(Metric.BREAKERS_OPENED, instance=manager)])
