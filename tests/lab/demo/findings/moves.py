"""Which task was replaced by which, where, and how soon. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tests.lab.demo.observation import Observation
from tests.lab.observe.watch import Listing
from tests.lab.swarm.engine import Task


@dataclass(frozen=True)
class Move:
    """One task replaced by another: ``seconds`` from the event until that ran.

    ``gap`` is how long neither ran, 0 where the new one ran first; ``doomed`` is so for the doomed node's.
    """

    service: str
    slot: int
    origin: str
    target: str
    way: str
    seconds: float
    gap: float
    doomed: bool


@dataclass(frozen=True)
class _Ran:
    """A task as it was when it was first seen to run."""

    task: Task
    since: float

    def of(self, old: Task) -> bool:
        """Whether it stands in the place of another."""
        return (self.task.service, self.task.slot) == (old.service, old.slot)


def moves(seen: Observation) -> tuple[Move, ...]:
    """Every task that ran at the event and was replaced, with the first task that ran in its place."""
    ids = {task.id for task in new_tasks(seen)}
    ran = [one for one in _first_running(seen).values() if one.task.id in ids]
    names = {node.id: node.name for listing in seen.listings for node in listing.nodes}
    places = [(old, [one for one in ran if one.of(old)]) for old in seen.before.tasks if old.running]
    found = [_move(seen, old, min(mine, key=lambda one: one.since), names) for old, mine in places if mine]
    return tuple(sorted(found, key=lambda move: (move.seconds, move.service, move.slot)))


def new_tasks(seen: Observation) -> tuple[Task, ...]:
    """List the tasks of replicated services that came after the event, whether they ever ran or not.

    Those that came once a replacement was in service are the rebalance's (``balance.py``).
    """
    return unknown_tasks(seen.before.tasks, seen.vacant, seen.replicated)


def unknown_tasks(
    known: Iterable[Task], listings: Iterable[Listing], services: Collection[str]
) -> tuple[Task, ...]:
    """List the tasks of these services that are in the listings and were not known."""
    ids = {task.id for task in known}
    found: dict[str, Task] = {}
    for listing in listings:
        for task in listing.tasks:
            if task.id not in ids and task.service in services:
                found.setdefault(task.id, task)
    return tuple(found.values())


def _move(seen: Observation, old: Task, ran: _Ran, names: Mapping[str, str]) -> Move:
    gap = max(0.0, ran.since - _end(seen, old))
    return Move(
        service=old.service,
        slot=old.slot,
        origin=names.get(old.node, ""),
        target=names.get(ran.task.node, ""),
        way=_way(seen, old.service, gap),
        seconds=round(ran.since - seen.moments.event, 2),
        gap=round(gap, 2),
        doomed=old.node == seen.doomed.node,
    )


def _first_running(seen: Observation) -> dict[str, _Ran]:
    """Every task that ran after the event, by id."""
    found: dict[str, _Ran] = {}
    for listing in seen.since:
        for task in listing.tasks:
            if task.running:
                found.setdefault(task.id, _Ran(task, listing.time))
    return found


def _end(seen: Observation, task: Task) -> float:
    """When a task was first seen not to run any more; a power cut ends it whatever managers still believe."""
    ended = [one.time for one in seen.since if not any(t.id == task.id and t.running for t in one.tasks)]
    cut = seen.moments.cut if task.node == seen.doomed.node else 0.0
    return min([*ended[:1], *([cut] if cut else []), seen.moments.ended])


def _way(seen: Observation, service: str, gap: float) -> str:
    if seen.ways and service in seen.ways:
        return seen.ways[service]
    return "stopped first" if gap else "replacement first"
