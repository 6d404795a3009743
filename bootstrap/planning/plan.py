"""Where the tasks of services shall stand: as even as the rules allow, with the fewest moves; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.errors import AgentError
from bootstrap.placement.capacity import SwarmCapacity
from bootstrap.planning import reasons
from bootstrap.planning.candidates import CandidateFinder, Candidates
from bootstrap.planning.moves import apply_moves, count_moves, fullest_count, move_gains
from bootstrap.planning.swarmkit import plan_waves
from bootstrap.specs.exclusion import has_exclusion
from bootstrap.specs.lifetime import why_ended
from bootstrap.specs.own_update import why_busy

OPT_IN_LABEL = "rebalance.on.node.create"  # service label set by users: "true"


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
    needed: int = 0  # moves to the most even distribution that the rules allow

    @cached_property
    def moves(self) -> int:
        """How many tasks start anew; of a surge, also where at worst fewer change their node."""
        return max(count_moves(self.before, self.after), sum(self.waves))


def choose_services(snapshot: Snapshot, names: Collection[str] = ()) -> tuple[Service, ...]:
    """Choose the services that are named (name or id) or, without names, that opted in by label; by name.

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
    """Say why the service must not be rebalanced now; "" if it may be."""
    if not service.is_replicated:
        return "it is global: it has a task on every node" if service.is_global else "it is a job"
    if has_exclusion(service):
        return "it is being evacuated"
    return (
        why_busy(service)
        or why_ended(service, snapshot.tasks_of(service))
        or _why_unsettled(service, snapshot)
    )


def _why_unsettled(service: Service, snapshot: Snapshot) -> str:
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
    """Plan each service; those that move come first, of these the one with the fullest node.

    ``most`` (0: any number) bounds all moves together. Services in ``rolling`` (ids) may be moved in any
    way, but whole, the others only as a surge can, if in part. Where a plan is free, tasks go to the nodes
    with the least load, which each service changes for the next.
    """
    planner = Planner(snapshot, services, rolling)
    found = planner.plan_all(keep_capacity=most > 0)
    if not most or sum(plan.moves for plan in found) <= most:
        return found
    return planner.plan_shares({plan.service.id: plan for plan in found}, grant_moves(found, most, rolling))


def surge_outcome(plan: ServicePlan, snapshot: Snapshot) -> Mapping[str, int]:
    """Simulate the distribution that a surge by the plan's waves ends in; equal nodes may change places."""
    candidates = CandidateFinder(snapshot).find(plan.service, SwarmCapacity(snapshot))
    return candidates.simulate_surge(plan.waves, aside=plan.aside)


class Planner:
    """Plans services one after the other, over what was found once about the snapshot."""

    def __init__(self, snapshot: Snapshot, services: Collection[Service], rolling: Collection[str]) -> None:
        self.snapshot, self.rolling = snapshot, rolling
        self.capacity = SwarmCapacity(snapshot)
        self.finder = CandidateFinder(snapshot)
        counts = self.capacity.counts
        self.services = sorted(services, key=lambda one: (-fullest_count(counts.get(one.id, {})), one.name))

    def plan_all(self, *, keep_capacity: bool) -> tuple[ServicePlan, ...]:
        """Plan each service with as many moves as it needs; keep the capacity where it is planned again."""
        capacity = self.capacity.copy() if keep_capacity else self.capacity
        return _movers_first(self._plan(service, capacity, None) for service in self.services)

    def plan_shares(
        self, full: Mapping[str, ServicePlan], shares: Mapping[str, int]
    ) -> tuple[ServicePlan, ...]:
        """Plan each service with so many moves, given its full plan.

        What gets no move and takes nothing that others could have taken is not planned twice: neither its
        need nor the rules in its way depend on how others move.
        """
        found = []
        for service in self.services:
            share, plan = shares[service.id], full[service.id]
            if share or self.capacity.demand(service.id).is_shared:
                plan = self._plan(service, self.capacity, share)
            elif plan.needed:
                plan = _limited(service, plan.before, plan.needed)
            found.append(plan)
        return _movers_first(found)

    def _plan(self, service: Service, capacity: SwarmCapacity, share: int | None) -> ServicePlan:
        if why := why_left_alone(service, self.snapshot):
            there = dict(capacity.counts.get(service.id, {}))
            return ServicePlan(service, there, there, why)
        candidates = self.finder.find(service, capacity)
        plan = _plan_service(candidates, share, surges=service.id not in self.rolling)
        capacity.apply_plan(service.id, plan.after)
        return plan


def grant_moves(found: Sequence[ServicePlan], most: int, rolling: Collection[str]) -> dict[str, int]:
    """Grant each service a number of moves, so that those that help most are made.

    A forced update makes all of its service's moves or none: what is too little for it is left to others.
    """
    granted: Counter[str] = Counter()
    left, needs = most, [plan.moves for plan in found]
    rows = (
        (-gain, at)
        for at, plan in enumerate(found)
        for gain in move_gains(plan.before, plan.after, needs[at])
    )
    for _, at in sorted(rows):
        service, need = found[at].service.id, needs[at]
        size = need if service in rolling else 1
        if granted[service] < need and size <= left:
            granted[service] += size
            left -= size
    return {plan.service.id: granted[plan.service.id] for plan in found}


def _movers_first(found: Iterable[ServicePlan]) -> tuple[ServicePlan, ...]:
    return tuple(sorted(found, key=lambda plan: not plan.moves))


def _plan_service(candidates: Candidates, share: int | None, *, surges: bool) -> ServicePlan:
    """Plan one service; ``share`` is how many moves it may make, None for any number."""
    service, before, best = candidates.service, candidates.before, candidates.most_even()
    needed = count_moves(before, best)
    if not needed:
        return ServicePlan(service, before, before, reasons.for_balanced(candidates))
    if share is not None and share < (1 if surges else needed):
        return _limited(service, before, needed)
    if surges and candidates.group.groups:
        return _plan_over_groups(candidates, best, share)
    share = needed if share is None else share
    after = apply_moves(before, best, share)
    why, missing = reasons.for_moved(candidates, after, min(needed, share), needed), max(0, needed - share)
    waves = plan_waves(before, after) if surges else ()
    return ServicePlan(service, before, after, why, waves, missing, needed=needed)


def _limited(service: Service, before: Mapping[str, int], needed: int) -> ServicePlan:
    why = reasons.for_limited(needed)
    return ServicePlan(service, before, before, why, missing=needed, needed=needed)


def _plan_over_groups(candidates: Candidates, best: Mapping[str, int], share: int | None) -> ServicePlan:
    """Plan what a surge, which levels the nodes, can do for a service with placement preferences."""
    service, before, needed = candidates.service, candidates.before, count_moves(candidates.before, best)
    level = candidates.most_even_on_nodes()
    need = count_moves(before, level)
    if not need or not candidates.helps_groups(level):
        why = reasons.for_unreachable(candidates, needed)
        return ServicePlan(service, before, before, why, missing=needed, needed=needed)
    target = apply_moves(before, level, need if share is None else share)
    waves, aside, after = candidates.plan_surge(target)
    tasks = sum(waves)
    why = reasons.for_surged(candidates, after, best, tasks, need)
    return ServicePlan(service, before, after, why, waves, max(0, needed - tasks), aside, needed)
