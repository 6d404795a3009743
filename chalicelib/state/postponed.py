"""An evacuation that waits for its turn: nothing has announced an end, and too many nodes are out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Postponed:
    """An evacuation asked for at ``since``; from ``until`` on nobody needs it any more.

    ``due``: from when on the tick looks at it; until then its own handler may begin it. ``seconds``: what it
    may take once it has begun. ``reason``: what asked for it. ``drill``: that was a drill.
    """

    since: float
    due: float
    until: float
    seconds: float
    reason: str
    drill: bool = False
