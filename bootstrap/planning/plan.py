"""Where the tasks of services shall stand: as even as the rules allow, with the fewest moves; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.errors import AgentError
from bootstrap.placement.capacity import Layout
from bootstrap.planning import reasons
from bootstrap.planning.candidates import Ground, Grounds
from bootstrap.planning.moves import fullest, gains, moves, partly
from bootstrap.planning.swarmkit import waves

OPT_IN = "rebalance.on.node.create"  # service label set by users: "true"

BUSY = {  # UpdateStatus.State of an update that must not be disturbed, and why
    "updating": "is still under way",
    "rollback_started": "is being rolled back",
    "paused": "is paused; any other update would resume it",
    "rollback_paused": "was being rolled back and is paused; any other update would resume it",
}


@dataclass(frozen=True)
class Spread:
    """How one service stands and shall stand: tasks by node id, nodes without any left out."""

    service: Service
    before: Mapping[str, int]
    after: Mapping[str, int]
    reason: str
    waves: tuple[int, ...] = ()  # a surge scales up by the first, when all are placed by the next, and so on
    missing: int = 0  # moves that would make it more even, but are not planned; the reason says why
    aside: bool = False  # the surge sets the service's placement preferences aside meanwhile

    @property
    def moves(self) -> int:
        """How many tasks start anew; of a surge, also where at worst fewer change their node."""
        return max(moves(self.before, self.after), sum(self.waves))


def chosen(snapshot: Snapshot, names: Collection[str] = ()) -> tuple[Service, ...]:
    """The services that are named (name or id) or, without names, that opted in by label; by name.

    AgentError names what no service is called.
    """
    by_name = {service.name: service for service in snapshot.services}
    found = {name: by_name.get(name) or snapshot.service_by_id.get(name) for name in names}
    if unknown := sorted(name for name, service in found.items() if not service):
        raise AgentError(
            f"no service is called {', '.join(unknown)}: nothing was changed; see docker service ls"
        )
    wanted = {service.id for service in found.values() if service} or {
        service.id for service in snapshot.services if not names and service.labels.get(OPT_IN) == "true"
    }
    services = (service for service in snapshot.services if service.id in wanted)
    return tuple(sorted(services, key=lambda service: service.name))


def untouched(service: Service, snapshot: Snapshot) -> str:
    """Why the service must not be rebalanced now; "" if it may be."""
    if not service.replicated:
        return "it is global: it has a task on every node" if service.is_global else "it is a job"
    if service.before is not None:
        return "it is being evacuated"
    if why := BUSY.get(service.update):
        return f"its own update {why}"
    return _unsettled(service, snapshot)


def _unsettled(service: Service, snapshot: Snapshot) -> str:
    wanted = [task for task in snapshot.tasks_of(service) if task.wanted]
    nodes = snapshot.node_by_id
    for task in wanted:
        if task.node in nodes and nodes[task.node].going:
            return f"an evacuation has yet to take its tasks off {nodes[task.node].hostname}"
    running = sum(task.running for task in wanted)
    if running < service.replicas or len(wanted) != service.replicas:
        return f"{running} of {service.replicas} tasks run: Swarm is at work on it, or cannot place them"
    return ""


def plan(
    snapshot: Snapshot, services: Collection[Service], most: int = 0, rolling: Collection[str] = ()
) -> tuple[Spread, ...]:
    """One spread for each service, those that move first, of these the one with the fullest node.

    ``most`` (0: any number) bounds all moves together. Services in ``rolling`` (ids) may be spread in any
    way, but whole, the others only as a surge can, if in part. Where a plan is free, tasks go to the nodes
    with the least load, which each service changes for the next.
    """
    found = _planned(snapshot, services, {}, rolling)
    if not most or sum(spread.moves for spread in found) <= most:
        return found
    return _planned(snapshot, services, _shares(found, most, rolling), rolling)


def reachable(spread: Spread, snapshot: Snapshot) -> Mapping[str, int]:
    """The distribution that a surge by the spread's waves ends in at least; equal nodes may change places."""
    return Grounds(snapshot, Layout(snapshot)).of(spread.service).surged(spread.waves, aside=spread.aside)


def _planned(
    snapshot: Snapshot, services: Collection[Service], shares: Mapping[str, int], rolling: Collection[str]
) -> tuple[Spread, ...]:
    layout = Layout(snapshot)
    grounds = Grounds(snapshot, layout)
    found = []
    for service in sorted(services, key=lambda one: (-fullest(layout.counts.get(one.id, {})), one.name)):
        if why := untouched(service, snapshot):
            there = dict(layout.counts.get(service.id, {}))
            found.append(Spread(service, there, there, why))
            continue
        ground = grounds.of(service)
        spread = _spread(ground, shares.get(service.id), surges=service.id not in rolling)
        layout.settle(service.id, spread.after)
        found.append(spread)
    return tuple(sorted(found, key=lambda spread: not spread.moves))


def _shares(found: Sequence[Spread], most: int, rolling: Collection[str]) -> dict[str, int]:
    """How many moves each service may make, so that those that help most are made.

    A forced update makes all of its service's moves or none: what is too little for it is left to others.
    """
    granted: Counter[str] = Counter()
    rows = (
        (-gain, at)
        for at, spread in enumerate(found)
        for gain in gains(spread.before, spread.after, spread.moves)
    )
    for _, at in sorted(rows):
        service, need = found[at].service.id, found[at].moves
        size = need if service in rolling else 1
        if granted[service] < need and granted.total() + size <= most:
            granted[service] += size
    return {spread.service.id: granted[spread.service.id] for spread in found}


def _spread(ground: Ground, share: int | None, *, surges: bool) -> Spread:
    """``share`` is how many moves the service may make, None for any number."""
    service, before, best = ground.service, ground.before, ground.best()
    least = moves(before, best)
    if not least:
        return Spread(service, before, before, reasons.balanced(ground))
    if share is not None and share < (1 if surges else least):
        return Spread(service, before, before, reasons.held(least), missing=least)
    if surges and ground.group.groups:
        return _over_groups(ground, best, share)
    share = least if share is None else share
    after = partly(before, best, share)
    why, over = reasons.moved(ground, after, min(least, share), least), max(0, least - share)
    return Spread(service, before, after, why, waves(before, after) if surges else (), over)


def _over_groups(ground: Ground, best: Mapping[str, int], share: int | None) -> Spread:
    """Of a service with placement preferences: what a surge, which levels the nodes, can do of it."""
    service, before, least = ground.service, ground.before, moves(ground.before, best)
    level = ground.level()
    need = moves(before, level)
    if not need or not ground.gains(level):
        return Spread(service, before, before, reasons.unreachable(ground, least), missing=least)
    steps, aside, after = ground.surge(partly(before, level, need if share is None else share))
    tasks = sum(steps)
    why = reasons.surged(ground, after, best, tasks, need)
    return Spread(service, before, after, why, steps, max(0, least - tasks), aside)
