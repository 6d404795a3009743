"""What AWS Health says about one scheduled change to an instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.state.settings import Timeouts

# A window of maintenance is some hours; one of days or weeks would cost the node for as long.
LONGEST_WINDOW_S = 6 * 3600.0


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

    @property
    def is_long(self) -> bool:
        """Whether it may happen at any time in a window that no node is kept empty for."""
        return self.end - self.start > LONGEST_WINDOW_S

    def empty_until(self, timeouts: Timeouts) -> float:
        """Return the time at which the node is given back: within a long window, early."""
        end = min(self.end or self.start, self.start + LONGEST_WINDOW_S)
        return end + timeouts.scheduled_change_s
