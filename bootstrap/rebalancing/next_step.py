"""What to do next so that services spread evenly; pure, decided anew from each snapshot.

| what the snapshot shows, first match                     | next                                           |
| -------------------------------------------------------- | ---------------------------------------------- |
| a surge is marked in a service's spec, by whichever run  | finish it (finish_surge.py)                    |
| a constraint of ours is left and nothing moves any more  | restore the spec                               |
| a forced update that this run began goes on              | wait                                           |
| an election, or Swarm is at work on what was ended       | wait, for a minute at most                     |
| a service can move, and may                              | start its next wave (start_wave.py)            |
| it is busy: an update, an evacuation, tasks that start   | wait for a minute, then leave it alone         |
| it is balanced, or moved, or must not be moved           | give it its outcome, go on with the next       |
| every service has its outcome                            | nothing: the run is over                       |

Each wave is planned anew from what stands, so that nothing has to be remembered.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from bootstrap.actions import UpdateService
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.planning.plan import ServicePlan, choose_services, plan_services, why_left_alone
from bootstrap.rebalancing import rolling
from bootstrap.rebalancing.finish_surge import finish_surge
from bootstrap.rebalancing.run import RETRY_BUSY_S, RETRY_S, NextStep, Run
from bootstrap.rebalancing.start_wave import leave_alone, mode_of, start_wave, why_not
from bootstrap.specs.exclusion import excluded_nodes, has_exclusion, restore_spec
from bootstrap.specs.surge import surge_of
from chalicelib.protocol.messages import Balance, Mode, Rebalance

SWARM_BUSY_TIMEOUT_S = 60.0  # to wait for a service at which Swarm is at work


def start_run(snapshot: Snapshot, asked: Rebalance, now: float, deadline: float) -> Run:
    """Start a run over the services that were asked for, and those that an earlier run has left marked.

    AgentError names a service that does not exist.
    """
    services = tuple(service.id for service in choose_services(snapshot, asked.services))
    others = (
        service.id for service in snapshot.services if has_surge(service) and service.id not in services
    )
    return Run(asked, services, tuple(others), now, deadline, now)


def has_surge(service: Service) -> bool:
    """Tell whether a surge of the service is under way."""
    return service.is_replicated and surge_of(service) is not None


def is_rolling(service: Service, run: Run, now: float) -> bool:
    """Tell whether a forced update of the service, which this run has begun, is under way.

    A user's change after the last task was restarted takes its status away: then it never shows as completed.
    """
    wave = run.waves.get(service.id)
    if wave is None or wave.mode is not Mode.ROLLING or service.id in run.outcomes:
        return False
    forgotten = not service.update and now >= run.changed_at + SWARM_BUSY_TIMEOUT_S
    return not rolling.update_outcome(service)[0] and not forgotten


def next_step(snapshot: Snapshot, run: Run, now: float) -> NextStep:
    """Choose one step: end what was begun, else take the services one by one."""
    for service in snapshot.services:
        surge = surge_of(service)
        if service.is_replicated and surge and service.id not in run.outcomes:
            return finish_surge(service, surge, snapshot, run, now)
    for service in snapshot.services:
        if _has_leftover_constraint(service, snapshot) and not run.is_refused_for_good(service.id, now):
            why = "nothing moves any more; its spec becomes what it was"
            return NextStep(replace(run, changed_at=now), UpdateService(service, restore_spec(service), why))
    for service in snapshot.services:
        if is_rolling(service, run, now):
            seen = replace(run, changed_at=now) if service.update else run
            return NextStep(seen, waiting=f"the update of {service.name} is under way")
    return _next_of_services(snapshot, run, now)


def _has_leftover_constraint(service: Service, snapshot: Snapshot) -> bool:
    """Tell whether a constraint of ours has done its work, and no evacuation will come to take it away."""
    nodes = {node.id for node in snapshot.evacuating_nodes}
    return (
        has_exclusion(service) and not excluded_nodes(service) & nodes and not snapshot.is_replacing(service)
    )


def _next_of_services(snapshot: Snapshot, run: Run, now: float) -> NextStep:
    """Take each service, until one has something to be done or waited for."""
    if why := _why_unsettled(snapshot, run, now):
        return NextStep(run, waiting=why)
    run = _with_clear_outcomes(snapshot, run)
    found = [snapshot.service_by_id[key] for key in run.services if key not in run.outcomes]
    for plan, allowed in plan_run(snapshot, found, run) if found else ():
        decision = _next_of_service(plan, allowed, snapshot, run, now)
        if decision.update or decision.waiting:
            return decision
        run = decision.run
    return NextStep(run)


def _why_unsettled(snapshot: Snapshot, run: Run, now: float) -> str:
    """Say what Swarm is still at work on: an election, or services whose surge was only to be ended."""
    if node := _unheard_node(snapshot, run, now):
        return f"no word yet from {node} since the managers elected a leader"
    for key in (*run.failing, *run.leftovers):
        service = snapshot.service_by_id.get(key)
        patient = key not in run.outcomes and now < min(run.changed_at + SWARM_BUSY_TIMEOUT_S, run.deadline)
        if service and patient and (why := why_left_alone(service, snapshot)):
            return f"{service.name}: {why}"
    return ""


def _unheard_node(snapshot: Snapshot, run: Run, now: float) -> str:
    """Name a node with tasks of which Swarm does not know yet whether it lives.

    All are unknown for up to 5 s after an election (measured).
    """
    if all(key in run.outcomes for key in run.services) or now >= min(
        run.changed_at + SWARM_BUSY_TIMEOUT_S, run.deadline
    ):
        return ""
    busy = {task.node for task in snapshot.tasks if task.is_wanted}
    nodes = (node for node in snapshot.nodes if node.state == "unknown" and node.id in busy)
    return next((node.hostname for node in nodes), "")


def _with_clear_outcomes(snapshot: Snapshot, run: Run) -> Run:
    """Give an outcome to each service of which nothing is left to be planned."""
    ended = dict.fromkeys(run.leftovers, (Balance.MOVED, "the surge that an earlier run began is ended"))
    gone = (key for key in run.services if key not in snapshot.service_by_id)
    failed = {
        key: (Balance.FAILED, f"{why}; its replicas and its spec are as before")
        for key, why in run.failing.items()
    }
    found = {**ended, **dict.fromkeys(gone, (Balance.LEFT, "it was removed meanwhile")), **failed}
    for key, (balance, reason) in found.items():
        if key not in run.outcomes:
            run = run.with_outcome(key, balance, reason)
    return run


def plan_run(
    snapshot: Snapshot, services: Collection[Service], run: Run
) -> tuple[tuple[ServicePlan, ServicePlan | None], ...]:
    """Plan what each service needs, and what of it may still be moved; None for nothing."""
    rolls = {service.id for service in services if mode_of(service, run.asked) is Mode.ROLLING}
    needed = plan_services(snapshot, services, rolling=rolls)
    if run.moves_left < 0:
        return tuple((plan, plan) for plan in needed)
    modes = ((service, mode_of(service, run.asked)) for service in services)
    able = [service for service, mode in modes if not why_not(service, mode, snapshot, run)[0]]
    found = plan_services(snapshot, able, run.moves_left, rolls) if run.moves_left else ()
    allowed = {plan.service.id: plan for plan in found if plan.moves}
    return tuple((plan, allowed.get(plan.service.id)) for plan in needed)


def _next_of_service(
    plan: ServicePlan, allowed: ServicePlan | None, snapshot: Snapshot, run: Run, now: float
) -> NextStep:
    service, wave = plan.service, run.waves.get(plan.service.id)
    if wave and wave.mode is Mode.ROLLING and (wrong := rolling.update_outcome(service)[1]):
        return NextStep(run.with_outcome(service.id, Balance.FAILED, wrong))
    if run.first_failed:
        return leave_alone(
            plan, run, f"stopped at the first failed service: {_name(run.first_failed, snapshot)}"
        )
    if why := why_left_alone(service, snapshot):
        return _await_or_leave(plan, snapshot, run, why, now)
    if not plan.moves:
        balance = Balance.MOVED if wave else Balance.BALANCED
        return NextStep(run.with_outcome(service.id, balance, plan.reason))
    mode = mode_of(service, run.asked)
    why, wait = why_not(service, mode, snapshot, run)
    if not why and not allowed:
        why = f"max_moves={run.asked.max_moves} does not allow {'more' if wave else 'it'}"
    if why or mode is None or allowed is None:
        return leave_alone(plan, run, why, wait)
    return start_wave(allowed, mode, snapshot, run, now)


def _name(key: str, snapshot: Snapshot) -> str:
    service = snapshot.service_by_id.get(key)
    return service.name if service else key


def _await_or_leave(plan: ServicePlan, snapshot: Snapshot, run: Run, why: str, now: float) -> NextStep:
    """Wait, if not for long, for what Swarm itself, an update or an evacuation is at work on."""
    service = plan.service
    if not service.is_replicated or "paused" in service.update:
        return leave_alone(plan, run, why)
    if now < min(run.changed_at + SWARM_BUSY_TIMEOUT_S, run.deadline):
        return NextStep(run, waiting=f"{service.name}: {why}")
    busy = has_exclusion(service) or service.update in ("updating", "rollback_started")
    running = sum(task.is_running for task in snapshot.tasks_of(service))
    if service.id in run.waves and not busy and running < service.replicas:
        return NextStep(run.with_outcome(service.id, Balance.FAILED, f"after it was moved, {why}"))
    return leave_alone(plan, run, why, RETRY_BUSY_S if busy else 0.0)


def predict_outcomes(snapshot: Snapshot, run: Run) -> Run:
    """Predict the outcomes, for a dry run."""
    services = [snapshot.service_by_id[key] for key in (*run.services, *run.leftovers)]
    for plan, allowed in plan_run(snapshot, services, run):
        run = _predict_outcome(plan, allowed, snapshot, run)
    return run


def _predict_outcome(plan: ServicePlan, allowed: ServicePlan | None, snapshot: Snapshot, run: Run) -> Run:
    service, mode = plan.service, mode_of(plan.service, run.asked)
    if has_surge(service):
        return run.with_outcome(
            service.id, Balance.PLANNED, "the surge that an earlier run began would be ended first"
        )
    if why := why_left_alone(service, snapshot):
        return run.with_outcome(service.id, Balance.LEFT, why)
    if not plan.moves:
        return run.with_outcome(service.id, Balance.BALANCED, plan.reason)
    why, _ = why_not(service, mode, snapshot, run)
    if not allowed:
        why = why or f"max_moves={run.asked.max_moves} does not allow it"
    return run.with_outcome(service.id, Balance.LEFT if why else Balance.PLANNED, why or plan.reason)


def stop_run(snapshot: Snapshot, run: Run, why: str) -> Run:
    """Stop the run: give every service an outcome."""
    for key in (*run.services, *run.leftovers):
        if key not in run.outcomes:
            run = run.with_outcome(key, *_stop_outcome(key, snapshot.service_by_id.get(key), run, why))
    return run


def _stop_outcome(key: str, service: Service | None, run: Run, why: str) -> tuple[Balance, str, float]:
    """Tell how a service stands when its run has to stop, and in how many seconds to go on."""
    why, wave = run.failing.get(key, why), run.waves.get(key)
    if service and (surge := surge_of(service)):
        left = f"{service.replicas} instead of {surge.replicas} replicas until a later run ends its surge"
        return Balance.FAILED, f"{why}: it has {left}", RETRY_S
    if key in run.failing:
        if service and has_exclusion(service):
            return Balance.FAILED, f"{why}; its replicas are as before, a constraint is left", RETRY_S
        return Balance.FAILED, f"{why}; its replicas and its spec are as before", 0.0
    if wave and wave.mode is Mode.ROLLING:
        return Balance.FAILED, f"{why}: Swarm goes on with its update by itself", 0.0
    if wave or key in run.leftovers:
        return Balance.MOVED, f"{why}: there may be moves left", RETRY_S
    return Balance.LEFT, why, RETRY_S
