"""Where our time goes: from the event over handler, command and agent to safety. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.lab.observe.handlers import Run
from tests.lab.observe.journal import Call, CommandChange, Entry

WARNED = "on_spot_interruption_warning"
SEND = "ssm:SendCommand"


@dataclass(frozen=True)
class Split:
    """Seconds from the event to each step; None for what was not seen."""

    handler: float | None  # invoked
    awake: float | None  # its process has started and makes its first AWS call
    sent: float | None
    agent: float | None
    safe: float | None
    answered: float | None


@dataclass(frozen=True)
class Handler:
    """One deployed function: its runs, median cold and warm time (s), peak memory of its process (MiB).

    The times are those of the REPORT lines, in which a cold run includes the start of the process. There is
    no memory in these lines here: it is the most that the kernel counts for the process at an AWS call.
    """

    function: str
    runs: int
    cold: float | None
    warm: float | None
    memory: float


def split(runs: Sequence[Run], journal: Sequence[Entry], event: float, safe: float | None) -> Split | None:
    """Follow the event of that time through its steps; None where no handler took part."""
    warned = [run for run in runs if run.function.endswith(WARNED) and run.ended >= event]
    if not warned:
        return None
    since = [entry for entry in journal if entry.time >= event]
    calls = [entry for entry in since if isinstance(entry, Call) and entry.who.endswith(WARNED)]
    sent = [call.time for call in calls if call.action == SEND and call.status == 200]
    changes = [entry for entry in since if isinstance(entry, CommandChange)]
    mine = [entry for entry in changes if entry.comment.startswith("evacuate ")]
    agent = [entry.time for entry in mine if entry.status == "InProgress"]
    ended = [entry.time for entry in mine if entry.status == "Success"]
    steps = ([warned[0].began], [call.time for call in calls], sent, agent, ended)
    handler, awake, sending, start, answered = (_first(times, event) for times in steps)
    return Split(handler, awake, sending, start, safe, answered)


def _first(times: list[float], event: float) -> float | None:
    return round(min(times) - event, 2) if times else None


def handlers(runs: Sequence[Run], journal: Sequence[Entry]) -> tuple[Handler, ...]:
    """Sum up times and memory of every function that ran."""
    calls = [entry for entry in journal if isinstance(entry, Call)]
    names = sorted({run.function for run in runs})
    return tuple(
        _handler(name, [r for r in runs if r.function == name], [c for c in calls if c.who == name])
        for name in names
    )


def _handler(function: str, runs: list[Run], calls: list[Call]) -> Handler:
    cold = _cold(runs, calls)
    return Handler(
        function=function.split("-", 2)[-1],
        runs=len(runs),
        cold=_median(cold),
        warm=_median([run for run in runs if run not in cold]),
        memory=round(max((call.memory for call in calls), default=0) / 1024, 1),
    )


def _cold(runs: list[Run], calls: list[Call]) -> list[Run]:
    """Find the first run of each process, which is told by the first call that the process made.

    Of several runs at that moment it is the one that had been at it for longest without a call.
    """
    firsts: dict[int, float] = {}
    for call in sorted((call for call in calls if call.worker), key=lambda call: call.time):
        firsts.setdefault(call.worker, call.time)
    found: list[Run] = []
    for first in firsts.values():
        under_way = [run for run in runs if run.began <= first <= run.ended and run not in found]
        found += sorted(under_way, key=lambda run: run.began)[:1]
    return found


def _median(runs: list[Run]) -> float | None:
    return round(median(run.ended - run.began for run in runs), 3) if runs else None
