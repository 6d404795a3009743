"""Time, as a value that tests can replace."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clock:
    """``now`` in seconds since the epoch, and a ``sleep`` for so many seconds."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def go_on_from(sent: float) -> Clock:
    """Make a clock that goes on from the sender's time, counted since this process was started.

    So all hosts tell the sender's time, whatever their own clocks say; deadlines in labels and marks are in
    that. From this host's time where none was ``sent`` (0). It never jumps.
    """
    started = time.monotonic() - _process_age_s()
    begin = sent or time.time() - _process_age_s()
    return Clock(lambda: begin + time.monotonic() - started)


def _process_age_s() -> float:
    """Read how long ago this process was started: its shell may have fetched the agent first."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
