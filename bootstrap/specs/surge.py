"""More tasks for a moment: a service scaled up by the moves, and down again once all run; pure.

What is under way is marked in the service's spec by the very update that raises its replicas, so that any
later run can end it. Swarm's own habits, which this lives by, were all measured with docker 20.10:
a change of replicas, labels or placement preferences touches no task and resets UpdateStatus. Why a surge may
need several waves, or has to set preferences aside meanwhile, says planning/swarmkit.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bootstrap.engine.service import SURGE_LABEL, Service, Spec
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import WANTED, Task, moment
from bootstrap.specs.exclusion import Pace, exclude_nodes, excluded_nodes
from bootstrap.specs.mark import read_mark, with_mark, without_mark

DEFAULT_MONITOR_S = (
    2.0  # seconds that a task must have run: one that ends at once shows as running for a moment
)
UPDATE_DEFAULTS = {"Parallelism": 1, "FailureAction": "pause"}  # Swarm's, of a service without UpdateConfig
MAX_STABLE_SLOTS = 12  # that Go sorts by insertion, so that equal ones keep their order
MAX_FAILURES_PER_TASK = 3  # failures for each task that was added: Swarm retries for ever
FAR_S = 1e11  # seconds since the epoch: later is no time


@dataclass(frozen=True)
class Surge:
    """The mark: replicas before and during it, what tasks it found, and until when others may take to run.

    Times are seconds since the epoch, ``begun`` by the leader's clock, as are the times at which tasks were
    created; ``until`` by the clock of whoever began it, which may be wrong here.
    """

    replicas: int
    raised: int
    begun: float  # when the newest task that it found was created
    until: float
    labels: bool  # the spec had labels, if empty ones: it must end as it was
    waves: tuple[int, ...] = ()  # by how many to raise it further, each time once all tasks have a node
    preferences: tuple[Mapping[str, Any], ...] = ()  # for its placement, set aside until it is lowered
    nodes: tuple[str, ...] = ()  # whose evacuation needs it (ids); () for a rebalance
    update: Sequence[Mapping[str, Any]] | None = (
        None  # the UpdateConfig that was replaced, [] for none at all
    )

    @property
    def moves(self) -> int:
        return self.raised - self.replicas


def surge_of(service: Service) -> Surge | None:
    """Read the surge under way; None for none, and for a label of that name that no surge wrote."""
    try:
        mark = Surge(**read_mark(service, SURGE_LABEL))
        # JSON knows lists only.
        mark = replace(
            mark,
            waves=tuple(mark.waves),
            preferences=tuple(map(dict, mark.preferences)),
            nodes=tuple(mark.nodes),
            update=None if mark.update is None else tuple(map(dict, mark.update)),
        )
    except (ValueError, TypeError):
        return None
    counts, times = (mark.replicas, mark.raised, *mark.waves), (mark.begun, mark.until)
    is_ours = all(type(count) is int and count >= 0 for count in counts) and all(map(_is_time, times))
    return mark if is_ours and all(isinstance(node, str) for node in mark.nodes) else None


def _is_time(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < FAR_S


def wanted_replicas(service: Service) -> int:
    """Tell how many replicas its owner wants: those from before the surge, unless he has scaled it since."""
    surge = surge_of(service)
    return surge.replicas if surge and not is_rescaled(service, surge) else service.replicas


def is_rescaled(service: Service, surge: Surge) -> bool:
    """Tell whether somebody has scaled it since: to another number, or to just that of the surge."""
    return service.replicas != surge.raised or service.is_repeated


def newest_task_time(service: Service, snapshot: Snapshot) -> float:
    """Tell when its newest task was created, by the leader's clock; 0 without tasks."""
    return max((moment(task.created) for task in snapshot.tasks_of(service)), default=0.0)


def raise_replicas(
    service: Service, waves: Sequence[int], begun: float, until: float, *, aside: bool = False
) -> Spec:
    """Make the spec with so many tasks more as the first of the waves says, and the mark.

    ``aside``: without its placement preferences, which the mark then keeps.
    """
    count = service.replicas
    mark = Surge(count, count, begun, round(until, 1), "Labels" in service.spec, tuple(waves))
    if not aside:
        return _marked(service, mark)
    bare = replace(service, spec=_preferring(service.spec, ()))
    return _marked(bare, replace(mark, preferences=tuple(service.placement["Preferences"])))


def add_tasks(service: Service, by: int, nodes: Collection[str], begun: float, until: float) -> Spec:
    """Make the spec with so many tasks more, and the mark that an evacuation of these nodes needs them."""
    before = surge_of(service)
    configs = [service.spec["UpdateConfig"]] if "UpdateConfig" in service.spec else []
    mark = Surge(
        wanted_replicas(service),
        service.replicas + by,
        begun,
        round(until, 1),
        before.labels if before else "Labels" in service.spec,
        preferences=before.preferences if before else (),
        nodes=tuple(sorted(nodes)),
        update=before.update if before and before.update is not None else configs,
    )
    spec = {**_scaled(service.spec, mark.raised), "UpdateConfig": _starting_first(configs)}
    return with_mark(spec, SURGE_LABEL, asdict(mark))


def _starting_first(before: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make the UpdateConfig under which somebody else's update stops no task before another one runs."""
    return {**(before[0] if before else UPDATE_DEFAULTS), "Order": "start-first"}


def _with_update_before(spec: Spec, surge: Surge) -> Spec:
    """Put the UpdateConfig back; what its owner has changed in it since stays."""
    config = spec.get("UpdateConfig") or {}
    if surge.update is None or config.get("Order") != "start-first":
        return spec
    ours = _starting_first(surge.update)
    if any((config.get(key) or 0) != (ours.get(key) or 0) for key in {*config, *ours}):
        order = surge.update[0].get("Order") if surge.update else ""
        return {**spec, "UpdateConfig": {**config, "Order": order or "stop-first"}}
    if surge.update:
        return {**spec, "UpdateConfig": dict(surge.update[0])}
    return {key: value for key, value in spec.items() if key != "UpdateConfig"}


def raise_next_wave(service: Service, surge: Surge, snapshot: Snapshot) -> Spec | None:
    """Make the spec with the next wave; None where there is none, or some task has no node yet."""
    placed = sum(task.desired in WANTED and bool(task.node) for task in snapshot.tasks_of(service))
    return _marked(service, surge) if surge.waves and placed >= surge.raised else None


def _marked(service: Service, surge: Surge) -> Spec:
    mark = replace(surge, raised=surge.raised + surge.waves[0], waves=surge.waves[1:])
    return with_mark(_scaled(service.spec, mark.raised), SURGE_LABEL, asdict(mark))


def lower_replicas(service: Service, surge: Surge) -> Spec:
    """Make the spec as it was before; what somebody has changed or added since stays."""
    spec = _scaled(service.spec, wanted_replicas(service))
    if surge.preferences:  # and those that somebody has added since
        added = (one for one in service.placement.get("Preferences") or () if one not in surge.preferences)
        spec = _preferring(spec, (*surge.preferences, *added))
    return without_mark(_with_update_before(spec, surge), SURGE_LABEL, had_labels=surge.labels)


def serving_tasks(
    service: Service, surge: Surge, snapshot: Snapshot, steady: Collection[str]
) -> frozenset[str]:
    """Find the ids of tasks that run and can be relied on: the new ones if they are ``steady`` (ids)."""
    return frozenset(
        task.id
        for task in snapshot.tasks_of(service)
        if task.is_running and (moment(task.created) <= surge.begun or task.id in steady)
    )


def monitor_seconds(service: Service) -> float:
    """Tell the seconds for which a task is watched: the service's own update monitor, where it has one."""
    return float(service.update_config.get("Monitor") or DEFAULT_MONITOR_S * 1e9) / 1e9


def why_failed(service: Service, surge: Surge, snapshot: Snapshot, *, is_late: bool) -> str:
    """Say why the tasks that were added are given up; "" while they may still come to run."""
    tasks = [task for task in snapshot.tasks_of(service) if moment(task.created) > surge.begun]
    failures = sum(task.state in ("failed", "rejected") for task in tasks)
    run = f"{sum(task.is_running for task in snapshot.tasks_of(service))} of {surge.raised} tasks run"
    if failures >= MAX_FAILURES_PER_TASK * surge.moves:
        return f"new tasks ended {failures} times; {run}"
    return f"{run} when their time was over" if is_late else ""


def count_survivors(tasks: Collection[Task], replicas: int, sure: Collection[str]) -> int:
    """Count how many of the ``sure`` tasks (ids) a scale-down would leave, at worst.

    After swarmkit's replicated orchestrator: slots without a node or with two tasks go first; then those that
    are the n-th copy on their node, the highest n first, where running ones have the lower n but nothing else
    is asked. Measured: with three tasks that crash on a new node it stops tasks that serve, and leaves those.
    Of equal ones those that do not run go first, then the higher slots; with more slots than Go sorts stably,
    in no certain order.
    """
    slots: dict[int, list[Task]] = {}
    for task in sorted(tasks, key=lambda task: task.slot):
        if task.desired in WANTED:
            slots.setdefault(task.slot, []).append(task)
    copies: Counter[str] = Counter()
    ranks: list[tuple[float, bool]] = []
    for slot in sorted(slots.values(), key=lambda slot: all(task.state != "running" for task in slot)):
        copies[slot[0].node] += 1
        known = len(slot) == 1 and slot[0].node
        rank = copies[slot[0].node] if known else float("inf")
        ranks.append((rank, any(task.id in sure for task in slot)))
    is_stable = len(ranks) <= MAX_STABLE_SLOTS
    kept = sorted(ranks, key=lambda row: row[0]) if is_stable else sorted(ranks)
    return sum(runs for _, runs in kept[:replicas])


def move_off_failing_nodes(service: Service, snapshot: Snapshot, sure: Collection[str]) -> Spec | None:
    """Make the spec that takes tasks off the nodes on which none serves; None where none is left.

    Measured: Swarm replaces just those tasks, start-first, and a slot with two tasks is the first to go.
    """
    tasks = [task for task in snapshot.tasks_of(service) if task.desired in WANTED and task.node]
    failing = {task.node for task in tasks} - {task.node for task in tasks if task.id in sure}
    if failing <= excluded_nodes(service):
        return None
    return exclude_nodes(service, failing | excluded_nodes(service), "start-first", Pace())


def _preferring(spec: Mapping[str, Any], preferences: Sequence[Mapping[str, Any]]) -> Spec:
    template = spec["TaskTemplate"]
    known = template.get("Placement") or {}
    rest = {key: value for key, value in known.items() if key != "Preferences"}
    placement = {**rest, "Preferences": list(preferences)} if preferences else rest
    return {**spec, "TaskTemplate": {**template, "Placement": placement}}


def _scaled(spec: Mapping[str, Any], replicas: int) -> Spec:
    mode = spec["Mode"]
    return {**spec, "Mode": {**mode, "Replicated": {**mode["Replicated"], "Replicas": replicas}}}
