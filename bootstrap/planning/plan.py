"""Where the tasks of services shall stand: as even as the rules allow, with the fewest moves; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.errors import AgentError
from bootstrap.placement.capacity import SwarmCapacity
from bootstrap.planning import reasons
from bootstrap.planning.candidates import CandidateFinder, Candidates
from bootstrap.planning.moves import apply_moves, count_moves, fullest_count, move_gains
from bootstrap.planning.swarmkit import plan_waves

OPT_IN_LABEL = "rebalance.on.node.create"  # service label set by users: "true"

BUSY = {  # UpdateStatus.State of an update that must not be disturbed, and why
    "updating": "is still under way",
    "rollback_started": "is being rolled back",
    "paused": "is paused; any other update would resume it",
    "rollback_paused": "was being rolled back and is paused; any other update would resume it",
}


@dataclass(frozen=True)
class ServicePlan:
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
        return max(count_moves(self.before, self.after), sum(self.waves))


def choose_services(snapshot: Snapshot, names: Collection[str] = ()) -> tuple[Service, ...]:
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
        service.id
        for service in snapshot.services
        if not names and service.labels.get(OPT_IN_LABEL) == "true"
    }
    services = (service for service in snapshot.services if service.id in wanted)
    return tuple(sorted(services, key=lambda service: service.name))


def why_left_alone(service: Service, snapshot: Snapshot) -> str:
    """Why the service must not be rebalanced now; "" if it may be."""
    if not service.is_replicated:
        return "it is global: it has a task on every node" if service.is_global else "it is a job"
    if service.before is not None:
        return "it is being evacuated"
    if why := BUSY.get(service.update):
        return f"its own update {why}"
    return _unsettled(service, snapshot)


def _unsettled(service: Service, snapshot: Snapshot) -> str:
    wanted = [task for task in snapshot.tasks_of(service) if task.is_wanted]
    nodes = snapshot.node_by_id
    for task in wanted:
        if task.node in nodes and nodes[task.node].is_evacuating:
            return f"an evacuation has yet to take its tasks off {nodes[task.node].hostname}"
    running = sum(task.is_running for task in wanted)
    if running < service.replicas or len(wanted) != service.replicas:
        return f"{running} of {service.replicas} tasks run: Swarm is at work on it, or cannot place them"
    return ""


def plan_services(
    snapshot: Snapshot, services: Collection[Service], most: int = 0, rolling: Collection[str] = ()
) -> tuple[ServicePlan, ...]:
    """One spread for each service, those that move first, of these the one with the fullest node.

    ``most`` (0: any number) bounds all moves together. Services in ``rolling`` (ids) may be spread in any
    way, but whole, the others only as a surge can, if in part. Where a plan is free, tasks go to the nodes
    with the least load, which each service changes for the next.
    """
    found = _planned(snapshot, services, {}, rolling)
    if not most or sum(plan.moves for plan in found) <= most:
        return found
    return _planned(snapshot, services, _shares(found, most, rolling), rolling)


def surge_outcome(plan: ServicePlan, snapshot: Snapshot) -> Mapping[str, int]:
    """The distribution that a surge by the spread's waves ends in at least; equal nodes may change places."""
    return (
        CandidateFinder(snapshot, SwarmCapacity(snapshot))
        .of(plan.service)
        .surged(plan.waves, aside=plan.aside)
    )


def _planned(
    snapshot: Snapshot, services: Collection[Service], shares: Mapping[str, int], rolling: Collection[str]
) -> tuple[ServicePlan, ...]:
    capacity = SwarmCapacity(snapshot)
    finder = CandidateFinder(snapshot, capacity)
    found = []
    for service in sorted(
        services, key=lambda one: (-fullest_count(capacity.counts.get(one.id, {})), one.name)
    ):
        if why := why_left_alone(service, snapshot):
            there = dict(capacity.counts.get(service.id, {}))
            found.append(ServicePlan(service, there, there, why))
            continue
        candidates = finder.of(service)
        plan = _spread(candidates, shares.get(service.id), surges=service.id not in rolling)
        capacity.settle(service.id, plan.after)
        found.append(plan)
    return tuple(sorted(found, key=lambda plan: not plan.moves))


def _shares(found: Sequence[ServicePlan], most: int, rolling: Collection[str]) -> dict[str, int]:
    """How many moves each service may make, so that those that help most are made.

    A forced update makes all of its service's moves or none: what is too little for it is left to others.
    """
    granted: Counter[str] = Counter()
    rows = (
        (-gain, at)
        for at, plan in enumerate(found)
        for gain in move_gains(plan.before, plan.after, plan.moves)
    )
    for _, at in sorted(rows):
        service, need = found[at].service.id, found[at].moves
        size = need if service in rolling else 1
        if granted[service] < need and granted.total() + size <= most:
            granted[service] += size
    return {plan.service.id: granted[plan.service.id] for plan in found}


def _spread(candidates: Candidates, share: int | None, *, surges: bool) -> ServicePlan:
    """``share`` is how many moves the service may make, None for any number."""
    service, before, best = candidates.service, candidates.before, candidates.best()
    least = count_moves(before, best)
    if not least:
        return ServicePlan(service, before, before, reasons.for_balanced(candidates))
    if share is not None and share < (1 if surges else least):
        return ServicePlan(service, before, before, reasons.for_limited(least), missing=least)
    if surges and candidates.group.groups:
        return _over_groups(candidates, best, share)
    share = least if share is None else share
    after = apply_moves(before, best, share)
    why, over = reasons.for_moved(candidates, after, min(least, share), least), max(0, least - share)
    return ServicePlan(service, before, after, why, plan_waves(before, after) if surges else (), over)


def _over_groups(candidates: Candidates, best: Mapping[str, int], share: int | None) -> ServicePlan:
    """Of a service with placement preferences: what a surge, which levels the nodes, can do of it."""
    service, before, least = candidates.service, candidates.before, count_moves(candidates.before, best)
    level = candidates.level()
    need = count_moves(before, level)
    if not need or not candidates.gains(level):
        return ServicePlan(service, before, before, reasons.for_unreachable(candidates, least), missing=least)
    steps, aside, after = candidates.surge(apply_moves(before, level, need if share is None else share))
    tasks = sum(steps)
    why = reasons.for_surged(candidates, after, best, tasks, need)
    return ServicePlan(service, before, after, why, steps, max(0, least - tasks), aside)
