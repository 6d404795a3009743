"""One task of a service, in the engine's terms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

ENDED = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})
WANTED = frozenset(
    {"new", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running", "complete"}
)  # "complete" is what Swarm wants of a job's tasks


@dataclass(frozen=True)
class Task:
    """One task, in the engine's terms."""

    id: str
    service: str
    node: str
    slot: int
    state: str
    desired: str
    created: str = ""  # RFC 3339, as the engine gives it; see ``moment``
    since: str = ""  # when it entered its state
    drivers: tuple[str, ...] = ()  # of the networks that it is attached to
    error: str = ""  # why it failed, was rejected or has no node yet, in Swarm's own words

    @property
    def is_wanted(self) -> bool:
        """Swarm wants it to run and it has not ended."""
        return self.desired in WANTED and self.state not in ENDED

    @property
    def is_running(self) -> bool:
        """It runs (healthy, where it has a health check) and Swarm wants it to."""
        return self.state == "running" and self.desired == "running"

    @property
    def is_present(self) -> bool:
        """Its container may still exist on the node."""
        return bool(self.node) and self.state not in ENDED


def moment(text: str) -> float:
    """Convert an RFC 3339 time in UTC to seconds since the epoch; 0 for none.

    None is also one before the year 1: a worker may tell its managers any time.
    """
    whole, _, part = text.rstrip("Z").partition(".")
    try:
        return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{part or 0}")
    except ValueError:
        return 0.0
