"""From what was seen to what it means: requests, dips, moves, and how soon everything was safe. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from tests.lab.demo.encore import Encore
from tests.lab.demo.findings.balance import Balance, balances
from tests.lab.demo.findings.moves import Move, moves, new_tasks
from tests.lab.demo.findings.time_split import Handler, Split, handlers, split
from tests.lab.demo.observation import Doomed, Method, Moments, Observation, Replacement
from tests.lab.observe import watch
from tests.lab.observe.watch import Listing

SINGLE = "single"
OVER = frozenset({"shutdown", "remove", "complete", "orphaned"})  # desired states of tasks that are to end


@dataclass(frozen=True)
class Requests:
    """What clients of one service saw; ``slowest`` is the longest wait for a good answer, in seconds."""

    service: str
    sent: int
    failed: int
    slowest: float
    errors: dict[str, int]


@dataclass(frozen=True)
class Facts:
    """What one disturbance did. ``safe`` is in seconds from the event, None where that never came.

    ``stood`` counts the replicated tasks that ran on the doomed node, ``replaced`` the new ones since then,
    up to the replacement of the host.
    ``blind`` is the longest time without a fresh look at the swarm. ``engine`` is the engines' version.
    """

    method: Method
    notice: float
    doomed: Doomed
    moments: Moments
    requests: tuple[Requests, ...]
    services: tuple[watch.Verdict, ...]
    outage: float
    safe: float | None
    stood: int
    replaced: int
    moves: tuple[Move, ...]
    changed: tuple[str, ...]
    record: str
    strays: tuple[str, ...]
    looks: int
    blind: float
    split: Split | None
    handlers: tuple[Handler, ...]
    fleet: bool = False
    replacement: Replacement | None = None
    balances: tuple[Balance, ...] = ()
    engine: str = ""
    encore: Encore | None = None

    @property
    def sent(self) -> int:
        """Requests sent to all services."""
        return sum(row.sent for row in self.requests)

    @property
    def failed(self) -> int:
        """Requests failed of all services."""
        return sum(row.failed for row in self.requests)

    @property
    def dip(self) -> int:
        """The deepest that any replicated service fell below its wanted number."""
        return max((row.dip for row in self.services), default=0)


def facts(seen: Observation) -> Facts:
    """Everything that can be said about it."""
    safe = safe_after(seen)
    services = tuple(_service(seen, name) for name in sorted(seen.replicated))
    single = [row.seconds_without for row in services if row.service == SINGLE]
    return Facts(
        method=seen.method,
        notice=seen.notice,
        doomed=seen.doomed,
        moments=seen.moments,
        requests=requests(seen),
        services=services,
        outage=single[0] if single else 0.0,
        safe=safe,
        stood=len(seen.standing()),
        replaced=len(new_tasks(seen)),
        moves=moves(seen),
        changed=changed(seen),
        record=seen.left.record,
        strays=seen.left.strays,
        looks=len(seen.samples),
        blind=round(max((one.time - one.listed for one in seen.samples), default=0.0), 2),
        split=split(seen.runs, seen.journal, seen.moments.event, safe),
        handlers=handlers(seen.runs, seen.journal),
        fleet=seen.fleet,
        replacement=seen.replacement,
        balances=balances(seen),
        engine=seen.engine,
    )


def requests(seen: Observation) -> tuple[Requests, ...]:
    """Count what became of the requests, by service."""
    rows = []
    for name in sorted({answer.service for answer in seen.answers}):
        mine = [answer for answer in seen.answers if answer.service == name]
        good = [answer.seconds for answer in mine if answer.ok]
        errors = Counter(answer.error for answer in mine if not answer.ok)
        rows.append(
            Requests(name, len(mine), len(mine) - len(good), round(max(good, default=0.0), 3), dict(errors))
        )
    return tuple(rows)


def safe_after(seen: Observation) -> float | None:
    """Seconds from the event until all was safe and stayed so; None where it was not at the end.

    Safe: no task of a replicated service is wanted on the doomed node any more, and each of these services
    has its number running elsewhere.
    """
    looks = [(one.time, is_safe(one, seen.doomed.node)) for one in seen.vacant]
    last_bad = max((index for index, (_, safe) in enumerate(looks) if not safe), default=-1)
    if last_bad + 1 >= len(looks):
        return None
    return round(looks[last_bad + 1][0] - seen.moments.event, 2)


def is_safe(listing: Listing, doomed: str) -> bool:
    """Whether one look shows all to be safe without the doomed node."""
    replicated = {name: wanted for name, wanted in listing.wanted.items() if wanted is not None}
    mine = [task for task in listing.tasks if task.service in replicated]
    running = Counter(task.service for task in mine if task.running and task.node != doomed)
    stuck = any(task.node == doomed and task.desired not in OVER for task in mine)
    return not stuck and all(running[name] >= wanted for name, wanted in replicated.items())


def changed(seen: Observation) -> tuple[str, ...]:
    """Name the services whose spec is not byte for byte what it was, or is unknown."""
    before, after = seen.specs_before, seen.specs_after
    names = {*before, *after, *seen.replicated}
    return tuple(sorted(n for n in names if n not in before or before[n] != after.get(n)))


def _service(seen: Observation, name: str) -> watch.Verdict:
    started = sum(task.service == name for task in new_tasks(seen))
    return watch.verdict(name, list(seen.samples), started)


def course(seen: Observation, service: str) -> list[tuple[float, int, int]]:
    """Tasks that ran, wherever that changed: (seconds from the event, all, those on the doomed host)."""
    rows = [
        (
            round(one.time - seen.moments.event, 2),
            one.count(service),
            one.running.get(service, {}).get(seen.doomed.host, 0),
        )
        for one in seen.samples
    ]
    ends = rows[:1] + [after for before, after in pairwise(rows) if before[1:] != after[1:]] + rows[-1:]
    return list(dict.fromkeys(ends))
