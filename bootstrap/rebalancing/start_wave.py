"""Whether and how the next wave of a service begins; pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from bootstrap.actions import UpdateService
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.planning.plan import ServicePlan
from bootstrap.rebalancing import rolling
from bootstrap.rebalancing.run import RETRY_S, WAVE_TIMEOUT_S, NextStep, Run, Wave
from bootstrap.specs.lifetime import why_one_for_one
from bootstrap.specs.surge import monitor_seconds, newest_task_time, raise_replicas
from chalicelib.protocol.messages import Balance, Mode, Rebalance

MODE_LABEL = "swarmkeeper.rebalance"  # service label set by users: surge or rolling
MIN_WAVE = 5  # moves of one wave: so many tasks more than usual use the nodes, or fail, at a time
WAVE_PART = 10  # of a big service one wave moves this part of its replicas, or it would take hours
START_FACTOR = 5  # times the start-up that was observed: a new node has to pull the image first
FINISH_RESERVE_S = 15.0  # seconds kept to end a wave, also one that failed


def mode_of(service: Service, asked: Rebalance) -> Mode | None:
    """Choose the mode: as called for, else by its label; None for an unknown label."""
    wanted = asked.mode or service.labels.get(MODE_LABEL) or Mode.SURGE.value
    return next((mode for mode in Mode if mode.value == wanted), None)


def why_not(service: Service, mode: Mode | None, snapshot: Snapshot, run: Run) -> tuple[str, float]:
    """Say why no wave of it may begin, and in how many seconds to try again (0: never)."""
    wave = run.waves.get(service.id)
    evacuating = [node.hostname for node in snapshot.evacuating_nodes if not snapshot.is_drained(node)]
    if evacuating:
        return f"an evacuation is under way, of {', '.join(evacuating)}", RETRY_S
    if mode is None:
        return f"label {MODE_LABEL}={service.labels[MODE_LABEL]} is neither surge nor rolling", 0.0
    if mode is Mode.SURGE and (named := why_one_for_one(service)):
        return f"{named}: a surge would not leave it as it is", 0.0
    if wave and wave.mode is Mode.ROLLING:
        return "Swarm itself chose where the restarted tasks run", 0.0
    return "", 0.0


def start_wave(plan: ServicePlan, mode: Mode, snapshot: Snapshot, run: Run, now: float) -> NextStep:
    """Begin the next wave, where the time left is enough for it."""
    if mode is Mode.ROLLING:
        return _roll(plan, snapshot, run, now)
    return _raise(plan, snapshot, run, now)


def _raise(plan: ServicePlan, snapshot: Snapshot, run: Run, now: float) -> NextStep:
    service, wave, nodes = (
        plan.service,
        run.waves.get(plan.service.id),
        usable_nodes(snapshot),
    )
    if wave and plan.moves >= wave.left and wave.nodes == nodes:
        why = (
            f"new tasks ran, but elsewhere: {plan.moves} moves are still to be made. Swarm avoids nodes on "
            "which tasks of the service failed lately; its replicas and its spec are as before"
        )
        return NextStep(run.with_outcome(service.id, Balance.FAILED, why))
    start = rolling.startup_seconds(service, snapshot)
    if late := _too_long(
        "a wave", start + monitor_seconds(service) + FINISH_RESERVE_S, "update-monitor", run, now
    ):
        return leave_alone(plan, run, *late)
    at_once = max(MIN_WAVE, service.replicas // WAVE_PART)
    waves = _some(plan.waves, at_once)
    least, most = WAVE_TIMEOUT_S
    until = min(now + min(max(least, START_FACTOR * start), most), run.deadline - FINISH_RESERVE_S)
    why = f"surge by {sum(waves)} of {plan.moves} moves: {plan.reason}"
    spec = raise_replicas(service, waves, newest_task_time(service, snapshot), until, aside=plan.aside)
    update = UpdateService(service, spec, why)
    return NextStep(
        replace(run.with_wave(service.id, Wave(Mode.SURGE, plan.moves, nodes)), changed_at=now), update
    )


def usable_nodes(snapshot: Snapshot) -> frozenset[str]:
    """Find the nodes that Swarm may give tasks now: where others have come, more moves are needed."""
    return frozenset(node.id for node in snapshot.nodes if node.is_usable)


def _some(waves: Sequence[int], most: int) -> tuple[int, ...]:
    """Take the first waves, up to so many tasks together: any part of a surge is one too."""
    sums = itertools.accumulate(waves)
    parts = (size - max(0, total - most) for size, total in zip(waves, sums, strict=True))
    return tuple(itertools.takewhile(lambda part: part > 0, parts))


def _too_long(what: str, need: float, settings: str, run: Run, now: float) -> tuple[str, float] | None:
    """Say why the time left is too short, and after how many seconds to try again (0: never).

    A run that has done something, or has waited, had less time than the next one will have.
    """
    left = max(0.0, run.deadline - now)
    if need <= left:
        return None
    why = f"{what} takes about {need:.0f} s, {left:.0f} s are left"
    if need <= run.deadline - run.started and (run.waves or now > run.started + RETRY_S):
        return why, RETRY_S
    return f"{why}, and no run has more: see its {settings}", 0.0


def _roll(plan: ServicePlan, snapshot: Snapshot, run: Run, now: float) -> NextStep:
    service = plan.service
    settings = "update-delay, update-parallelism and update-monitor"
    if late := _too_long("its update", rolling.update_seconds(service, snapshot), settings, run, now):
        return leave_alone(plan, run, *late)
    update = UpdateService(
        service, rolling.force_update(service), f"rolling, for {plan.moves} moves: {plan.reason}"
    )
    with_wave = run.with_wave(service.id, Wave(Mode.ROLLING, plan.moves))
    return NextStep(replace(with_wave, changed_at=now, moved=run.moved + plan.moves), update)


def leave_alone(plan: ServicePlan, run: Run, why: str, wait: float = 0.0) -> NextStep:
    """Leave it where it stands."""
    if plan.service.id not in run.waves:
        return NextStep(run.with_outcome(plan.service.id, Balance.LEFT, why, wait))
    left = "1 move is" if plan.moves == 1 else f"{plan.moves} moves are"
    why = f"{left} left: {why}" if plan.moves else why
    return NextStep(run.with_outcome(plan.service.id, Balance.MOVED, why, wait))
