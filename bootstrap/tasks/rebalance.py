"""Spread services evenly again with the fewest moves: plan, act, look again, one rebalance at a time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine, EngineError, NotManagerError
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.rebalancing.lease import LEASE_S, RENEW_AFTER_S, Lease
from bootstrap.rebalancing.next_step import (
    has_surge,
    is_rolling,
    next_step,
    plan_run,
    predict_outcomes,
    start_run,
    stop_run,
)
from bootstrap.rebalancing.report import RebalanceReport, reports_to_send, start_report
from bootstrap.rebalancing.run import Run
from bootstrap.rebalancing.stabilization import Stabilization
from bootstrap.tasks.evacuate import perform, say
from chalicelib.protocol.bar_chart import picture
from chalicelib.protocol.messages import AgentTask, Arguments, Balance, Rebalance, Result

TIME_BUDGET_S = 600.0  # seconds once nodes have settled, where no deadline is given
POLL_S = 0.5  # seconds between two looks at the swarm
PAUSE_SHARE = 4  # times what a look took, to the next one, where that is longer
LONGEST_PAUSE_S = 10.0  # seconds between two looks at most
LEASE_TIMEOUT_S = LEASE_S + 2  # seconds that a manual call waits for the lease: a dead holder is outlived


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Rebalance the services that are asked for; ends when each has its verdict, or out of time.

    Where another rebalance holds the lease, or the last one ended too short ago, nothing is changed and
    ``wait`` says when to try again. Raises AgentError for a service that does not exist, EngineError where
    the engine does not answer at the start, or not until the deadline.
    """
    asked = arguments.rebalance
    deadline = arguments.deadline or clock.now() + asked.settle + TIME_BUDGET_S
    me = engine.node_id()
    if asked.dry_run:
        return _foretold(engine, asked, clock.now(), deadline)
    lease = Lease(engine, clock, _host(engine, me))
    if wait := _cooling(lease, asked, clock.now()):
        return _later(f"the last rebalance ended {asked.cooldown - wait:.0f} s ago", wait)
    if holder := _taken(lease, asked, clock, deadline):
        wait = max(1.0, lease.read().until - clock.now())
        return _later(f"another rebalance is under way, by {holder}", wait)
    ended = False
    try:
        _settle(engine, asked, lease, clock, deadline)
        result = _through(engine, asked, lease, clock, deadline)
        ended = _tried(result)
        return result
    finally:
        _release(lease, ended=ended)


def _foretold(engine: Engine, asked: Rebalance, now: float, deadline: float) -> Result:
    snapshot = engine.full_snapshot()
    run = start_run(snapshot, asked, now, deadline)
    report = _account(snapshot, run)
    return _result(predict_outcomes(snapshot, run), report, snapshot)


def _account(snapshot: Snapshot, run: Run) -> RebalanceReport:
    services = [snapshot.service_by_id[key] for key in (*run.services, *run.others)]
    pairs = plan_run(snapshot, services, run)
    return start_report(snapshot, run, tuple(allowed or plan for plan, allowed in pairs))


def _host(engine: Engine, me: str) -> str:
    return next((f"the agent on {node.hostname}" for node in engine.nodes() if node.id == me), me)


def _cooling(lease: Lease, asked: Rebalance, now: float) -> float:
    """Seconds until the cool-down of the last rebalance is over."""
    return max(0.0, min(lease.read().ended - now, 0.0) + asked.cooldown) if asked.cooldown else 0.0


def _taken(lease: Lease, asked: Rebalance, clock: Clock, deadline: float) -> str:
    """Take the lease; answers who has it where that is somebody else. Only a manual call waits for it."""
    patience = clock.now() + (0.0 if asked.cooldown else min(LEASE_TIMEOUT_S, deadline - clock.now()))
    while not lease.take():
        holder = lease.other_holder()
        if clock.now() >= patience:
            return holder or "somebody who was first"
        clock.sleep(POLL_S)
    return ""


def _later(why: str, wait: float) -> Result:
    say(f"nothing was changed: {why}; try again in {wait:.0f} s")
    return Result(AgentTask.REBALANCE, ok=True, facts={"reason": why}, wait=round(wait, 1))


def _settle(engine: Engine, asked: Rebalance, lease: Lease, clock: Clock, deadline: float) -> None:
    """Until no node has joined for as long as is asked, so that nodes that join together cost one run."""
    stabilization = Stabilization(asked.settle, clock.now(), clock.now())
    while asked.settle and (began := clock.now()) < deadline:
        try:
            lease.take()
            stabilization = stabilization.seen(engine.nodes(), clock.now())
        except NotManagerError:
            raise
        except EngineError as error:
            say(f"{error}; looking again")  # managers that join cost elections
        if stabilization.over(clock.now()):
            return
        clock.sleep(_rest(clock.now() - began))


def _through(engine: Engine, asked: Rebalance, lease: Lease, clock: Clock, deadline: float) -> Result:
    """Look, decide, do, look again."""
    snapshot = engine.full_snapshot()
    run = start_run(snapshot, asked, clock.now(), deadline)
    report, lost = _account(snapshot, run), ""
    while not lost and (began := clock.now()) <= deadline:
        try:
            lost = _lost(lease)
            snapshot = engine.full_snapshot(partial(_watched, run, began))
            report = report.seen(snapshot, run, clock.now())
            decision = next_step(snapshot, run, began)
            # A look at a busy swarm can outlast the lease.
            if decision.update and clock.now() > began + RENEW_AFTER_S:
                lost = lost or _lost(lease)
            if decision.update and not lost:
                if perform(engine, decision.update):
                    run = replace(decision.run, refused={})
                    continue
                run = run.with_refusal(decision.update.service, began)
            elif not decision.update:
                run = decision.run
                if run.over:
                    break
        except NotManagerError:
            raise
        except EngineError as error:
            # An election or a busy engine: the budget, not the first refusal, decides when to give up.
            say(f"{error}; looking again")
        clock.sleep(_rest(clock.now() - began))
    snapshot = engine.full_snapshot()
    run = stop_run(snapshot, run, lost or "the time budget is over")
    return _result(run, report.seen(snapshot, run, clock.now()), snapshot)


def _lost(lease: Lease) -> str:
    """Renews the lease; why that cannot be, "" where it is ours."""
    return "" if lease.take() else f"its lease was taken over by {lease.other_holder()}"


def _rest(took: float) -> float:
    """Seconds until the next look: the managers of a big swarm are not kept busy with answering us."""
    return max(POLL_S, min(PAUSE_SHARE * took, LONGEST_PAUSE_S))


def _watched(run: Run, now: float, services: Collection[Service]) -> Collection[str]:
    """The services whose tasks are to be watched; none where all tasks are needed, for a plan."""
    going = [service for service in services if service.id not in run.outcomes]
    watched = {service.id for service in going if has_surge(service) or is_rolling(service, run, now)}
    return watched | {service.id for service in services if service.before} if watched else watched


def _tried(result: Result) -> bool:
    """Tasks were moved, with success or not, and no surge is still to be ended: the cool-down begins."""
    return result.begun and (result.ok or not result.wait)


def _release(lease: Lease, *, ended: bool) -> None:
    try:
        lease.release(ended=ended)
    except EngineError as error:
        say(f"{error}; the lease runs out by itself")


def _result(run: Run, report: RebalanceReport, snapshot: Snapshot) -> Result:
    reports = report.reports(run, snapshot)
    for line in picture(reports, planned=run.asked.dry_run):
        say(line)
    rows, balanced = reports_to_send(reports)
    ok = all(report.balance is not Balance.FAILED for report in reports)
    return Result(AgentTask.REBALANCE, ok, spreads=rows, facts={"balanced": balanced}, wait=run.wait)
