"""What AWS Health has told of one scheduled change to an instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.state.settings import Timeouts


@dataclass(frozen=True, slots=True, order=True)
class ScheduledChange:
    """The word of ``told`` on the change ``arn``, from ``start`` to ``end`` (0: not known).

    ``closed``: it is over, or will not be. Of two words on one change the greater holds, whichever comes
    first. Times are seconds since the epoch.
    """

    published: float
    closed: bool = False
    start: float = 0.0
    end: float = 0.0
    code: str = ""
    arn: str = ""

    def begin(self, timeouts: Timeouts) -> float:
        """From when the node is to be empty."""
        return self.start - timeouts.scheduled_change_s

    def until(self, timeouts: Timeouts) -> float:
        """When the node is given back."""
        return (self.end or self.start) + timeouts.scheduled_change_s
