"""Whether and how the next wave of a service begins; pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.evacuation.plan import Update, empty
from bootstrap.planning.plan import Spread
from bootstrap.rebalancing import rolling
from bootstrap.rebalancing.run import AGAIN, Decision, Run, Wave
from bootstrap.specs.surge import newest, raised, steady
from chalicelib.protocol.messages import Balance, Mode, Rebalance

MODE_LABEL = "swarmkeeper.rebalance"  # service label set by users: surge or rolling
AT_ONCE = 5  # moves of one wave: so many tasks more than usual use the nodes, or fail, at a time
PART = 10  # of a big service one wave moves this part of its replicas, or it would take hours
PATIENCE = (60.0, 300.0)  # seconds for a wave's tasks to run, at least and at most
SLOWER = 5  # times the start-up that was observed: a new node has to pull the image first
CLOSING = 15.0  # seconds kept to end a wave, also one that failed


def mode_of(service: Service, asked: Rebalance) -> Mode | None:
    """How it is to be rebalanced: as called for, else as its label says; None for an unknown label."""
    wanted = asked.mode or service.labels.get(MODE_LABEL) or Mode.SURGE.value
    return next((mode for mode in Mode if mode.value == wanted), None)


def why_not(service: Service, mode: Mode | None, snapshot: Snapshot, run: Run) -> tuple[str, float]:
    """Why no wave of it may begin, and in how many seconds to try again (0: never)."""
    wave = run.waves.get(service.id)
    going = [node.hostname for node in snapshot.doomed if not empty(node, snapshot)]
    if going:
        return f"an evacuation is under way, of {', '.join(going)}", AGAIN
    if mode is None:
        return f"label {MODE_LABEL}={service.labels[MODE_LABEL]} is neither surge nor rolling", 0.0
    if wave and wave.mode is Mode.ROLLING:
        return "Swarm itself chose where the restarted tasks run", 0.0
    return "", 0.0


def begin(spread: Spread, mode: Mode, snapshot: Snapshot, run: Run, now: float) -> Decision:
    """The next wave, where the time left is enough for it."""
    if mode is Mode.ROLLING:
        return _roll(spread, snapshot, run, now)
    return _raise(spread, snapshot, run, now)


def _raise(spread: Spread, snapshot: Snapshot, run: Run, now: float) -> Decision:
    service, wave, nodes = spread.service, run.waves.get(spread.service.id), usable(snapshot)
    if wave and spread.moves >= wave.left and wave.nodes == nodes:
        why = (
            f"new tasks ran, but elsewhere: {spread.moves} moves are still to be made. Swarm avoids nodes on "
            "which tasks of the service failed lately; its replicas and its spec are as before"
        )
        return Decision(run.judged(service.id, Balance.FAILED, why))
    start = rolling.start_up(service, snapshot)
    if late := _too_long("a wave", start + steady(service) + CLOSING, "update-monitor", run, now):
        return stay(spread, run, *late)
    at_once = max(AT_ONCE, service.replicas // PART)
    waves = _some(spread.waves, at_once)
    least, most = PATIENCE
    until = min(now + min(max(least, SLOWER * start), most), run.deadline - CLOSING)
    why = f"surge by {sum(waves)} of {spread.moves} moves: {spread.reason}"
    spec = raised(service, waves, newest(service, snapshot), until, aside=spread.aside)
    update = Update(service, spec, why)
    return Decision(replace(run.waved(service.id, Wave(Mode.SURGE, spread.moves, nodes)), active=now), update)


def usable(snapshot: Snapshot) -> frozenset[str]:
    """The nodes that Swarm may give tasks now: where others have come, more moves are needed than before."""
    ready = (node for node in snapshot.nodes if node.state == "ready" and node.availability == "active")
    return frozenset(node.id for node in ready)


def _some(waves: Sequence[int], most: int) -> tuple[int, ...]:
    """The first waves, up to so many tasks together: any part of a surge is one too."""
    sums = itertools.accumulate(waves)
    parts = (size - max(0, total - most) for size, total in zip(waves, sums, strict=True))
    return tuple(itertools.takewhile(lambda part: part > 0, parts))


def _too_long(what: str, need: float, settings: str, run: Run, now: float) -> tuple[str, float] | None:
    """Why it cannot be begun for want of time, and in how many seconds to try again (0: no run has more).

    A run that has done something, or has waited, had less time than the next one will have.
    """
    left = max(0.0, run.deadline - now)
    if need <= left:
        return None
    why = f"{what} takes about {need:.0f} s, {left:.0f} s are left"
    if need <= run.deadline - run.began and (run.waves or now > run.began + AGAIN):
        return why, AGAIN
    return f"{why}, and no run has more: see its {settings}", 0.0


def _roll(spread: Spread, snapshot: Snapshot, run: Run, now: float) -> Decision:
    service = spread.service
    settings = "update-delay, update-parallelism and update-monitor"
    if late := _too_long("its update", rolling.duration(service, snapshot), settings, run, now):
        return stay(spread, run, *late)
    update = Update(service, rolling.forced(service), f"rolling, for {spread.moves} moves: {spread.reason}")
    waved = run.waved(service.id, Wave(Mode.ROLLING, spread.moves))
    return Decision(replace(waved, active=now, moved=run.moved + spread.moves), update)


def stay(spread: Spread, run: Run, why: str, wait: float = 0.0) -> Decision:
    """Leave it where it stands."""
    if spread.service.id not in run.waves:
        return Decision(run.judged(spread.service.id, Balance.LEFT, why, wait))
    left = "1 move is" if spread.moves == 1 else f"{spread.moves} moves are"
    why = f"{left} left: {why}" if spread.moves else why
    return Decision(run.judged(spread.service.id, Balance.MOVED, why, wait))
