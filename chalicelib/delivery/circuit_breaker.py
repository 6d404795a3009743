"""When a failing manager is left alone, and for how long; pure."""

from __future__ import annotations

from chalicelib.state.cluster import Breaker

TOLERATED = 1  # failures in a row that leave the breaker closed
FIRST_BACK_OFF_S = 30.0  # seconds; doubled with each further failure
LONGEST_BACK_OFF_S = 300.0


def after_failure(breaker: Breaker, now: float) -> Breaker:
    """One more failure in a row: from the second on the breaker opens, each time for longer."""
    failures = breaker.failures + 1
    if failures <= TOLERATED:
        return Breaker(failures, good=breaker.good)
    # The exponent is capped as the pause is, so that a long row of failures does not overflow.
    pause = min(FIRST_BACK_OFF_S * 2.0 ** min(failures - TOLERATED - 1, 10), LONGEST_BACK_OFF_S)
    return Breaker(failures, now + pause, breaker.good)


def after_success(now: float) -> Breaker:
    """The host did well: the breaker is closed."""
    return Breaker(good=now)
