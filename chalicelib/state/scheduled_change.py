"""What AWS Health says about one scheduled change to an instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.state.settings import Timeouts


@dataclass(frozen=True, slots=True, order=True)
class ScheduledChange:
    """The notice ``published`` about the change ``arn``, from ``start`` to ``end`` (0: not known).

    ``closed``: it is over, or will not happen. Of two notices about one change the greater one holds, in
    whichever order they arrive. Times are seconds since the epoch.
    """

    published: float
    closed: bool = False
    start: float = 0.0
    end: float = 0.0
    code: str = ""
    arn: str = ""

    def empty_from(self, timeouts: Timeouts) -> float:
        """Return the time from which the node has to be empty."""
        return self.start - timeouts.scheduled_change_s

    def empty_until(self, timeouts: Timeouts) -> float:
        """Return the time at which the node is given back."""
        return (self.end or self.start) + timeouts.scheduled_change_s
