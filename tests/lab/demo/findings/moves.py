"""Which task was replaced by which, where, and how soon. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tests.lab.demo.observation import Observation
from tests.lab.observe.watch import Listing
from tests.lab.swarm.engine import Task

TRIED = frozenset({"running", "complete", "failed", "rejected"})  # states of a task that was started


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


def moves(seen: Observation) -> tuple[Move, ...]:
    """Every task that ran at the event and has left, with the first task that ran in its place.

    That is the one of its slot or, where a service was scaled up and down, any other new one.
    """
    ids = {task.id for task in new_tasks(seen)}
    ran = sorted(
        (one for one in _first_running(seen).values() if one.task.id in ids), key=lambda one: one.since
    )
    names = {node.id: node.name for listing in seen.listings for node in listing.nodes}
    gone = [old for old in seen.before.tasks if old.running and _has_left(seen, old)]
    pairs = [*_paired(gone, ran, by_slot=True)]
    pairs += _paired([old for old in gone if old not in dict(pairs)], ran, by_slot=False)
    found = [_move(seen, old, new, names) for old, new in pairs]
    return tuple(sorted(found, key=lambda move: (move.seconds, move.service, move.slot)))


def _paired(gone: list[Task], ran: list[_Ran], *, by_slot: bool) -> Iterator[tuple[Task, _Ran]]:
    """Pair tasks that left with new ones, which are taken from the list."""
    for old in gone:
        fits = (one for one in ran if one.task.service == old.service)
        if new := next((one for one in fits if not by_slot or one.task.slot == old.slot), None):
            ran.remove(new)
            yield old, new


def _has_left(seen: Observation, task: Task) -> bool:
    """Tell whether it was no longer meant to run before the replacement of the host was in service."""
    is_there = (
        any(one.id == task.id and one.running for one in seen.vacant[-1].tasks) if seen.vacant else True
    )
    return not is_there or task.node == seen.doomed.node


def new_tasks(seen: Observation) -> tuple[Task, ...]:
    """List the tasks of replicated services that came after the event and ran, or failed to.

    One that was called off before it ran has cost nothing. Those that came once a replacement was in service
    are the rebalance's (``balance.py``).
    """
    tried = {task.id for listing in seen.vacant for task in listing.tasks if task.state in TRIED}
    found = unknown_tasks(seen.before.tasks, seen.vacant, seen.replicated)
    return tuple(task for task in found if task.id in tried)


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
