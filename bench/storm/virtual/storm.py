"""One storm in virtual time: the handlers' own code, thousands of nodes, AWS as ``Limits`` says."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast
from uuid import uuid4

from bench.evacuate.targets import Target
from bench.storm import plan
from bench.storm.facts import NOTICE, find_first, percentile
from bench.storm.virtual.functions import GUARDS, Functions, Guard
from bench.storm.virtual.limits import RESERVED, Limits
from bench.storm.virtual.quotas import Quota, find_first_bound
from bench.storm.virtual.records import COSTS, Meter, Metered, OpenNodes, costs_of_nodes
from bench.storm.virtual.run_command import Command, VirtualEc2, VirtualHosts
from bench.storm.virtual.timeline import Timeline
from chalicelib import observability
from chalicelib.adapters.patience import Patience
from chalicelib.adapters.ports import World
from chalicelib.events import InvocationEnded, SpotInterruptionWarning, Tick
from chalicelib.routing import guard, handle
from chalicelib.state.instance import DiscoveredInstance, InstanceState, Role
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.settings import Timeouts
from tests.lab.aws import events
from tests.lab.state import Host
from tests.unit.chalicelib.support.fakes import FakeAutoScaling, FakeMessages
from tests.unit.chalicelib.support.memory import (
    MemoryClusters,
    MemoryDiscoveries,
    MemoryIncidents,
    MemoryJobs,
    MemoryLease,
    MemoryManagers,
    MemorySettings,
)

HANDLERS, GUARD = "handlers", "guards"  # who calls DynamoDB
START = 1_800_000_000.0
FIRST_TICK_S, TICK_S = 20.0, 60.0
END_S = 240.0  # then the storm is given up
STEP_S = 5.0
ADVISED = 500  # reserved runs, as docs/limits-and-cost.md advises from 5,000 Spot nodes on
# Interruptions, nodes, reserved runs. The second shows what binds: it has too few for its size.
STORMS = ((1000, 5000, RESERVED), (5000, 20_000, RESERVED), (5000, 20_000, ADVISED))


@dataclass(frozen=True)
class VirtualStorm:
    """What a storm came to. Seconds run from its first event, those of nodes from their first warning."""

    size: int
    nodes: int
    reserved: int
    events: int
    lost: int
    late: int
    commands: int
    last_command: float
    last_evacuated: float
    safe_median: float
    safe_p99: float
    calls: dict[str, int]
    calls_an_event: float
    callers: dict[str, int]
    longest_guard: float
    most_writes: int
    refused: int
    executions: int
    cold_starts: int
    slowest: float
    failures: dict[str, int]
    bound: str


@dataclass
class Ground:
    """A cluster of so many nodes in service, and AWS around it."""

    nodes: int
    limits: Limits = field(default_factory=Limits)
    clock: Timeline = field(default_factory=lambda: Timeline(START))
    records: OpenNodes = field(default_factory=OpenNodes)
    warned: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Record every node in service, as after a day, and a discovery."""
        self.own = plan.hosts(self.nodes, START)
        self.records.register(map(plan.node_in_service, self.own))
        self.patience = Patience(self.clock)
        self.meter = Meter(self.clock, self.limits, self.patience)
        self.hosts = VirtualHosts(self.clock, self.limits, self._tell)
        self.ec2 = VirtualEc2(self.clock, self.limits, tuple(map(_discovered, self.own)))
        self.functions = Functions(self.clock, self.limits, self._run)
        self.ports = self._make_ports()
        self.world, self.guards_world = self._make_world(HANDLERS), self._make_world(GUARD)

    @property
    def quotas(self) -> list[Quota]:
        """Everything that may bind. Guards that get no run are not missed unless a handler dies."""
        database = [self.meter.writes, self.meter.reads]
        functions = [quota for name, quota in self.functions.quotas.items() if name != GUARDS]
        return [*functions, *database, *self.hosts.quotas.values(), self.ec2.quota]

    def warn(self, one: plan.Warned) -> None:
        """Have EC2 warn of the end of a host: the handler of the warning, and its guard."""
        now = self.clock.now()
        if not one.foreign:
            self.warned.setdefault(one.host.instance, now)
        for kind in (SpotInterruptionWarning, Guard):
            self.functions.invoke(kind, one.event(now))

    def tick(self) -> None:
        """Have the schedule come, now and every minute."""
        self.functions.invoke(Tick, {})
        self.clock.call_at(self.clock.now() + TICK_S, self.tick)

    def _tell(self, command: Command) -> None:
        now = self.clock.now()
        ended = events.invocation_status(command.id, command.host, command.status, now, now)
        self.functions.invoke(InvocationEnded, ended)

    def _run(self, kind: Any, payload: Any) -> None:
        self.patience.begin()
        if kind is Guard:
            guard(payload, replace(self.guards_world, holder=uuid4().hex))
        else:
            handle(kind, payload, replace(self.world, holder=uuid4().hex))

    def _make_ports(self) -> dict[str, Any]:
        managers, settings = MemoryManagers(self.records), MemorySettings()
        managers.record(plan.CLUSTER, [host.instance for host in self.own if host.role == "manager"])
        discoveries = MemoryDiscoveries(self.records)
        discoveries.finish(START - TICK_S, [plan.CLUSTER])
        return {
            "clusters": MemoryClusters(self.records, managers, settings),
            "managers": managers,
            "settings": settings,
            "incidents": MemoryIncidents(),
            "jobs": MemoryJobs(),
            "lease": MemoryLease(),
            "discoveries": discoveries,
        }

    def _make_world(self, caller: str) -> World:
        metered: Any = {
            name: Metered(port, self.meter, COSTS[name], caller) for name, port in self.ports.items()
        }
        return World(
            nodes=cast("Any", Metered(self.records, self.meter, costs_of_nodes(self.limits), caller)),
            hosts=self.hosts,
            ec2=cast("Any", self.ec2),
            autoscaling=FakeAutoScaling(),
            messages=FakeMessages(),
            clock=self.clock,
            timeouts=Timeouts(notice_s=NOTICE, inspection_period_s=0.0),
            **metered,
        )


def run(size: int, nodes: int, limits: Limits | None = None) -> VirtualStorm:
    """Run a storm of so many interruptions within 10 s, until nothing is open any more."""
    random.seed(size)
    ground = Ground(nodes, limits or Limits())
    workers = [host for host in ground.own if host.role == "worker"]
    others = plan.foreigners(plan.foreign(round(size * (1 + plan.DUPLICATES))), START)
    warnings = plan.warnings(workers[:size], others, seed=size)
    for one in warnings:
        ground.clock.call_at(START + one.after, partial(ground.warn, one))
    ground.clock.call_at(START + FIRST_TICK_S, ground.tick)
    with _quiet():
        over = _await_end(ground)
    return _summarize(ground, size, len(warnings), over)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what thousands of handlers log and measure to themselves."""
    level = observability.logger.log_level
    observability.logger.setLevel("CRITICAL")
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        observability.logger.setLevel(level)


def _await_end(ground: Ground) -> float:
    """Let time pass until no work is open and no event waits; answers the seconds of the last record."""
    open_s = 0.0
    while ground.clock.now() < START + END_S:
        ground.clock.run_until(ground.clock.now() + STEP_S)
        if ground.records.open[plan.CLUSTER]:
            open_s = ground.clock.now() - START
        elif ground.clock.now() > START + plan.WINDOW and not ground.functions.waiting:
            break
    return open_s


def _summarize(ground: Ground, size: int, number: int, over: float) -> VirtualStorm:
    work = [one for one in ground.hosts.work if one.task == "evacuate"]
    ended = find_first((one.ended, one.targets) for one in work)
    began = find_first((one.began, one.targets) for one in work)
    safe = [ended[name] - warned for name, warned in ground.warned.items() if name in ended]
    states = [ground.records.records[plan.CLUSTER, name].state for name in ground.warned]
    calls, slowest = dict(ground.meter.calls), {Tick: 0.0, Guard: 0.0, **ground.functions.slowest}
    return VirtualStorm(
        size=size,
        nodes=ground.nodes,
        reserved=ground.limits.reserved,
        events=number,
        lost=sum(state is not NodeState.EVACUATED for state in states),
        late=sum(seconds > NOTICE for seconds in safe) + len(ground.warned) - len(safe),
        commands=ground.hosts.calls["SendCommand"],
        last_command=round(max(began.values(), default=START) - START, 1),
        last_evacuated=over,
        safe_median=percentile(safe, 0.5),
        safe_p99=percentile(safe, 0.99),
        calls=calls,
        calls_an_event=round(sum(calls.values()) / number, 2),
        callers=dict(ground.meter.callers),
        longest_guard=round(slowest[Guard], 1),
        most_writes=max(ground.meter.writes.used.values(), default=0),
        refused=ground.meter.writes.refused + ground.meter.reads.refused,
        executions=ground.functions.most,
        cold_starts=ground.functions.cold,
        slowest=round(max(seconds for kind, seconds in slowest.items() if kind is not Guard), 1),
        failures=dict(ground.functions.failed),
        bound=find_first_bound(ground.quotas, START),
    )


def _discovered(host: Host) -> DiscoveredInstance:
    state = InstanceState.RUNNING
    return DiscoveredInstance(
        plan.CLUSTER, host.instance, Role(host.role), host.address, state, host.launched
    )


MAX_CALLS = 5.0
FEW_NODES = 5000  # up to which the runs that are reserved as it ships are enough
MAX_LAST_COMMAND_S = plan.WINDOW + 30.0


def targets(found: list[VirtualStorm]) -> tuple[Target, ...]:
    """List what is asked of storms in virtual time; who reserves less than is advised may be late."""
    lost = sum(one.lost for one in found)
    late = sum(one.late for one in found if one.reserved >= ADVISED or one.nodes <= FEW_NODES)
    calls = max((sum(one.calls.values()) - one.refused) / one.events for one in found)
    last = found[0].last_command
    return (
        Target("nodes lost", "0 in all storms", str(lost), lost == 0),
        Target("told safe after the notice", "0 with the runs advised", str(late), late == 0),
        Target("DynamoDB calls for an event, answered", "at most 5", f"{calls:.2f}", calls <= MAX_CALLS),
        Target(
            f"last command of {found[0].size:,}", "within 40 s", f"{last:g} s", last <= MAX_LAST_COMMAND_S
        ),
    )
