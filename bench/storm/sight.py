"""What a storm on the lab did, from what was watched. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.lab.demo.findings.facts import is_safe
from tests.lab.observe.load import Answer
from tests.lab.observe.watch import Listing, Verdict, Watch


@dataclass(frozen=True)
class Command:
    """One Run Command on one host, and what its agent told on the way."""

    task: str
    host: str
    told: str

    def updates(self, service: str) -> int:
        """How many updates of a service it made, lost races not counted."""
        made = self.told.count(f"update service {service} (")
        return made - self.told.count(f"could not update service {service} (") * 2


@dataclass(frozen=True)
class Service:
    """One replicated service during the storm."""

    service: str
    wanted: int
    fewest: int
    dip: int
    started: int
    updates: int
    sent: int
    failed: int


@dataclass(frozen=True)
class Seen:
    """The storm. ``safe``: seconds until the last node was safe, None if one never was."""

    safe: float | None
    services: tuple[Service, ...]
    records: Mapping[str, str]
    changed: tuple[str, ...]
    commands: Mapping[str, int]
    evacuations: int

    @property
    def sent(self) -> int:
        """Requests to all services."""
        return sum(row.sent for row in self.services)

    @property
    def failed(self) -> int:
        """Those of them that failed."""
        return sum(row.failed for row in self.services)


def seen(  # noqa: PLR0913, PLR0917 - each is watched by somebody else
    began: float,
    nodes: Sequence[str],
    watch: Watch,
    answers: Sequence[Answer],
    records: Mapping[str, str],
    changed: tuple[str, ...],
    commands: Sequence[Command],
) -> Seen:
    """All of it, put together."""
    safe = [safe_after(watch.listings, node, began) for node in nodes]
    last = None if None in safe else max((one for one in safe if one is not None), default=None)
    services = tuple(service(verdict, answers, commands) for verdict in watch.verdicts())
    tasks = [one.task for one in commands]
    counted = {task: tasks.count(task) for task in sorted(set(tasks))}
    return Seen(last, services, records, changed, counted, counted.get("evacuate", 0))


def service(verdict: Verdict, answers: Sequence[Answer], commands: Sequence[Command]) -> Service:
    """Compute what became of one service."""
    mine = [one for one in answers if one.service == verdict.service]
    return Service(
        service=verdict.service,
        wanted=verdict.wanted,
        fewest=verdict.fewest,
        dip=verdict.dip,
        started=verdict.started,
        updates=sum(one.updates(verdict.service) for one in commands),
        sent=len(mine),
        failed=sum(not one.ok for one in mine),
    )


def safe_after(listings: Sequence[Listing], node: str, began: float) -> float | None:
    """Seconds until nothing that counts was left on a node to the end; None where something was."""
    since = [one for one in listings if one.time > began]
    bad = [one.time for one in since if not is_safe(one, node)]
    good = [one.time for one in since if one.time > max(bad, default=began)]
    return round(good[0] - began, 2) if good else None
