"""Spread services evenly again with the fewest moves: plan, act, poll again, one rebalance at a time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

from bootstrap.actions import try_action
from bootstrap.clock import Clock
from bootstrap.engine.client import Engine, EngineError
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.log import say
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
from bootstrap.specs.exclusion import has_exclusion
from bootstrap.tasks.polling import until_deadline
from chalicelib.protocol.bar_chart import picture
from chalicelib.protocol.messages import AgentTask, Arguments, Balance, Rebalance, Result

TIME_BUDGET_S = 600.0  # once nodes have settled, where no deadline is given
POLL_S = 0.5  # between two polls at least
INTERVAL_SHARE = 4  # times what a poll took, to the next one, where that is longer
LONGEST_INTERVAL_S = 10.0  # between two polls at most
LEASE_TIMEOUT_S = LEASE_S + 2  # for which a manual call waits for the lease: a dead holder is outlived


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Rebalance the services that are asked for; end when each has its outcome, or out of time.

    Where another rebalance holds the lease, or the last one ended too short ago, nothing is changed and
    ``wait`` says when to try again. Raises AgentError for a service that does not exist, EngineError where
    the engine does not answer at the start, or not until the deadline.
    """
    asked = arguments.rebalance
    deadline = arguments.deadline or clock.now() + asked.settle + TIME_BUDGET_S
    self_id = engine.node_id()
    if asked.dry_run:
        return _dry_run(engine, asked, clock.now(), deadline)
    lease = Lease(engine, clock, _holder_name(engine, self_id))
    if wait := _cooldown_left(lease, asked, clock.now()):
        return _nothing_changed(f"the last rebalance ended {asked.cooldown - wait:.0f} s ago", wait)
    if holder := _take_lease(lease, asked, clock, deadline):
        wait = min(max(1.0, lease.read().until - clock.now()), LEASE_S)
        return _nothing_changed(f"another rebalance is under way, by {holder}", wait)
    starts_cooldown = False
    try:
        _await_stable_nodes(engine, asked, lease, clock, deadline)
        rebalancing = Rebalancing(engine, asked, lease, clock, deadline)
        result = until_deadline(
            rebalancing.poll,
            clock,
            deadline,
            rebalancing.interval_s,
            gives_up=lambda: rebalancing.is_stopping,
        )
        starts_cooldown = result.begun and (result.ok or not result.wait)
        return result
    finally:
        _release_lease(lease, starts_cooldown=starts_cooldown)


def _dry_run(engine: Engine, asked: Rebalance, now: float, deadline: float) -> Result:
    snapshot = engine.full_snapshot()
    run = start_run(snapshot, asked, now, deadline)
    return _result(predict_outcomes(snapshot, run), _first_report(snapshot, run), snapshot)


def _first_report(snapshot: Snapshot, run: Run) -> RebalanceReport:
    services = [snapshot.service_by_id[key] for key in (*run.services, *run.leftovers)]
    pairs = plan_run(snapshot, services, run)
    return start_report(snapshot, run, tuple(allowed or plan for plan, allowed in pairs))


def _holder_name(engine: Engine, self_id: str) -> str:
    names = (f"the agent on {node.hostname}" for node in engine.nodes() if node.id == self_id)
    return next(names, self_id)


def _cooldown_left(lease: Lease, asked: Rebalance, now: float) -> float:
    """Tell the seconds until the cool-down of the last rebalance is over."""
    return max(0.0, min(lease.read().ended - now, 0.0) + asked.cooldown) if asked.cooldown else 0.0


def _take_lease(lease: Lease, asked: Rebalance, clock: Clock, deadline: float) -> str:
    """Take the lease, or answer who else has it. All wait for one that may be dead, a manual call for any."""
    wait_until = clock.now() + min(LEASE_TIMEOUT_S, deadline - clock.now())
    while not lease.take():
        holder, is_hopeless = lease.other_holder(), asked.cooldown and not lease.may_be_dead()
        if is_hopeless or clock.now() >= wait_until:
            return holder or "somebody who was first"
        clock.sleep(POLL_S)
    return ""


def _nothing_changed(why: str, wait: float) -> Result:
    say(f"nothing was changed: {why}; try again in {wait:.0f} s")
    return Result(AgentTask.REBALANCE, ok=True, facts={"reason": why}, wait=round(wait, 1))


def _await_stable_nodes(
    engine: Engine, asked: Rebalance, lease: Lease, clock: Clock, deadline: float
) -> None:
    """Wait until no node has joined for as long as is asked: nodes that join together cost one run."""
    stabilization = Stabilization(asked.settle, clock.now(), clock.now())

    def poll() -> bool | None:
        nonlocal stabilization
        if clock.now() >= min(deadline, stabilization.latest_end):
            return True
        lease.take()
        stabilization = stabilization.with_poll(engine.nodes(), clock.now())
        return stabilization.is_over(clock.now()) or None

    if asked.settle:  # managers that join cost elections: no error ends the wait
        until_deadline(poll, clock, deadline, _interval_s, gives_up=lambda: False)


@dataclass
class Rebalancing:
    """One run that holds the lease: its state, and what was seen of it."""

    engine: Engine
    asked: Rebalance
    lease: Lease
    clock: Clock
    deadline: float

    def __post_init__(self) -> None:
        snapshot = self.engine.full_snapshot()
        self.run = start_run(snapshot, self.asked, self.clock.now(), self.deadline)
        self.report = _first_report(snapshot, self.run)
        self.poll_started, self.is_stopping = self.clock.now(), False

    def poll(self) -> Result | None:
        """Do what is next, again at once while it works; answer the result at the end."""
        while True:
            now = self.poll_started = self.clock.now()
            if now > self.deadline:
                return self._stop("the time budget is over")
            lost = self._renew_lease()
            snapshot = self.engine.full_snapshot(partial(_watched_services, self.run, now))
            self.run = self.run.with_poll(snapshot, self.clock.now())
            self.report = self.report.with_poll(snapshot, self.run, self.clock.now())
            step = next_step(snapshot, self.run, now)
            if step.update is None:
                self.run = step.run
                return self._stop(lost) if lost or self.run.is_over else None
            # A poll of a busy swarm can outlast the lease.
            if self.clock.now() > now + RENEW_AFTER_S:
                lost = lost or self._renew_lease()
            if lost:
                return self._stop(lost)
            if not try_action(self.engine, step.update):
                self.run = self.run.with_refusal(step.update.service, now)
                return None
            self.run = replace(step.run, refused={})

    def interval_s(self, _: float) -> float:
        """Choose the seconds until the next poll; those before it, which all worked, do not count."""
        return _interval_s(self.clock.now() - self.poll_started)

    def _stop(self, why: str) -> Result:
        self.is_stopping = True  # an error is the last one now
        snapshot = self.engine.full_snapshot()
        run = stop_run(snapshot, self.run, why)
        return _result(run, self.report.with_poll(snapshot, run, self.clock.now()), snapshot)

    def _renew_lease(self) -> str:
        """Renew the lease; say why that cannot be, "" where it is ours."""
        return "" if self.lease.take() else f"its lease was taken over by {self.lease.other_holder()}"


def _interval_s(took: float) -> float:
    """Choose the seconds until the next poll: the managers of a big swarm are not kept busy with us."""
    return max(POLL_S, min(INTERVAL_SHARE * took, LONGEST_INTERVAL_S))


def _watched_services(run: Run, now: float, services: Collection[Service]) -> Collection[str]:
    """Choose the services whose tasks are to be watched; none where all tasks are needed, for a plan."""
    unfinished = [service for service in services if service.id not in run.outcomes]
    watched = {service.id for service in unfinished if has_surge(service) or is_rolling(service, run, now)}
    return watched | {service.id for service in services if has_exclusion(service)} if watched else watched


def _release_lease(lease: Lease, *, starts_cooldown: bool) -> None:
    try:
        lease.release(ended=starts_cooldown)
    except EngineError as error:
        say(f"{error}; the lease runs out by itself")


def _result(run: Run, report: RebalanceReport, snapshot: Snapshot) -> Result:
    reports = report.service_reports(run, snapshot)
    for line in picture(reports, planned=run.asked.dry_run):
        say(line)
    rows, balanced = reports_to_send(reports)
    ok = all(row.balance is not Balance.FAILED for row in reports)
    return Result(AgentTask.REBALANCE, ok, spreads=rows, facts={"balanced": balanced}, wait=run.retry_after)
