"""What to do next so that services spread evenly; pure, decided anew from each look at the swarm.

First what was begun is ended, by whichever run: a surge is marked in its service's spec. Then one service
after another, one wave after another: planned anew from what stands, so that nothing has to be remembered.
"""

from __future__ import annotations

import math
from dataclasses import replace

from bootstrap import rolling
from bootstrap.ending import end
from bootstrap.evacuation import Update, empty
from bootstrap.shift import excluded, restored
from bootstrap.spread import Spread, chosen, plan, untouched
from bootstrap.surge import raised, reaches, steady, surge_of
from bootstrap.verdict import Decision, Run, Wave
from bootstrap.view import Service, Snapshot
from chalicelib.protocol import Balance, Mode, Rebalance

MODE_LABEL = "swarmkeeper.rebalance"  # service label set by users: surge or rolling
AT_ONCE = (
    5  # moves of one wave: what a failed surge leaves to clear away, and new tasks cost while they start
)
PART = 10  # of a big service one wave moves this part of its replicas, or it would take hours
PATIENCE = (60.0, 300.0)  # seconds for a wave's tasks to run, at least and at most
SLOWER = 5  # times the start-up that was observed: a new node has to pull the image first
CLOSING = 15.0  # seconds kept to end a wave, also one that failed
QUIET = 60.0  # seconds to wait for a service at which Swarm is at work
AGAIN = 60.0  # seconds after which what could not be begun is to be tried again


def opened(snapshot: Snapshot, asked: Rebalance, now: float, deadline: float) -> Run:
    """A new run over the services that were asked for, and those that an earlier run has left marked.

    AgentError names a service that does not exist.
    """
    services = tuple(service.id for service in chosen(snapshot, asked.services))
    others = (service.id for service in snapshot.services if begun(service) and service.id not in services)
    return Run(asked, services, tuple(others), now, deadline, now)


def begun(service: Service) -> bool:
    """A surge of it is under way."""
    return service.replicated and surge_of(service) is not None


def next_step(snapshot: Snapshot, run: Run, now: float) -> Decision:
    """One step: end what was begun, else see the services through one by one."""
    doomed = {node.id for node in snapshot.doomed}
    for service in snapshot.services:
        surge = surge_of(service)
        if service.replicated and surge and service.id not in run.verdicts:
            return end(service, surge, snapshot, run, now)
        if service.id in run.failing and service.before and not excluded(service) & doomed:
            return Decision(
                replace(run, active=now),
                Update(service, restored(service), "its surge is undone; its spec becomes what it was"),
            )
    return _through(snapshot, run, now)


def _through(snapshot: Snapshot, run: Run, now: float) -> Decision:
    """Judge each service, until one has something to be done or waited for."""
    run = _judged(snapshot, run)
    found = [known for key in run.services if (known := snapshot.service_by_id.get(key))]
    spreads = plan(snapshot, found) if any(key not in run.verdicts for key in run.services) else ()
    for spread in spreads:
        if spread.service.id not in run.verdicts:
            decision = _one(spread, snapshot, run, now)
            if decision.update or decision.waiting:
                return decision
            run = decision.run
    return Decision(run)


def _judged(snapshot: Snapshot, run: Run) -> Run:
    """The run with a verdict for each service of which nothing is left to be planned."""
    ended = dict.fromkeys(run.others, (Balance.MOVED, "the surge that an earlier run began is ended"))
    gone = (key for key in run.services if key not in snapshot.service_by_id)
    failed = {
        key: (Balance.FAILED, f"{why}; its replicas and its spec are as before")
        for key, why in run.failing.items()
    }
    found = {**ended, **dict.fromkeys(gone, (Balance.LEFT, "it was removed meanwhile")), **failed}
    for key, (balance, reason) in found.items():
        if key not in run.verdicts:
            run = run.judged(key, balance, reason)
    return run


def _one(spread: Spread, snapshot: Snapshot, run: Run, now: float) -> Decision:
    service, wave = spread.service, run.waves.get(spread.service.id)
    if wave and wave.mode is Mode.ROLLING:
        over, wrong = rolling.outcome(service)
        if not over:
            return Decision(run, waiting=f"the update of {service.name} is under way")
        if wrong:
            return Decision(run.judged(service.id, Balance.FAILED, wrong))
    if run.failed:
        return _stay(spread, run, f"stopped at the first failed service: {_name(run.failed, snapshot)}")
    if why := untouched(service, snapshot):
        return _not_now(spread, run, why, now)
    if not spread.moves:
        balance = Balance.MOVED if wave else Balance.BALANCED
        return Decision(run.judged(service.id, balance, spread.reason))
    mode = mode_of(service, run.asked)
    why, wait = _why_not(spread, mode, snapshot, run)
    if why or mode is None:
        return _stay(spread, run, why, wait)
    return _begin(spread, mode, snapshot, run, now)


def _name(key: str, snapshot: Snapshot) -> str:
    service = snapshot.service_by_id.get(key)
    return service.name if service else key


def _not_now(spread: Spread, run: Run, why: str, now: float) -> Decision:
    """What Swarm itself, an update or an evacuation is at work on is waited for, if not for long."""
    service = spread.service
    if not service.replicated or "paused" in service.update:
        return _stay(spread, run, why)
    if now < min(run.active + QUIET, run.deadline):
        return Decision(run, waiting=f"{service.name}: {why}")
    busy = service.before is not None or service.update in ("updating", "rollback_started")
    return _stay(spread, run, why, AGAIN if busy else 0.0)


def _stay(spread: Spread, run: Run, why: str, wait: float = 0.0) -> Decision:
    """Leave it where it stands."""
    if spread.service.id not in run.waves:
        return Decision(run.judged(spread.service.id, Balance.LEFT, why, wait))
    why = f"{spread.moves} moves are left: {why}"
    return Decision(run.judged(spread.service.id, Balance.MOVED, why, wait))


def mode_of(service: Service, asked: Rebalance) -> Mode | None:
    """How it is to be rebalanced: as called for, else as its label says; None for an unknown label."""
    wanted = asked.mode or service.labels.get(MODE_LABEL) or Mode.SURGE.value
    return next((mode for mode in Mode if mode.value == wanted), None)


def _why_not(spread: Spread, mode: Mode | None, snapshot: Snapshot, run: Run) -> tuple[str, float]:
    """Why no wave of it may begin, and in how many seconds to try again (0: never)."""
    service, wave = spread.service, run.waves.get(spread.service.id)
    going = [node.hostname for node in snapshot.doomed if not empty(node, snapshot)]
    if going:
        return f"an evacuation is under way, of {', '.join(going)}", AGAIN
    if mode is None:
        return f"label {MODE_LABEL}={service.labels[MODE_LABEL]} is neither surge nor rolling", 0.0
    if wave and wave.mode is Mode.ROLLING:
        return "Swarm itself chose where the restarted tasks run", 0.0
    if not _rest(run):
        return f"max_moves={run.asked.max_moves} is reached", 0.0
    if mode is Mode.SURGE and not reaches(spread):
        return "a scale-down takes from the fullest nodes, which its placement preferences do not want", 0.0
    return "", 0.0


def _rest(run: Run) -> float:
    """How many moves this run may still make."""
    return max(0, run.asked.max_moves - run.moved) if run.asked.max_moves else math.inf


def _begin(spread: Spread, mode: Mode, snapshot: Snapshot, run: Run, now: float) -> Decision:
    if mode is Mode.ROLLING:
        return _roll(spread, snapshot, run, now)
    return _raise(spread, snapshot, run, now)


def _raise(spread: Spread, snapshot: Snapshot, run: Run, now: float) -> Decision:
    service, wave = spread.service, run.waves.get(spread.service.id)
    if wave and spread.moves >= wave.left:
        why = (
            f"new tasks ran, but elsewhere: {spread.moves} moves are still to be made. Swarm avoids nodes on "
            "which tasks of the service failed lately; its replicas and its spec are as before"
        )
        return Decision(run.judged(service.id, Balance.FAILED, why))
    start = rolling.start_up(service, snapshot)
    need, left = start + steady(service) + CLOSING, run.deadline - now
    if need > left:
        return _stay(spread, run, f"a wave takes about {need:.0f} s, {max(0, left):.0f} s are left", AGAIN)
    moves = int(min(spread.moves, _rest(run), max(AT_ONCE, service.replicas // PART)))
    least, most = PATIENCE
    until = min(now + min(max(least, SLOWER * start), most), run.deadline - CLOSING)
    why = f"surge by {moves} of {spread.moves} moves: {spread.reason}"
    update = Update(service, raised(service, moves, now, until), why)
    return Decision(replace(run.waved(service.id, Wave(Mode.SURGE, spread.moves)), active=now), update)


def _roll(spread: Spread, snapshot: Snapshot, run: Run, now: float) -> Decision:
    service, left = spread.service, run.deadline - now
    if spread.moves > _rest(run):
        return _stay(spread, run, f"a rolling update cannot stop after max_moves={run.asked.max_moves}")
    if (need := rolling.duration(service, snapshot)) > left:
        return _stay(
            spread, run, f"its update takes about {need:.0f} s, {max(0, left):.0f} s are left", AGAIN
        )
    update = Update(service, rolling.forced(service), f"rolling, for {spread.moves} moves: {spread.reason}")
    waved = run.waved(service.id, Wave(Mode.ROLLING, spread.moves))
    return Decision(replace(waved, active=now, moved=run.moved + spread.moves), update)


def foretold(snapshot: Snapshot, run: Run) -> Run:
    """The verdicts of a dry run."""
    services = [snapshot.service_by_id[key] for key in (*run.services, *run.others)]
    capped = {spread.service.id: spread for spread in plan(snapshot, services, run.asked.max_moves)}
    for spread in plan(snapshot, services):
        run = _foretold(spread, capped[spread.service.id].moves, snapshot, run)
    return run


def _foretold(spread: Spread, moves: int, snapshot: Snapshot, run: Run) -> Run:
    service, mode = spread.service, mode_of(spread.service, run.asked)
    if begun(service):
        return run.judged(
            service.id, Balance.PLANNED, "the surge that an earlier run began would be ended first"
        )
    if why := untouched(service, snapshot):
        return run.judged(service.id, Balance.LEFT, why)
    if not spread.moves:
        return run.judged(service.id, Balance.BALANCED, spread.reason)
    why, _ = _why_not(spread, mode, snapshot, run)
    if not moves or (mode is Mode.ROLLING and moves < spread.moves):
        why = why or f"max_moves={run.asked.max_moves} does not allow its {spread.moves} moves"
    return run.judged(service.id, Balance.LEFT if why else Balance.PLANNED, why or spread.reason)


def expired(snapshot: Snapshot, run: Run, why: str) -> Run:
    """The run when it has to stop: every service has a verdict."""
    for key in (*run.services, *run.others):
        service = snapshot.service_by_id.get(key)
        surge = service and surge_of(service)
        if key in run.verdicts:
            continue
        if service and surge:
            left = f"{service.replicas} instead of {surge.replicas} replicas until a later run ends its surge"
            run = run.judged(key, Balance.FAILED, f"{run.failing.get(key, why)}: it has {left}", AGAIN)
        elif key in run.waves:
            run = run.judged(key, Balance.FAILED, f"{why}: Swarm goes on with its update", 0.0)
        else:
            run = run.judged(key, Balance.LEFT, why, AGAIN)
    return run
