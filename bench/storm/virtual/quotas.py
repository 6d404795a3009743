"""Quotas as token buckets, and which of them were used up first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Quota:
    """A rate in units a second, with a burst; notes when it refused first, and how often."""

    name: str
    rate: float
    burst: float
    at: float = 0.0
    level: float = field(init=False)
    first_refused: float | None = None
    refused: int = 0
    used: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Begin with a full bucket."""
        self.level = self.burst

    def take(self, now: float, units: float = 1.0) -> bool:
        """Use some units; False if there are not enough. More than the burst needs a full bucket."""
        if self.level_at(now) < min(units, self.burst):
            self.refuse(now)
            return False
        self.spend(units)
        return True

    def level_at(self, now: float) -> float:
        """Return the units that are left."""
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        return self.level

    def spend(self, units: float) -> None:
        """Use units, of the next seconds too if there are not enough."""
        self.level -= units
        self.used[int(self.at)] += round(units)

    def refuse(self, now: float) -> None:
        """Note that something had to wait for this quota."""
        self.refused += 1
        if self.first_refused is None:
            self.first_refused = now


def find_first_bound(quotas: Iterable[Quota], began: float) -> str:
    """Name the quota that refused something first, and when; all others that did, with how often."""
    bound = [(one.first_refused, one) for one in quotas if one.first_refused is not None]
    bound.sort(key=lambda pair: pair[0])
    told = [f"{one.name} (after {at - began:.1f} s, {one.refused:,} times)" for at, one in bound]
    return "; then ".join(told) or "none"
