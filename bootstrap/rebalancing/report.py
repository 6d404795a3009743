"""What a rebalance did, as seen of the swarm poll by poll; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.planning.plan import ServicePlan
from bootstrap.rebalancing import rolling
from bootstrap.rebalancing.run import Outcome, Run
from bootstrap.rebalancing.start_wave import mode_of
from chalicelib.protocol.messages import Balance, Mode, SpreadReport

MANY = 50  # balanced services; more are only counted


@dataclass(frozen=True)
class RebalanceReport:
    """The plan at first, the ids of tasks at first and since, and how long each service took (seconds)."""

    plans: Mapping[str, ServicePlan]
    warnings: Mapping[str, tuple[str, ...]]
    first: frozenset[str]
    new: Mapping[str, frozenset[str]] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def with_poll(self, snapshot: Snapshot, run: Run, now: float) -> RebalanceReport:
        """Add one more snapshot."""
        new, seconds, since = dict(self.new), dict(self.seconds), dict(self.since)
        for task in snapshot.tasks:
            if task.service in self.plans and task.id not in self.first:
                new[task.service] = new.get(task.service, frozenset()) | {task.id}
        for key in {*run.waves, *run.failing, *run.leftovers}:
            since.setdefault(key, now)
            if key not in run.outcomes or key not in seconds:
                seconds[key] = round(now - since[key], 2)
        return replace(self, new=new, seconds=seconds, since=since)

    def service_reports(self, run: Run, snapshot: Snapshot) -> tuple[SpreadReport, ...]:
        """Make one report for each service, those that were or are to be moved first."""
        reports = [
            self._service_report(key, run.outcomes[key], run, snapshot)
            for key in (*run.services, *run.leftovers)
            if key in run.outcomes
        ]
        return tuple(sorted(reports, key=lambda one: (one.balance is Balance.BALANCED, one.service)))

    def _service_report(self, key: str, outcome: Outcome, run: Run, snapshot: Snapshot) -> SpreadReport:
        plan = self.plans[key]
        return SpreadReport(
            service=plan.service.name,
            balance=outcome.balance,
            mode=mode_of(plan.service, run.asked) or Mode.SURGE,
            moves=plan.moves,
            restarted=len(self.new.get(key, ())),
            seconds=self.seconds.get(key, 0.0),
            reason=outcome.reason,
            warnings=self.warnings.get(key, ()),
            before=by_host(plan.before, snapshot),
            plan=by_host(plan.after, snapshot),
            after=by_host(tasks_by_node(plan.service, snapshot), snapshot),
        )


def start_report(snapshot: Snapshot, run: Run, plans: tuple[ServicePlan, ...]) -> RebalanceReport:
    """Start the report, before anything is done."""
    warned = {
        plan.service.id: _warnings(plan, snapshot, run)
        for plan in plans
        if plan.moves and mode_of(plan.service, run.asked) is Mode.ROLLING
    }
    tasks = frozenset(task.id for task in snapshot.tasks)
    return RebalanceReport({plan.service.id: plan for plan in plans}, warned, tasks)


def _warnings(plan: ServicePlan, snapshot: Snapshot, run: Run) -> tuple[str, ...]:
    bounded = f"max_moves counts moves: all its {plan.service.replicas} tasks are restarted"
    return (*rolling.list_warnings(plan.service, snapshot), *((bounded,) if run.asked.max_moves else ()))


def tasks_by_node(service: Service, snapshot: Snapshot) -> Mapping[str, int]:
    """Count the tasks of a service that run or are to, by node id."""
    return Counter(task.node for task in snapshot.tasks_of(service) if task.is_wanted and task.node)


def by_host(counts: Mapping[str, int], snapshot: Snapshot) -> dict[str, int]:
    """Add the counts up by host name; nodes that have left the swarm go by their id."""
    found: Counter[str] = Counter()
    for key, count in counts.items():
        node = snapshot.node_by_id.get(key)
        found[node.hostname if node else key] += count
    return dict(sorted(found.items()))


def reports_to_send(reports: tuple[SpreadReport, ...]) -> tuple[tuple[SpreadReport, ...], int]:
    """Choose the reports to send, without the balanced ones where these are many, and count the balanced."""
    balanced = sum(one.balance is Balance.BALANCED for one in reports)
    if balanced <= MANY:
        return reports, balanced
    return tuple(one for one in reports if one.balance is not Balance.BALANCED), balanced
