"""The outside world in memory: a table, manager hosts with a swarm behind them, EC2 and a clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.adapters.ports import World
from chalicelib.errors import RefusedError, ThrottledError, UnreachableError
from chalicelib.events import UNKNOWN, Answer
from chalicelib.protocol.codec import encode_result
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result
from chalicelib.state.cluster import Cluster
from chalicelib.state.instance import DiscoveredInstance, InstanceState, LifecycleAction, Role
from chalicelib.state.node import Node
from chalicelib.state.settings import ClusterSettings, Timeouts
from tests.unit.chalicelib.support.memory import (
    MemoryClusters,
    MemoryDiscoveries,
    MemoryIncidents,
    MemoryJobs,
    MemoryLease,
    MemoryManagers,
    MemoryNodes,
    MemorySettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chalicelib.actions import LifecycleResult

START = 1_800_000_000.0
WORKER, WORKER_2 = "i-0000000000000000a", "i-0000000000000000b"
MANAGERS = ("i-00000000000000001", "i-00000000000000002", "i-00000000000000003")


def instance(number: int) -> str:
    """Return the id of the n-th instance."""
    return f"i-{number:017x}"


def a_node(**changes: object) -> Node:
    """Make a worker in service, but for the changes."""
    plain = Node(
        cluster="blue", instance=WORKER, role=Role.WORKER, address="10.0.0.10", launched=START - 3600
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def a_cluster(*nodes: Node, now: float = START, managers: tuple[str, ...] = MANAGERS) -> Cluster:
    """Make a cluster with these nodes loaded."""
    return Cluster("blue", now, nodes, managers)


def a_discovered_instance(name: str = WORKER, **changes: object) -> DiscoveredInstance:
    """Make a running worker, but for the changes."""
    plain = DiscoveredInstance("blue", name, Role.WORKER, "10.0.0.10", InstanceState.RUNNING, START - 3600)
    return replace(plain, **changes)  # type: ignore[arg-type]


@dataclass
class FakeClock:
    """A clock that moves when somebody sleeps."""

    time: float = START

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class RushingClock(FakeClock):
    """The real time, twice as fast: for threads that wait for each other, on a machine that may stall."""

    began = time.monotonic()

    def now(self) -> float:
        return self.time + (time.monotonic() - self.began) * 2

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / 2)


@dataclass
class Sent:
    """One command that a host was given: a manager, or for a join the instance itself."""

    id: str
    manager: str
    cluster: str
    task: AgentTask
    arguments: Arguments
    seconds: int
    at: float


USUAL = {
    AgentTask.INIT: Fate.JOINED,
    AgentTask.PROMOTE: Fate.PROMOTED,
    AgentTask.DEMOTE: Fate.DEMOTED,
    AgentTask.RECOVER: Fate.JOINED,
    AgentTask.JOIN: Fate.JOINED,
    AgentTask.ACTIVATE: Fate.ACTIVE,
    AgentTask.EVACUATE: Fate.SAFE,
    AgentTask.GIVE_BACK: Fate.ACTIVE,
    AgentTask.LEAVE: Fate.REMOVED,
}


@dataclass
class FakeHosts:
    """The hosts. A healthy one runs a task in ``takes`` seconds, as ``fates`` says for each instance."""

    clock: FakeClock
    takes: float = 5.0
    frozen: set[str] = field(default_factory=set)  # accept commands, never start them
    hung: set[str] = field(default_factory=set)  # start commands, and never end them
    unreachable: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)  # whom AWS refuses commands, and in which words
    unreadable: str = ""  # in which words AWS refuses to show what became of a command
    broken: set[str] = field(default_factory=set)  # run commands, but the agent does not come to an answer
    throttled: int = 0  # so many of the next calls are refused
    lagging: int = 0  # so many of the next answers are not up to date
    fates: dict[str, Fate] = field(default_factory=dict)
    answers: dict[AgentTask, Result] = field(default_factory=dict)  # in place of the usual ones
    own_answers: dict[tuple[str, AgentTask], Result] = field(default_factory=dict)  # of one host
    sent: list[Sent] = field(default_factory=list)
    count: int = 0
    refusals: int = 0
    cancelled: set[str] = field(default_factory=set)
    pause: Callable[[], None] = lambda: None

    def find_reachable(self, instances: tuple[str, ...]) -> frozenset[str]:
        self._throttle()
        return frozenset(instances) - self.unreachable

    def send(
        self, hosts: tuple[str, ...], cluster: str, task: AgentTask, arguments: Arguments, seconds: int
    ) -> str:
        self._throttle()
        self.pause()
        for host in hosts:
            if host in self.unreachable:
                raise UnreachableError(f"Run Command cannot reach {host}")
            if host in self.refused:
                self.refusals += 1
                raise RefusedError(f"Run Command refuses {host}: {self.refused[host]}")
        self.count += 1
        command = f"command-{self.count}"
        now = self.clock.now()
        self.sent += [Sent(command, host, cluster, task, arguments, seconds, now) for host in hosts]
        return command

    def fetch_answer(self, command: str, manager: str) -> Answer:
        self._throttle()
        if self.unreadable:
            raise RefusedError(f"Run Command refuses {manager}: {self.unreadable}")
        found = next((sent for sent in self.sent if (sent.id, sent.manager) == (command, manager)), None)
        if found is None:
            return Answer(UNKNOWN)
        comment = f"{found.task.value} {found.cluster}"
        if status := self._unfinished(found):
            return Answer(status, comment)
        if manager in self.broken:
            return Answer("Failed", comment, "", "swarmkeeper: the engine does not answer\n")
        return Answer("Success", comment, encode_result(self._result(found)))

    def _unfinished(self, sent: Sent) -> str:
        if sent.id in self.cancelled:
            return "Cancelled"
        if sent.manager in self.frozen:
            return "Pending"
        if sent.manager in self.hung or self.clock.now() < sent.at + self.takes:
            return "InProgress"
        self.lagging -= 1
        return "InProgress" if self.lagging >= 0 else ""

    def cancel(self, command: str, manager: str) -> None:  # noqa: ARG002
        self.cancelled.add(command)

    def _result(self, sent: Sent) -> Result:
        if own := self.own_answers.get((sent.manager, sent.task)):
            return own
        if sent.task in self.answers:
            return self.answers[sent.task]
        usual = USUAL.get(sent.task, Fate.ACTIVE)
        reports = tuple(
            NodeReport(target.instance, f"node{target.instance[-3:]}", self.fates.get(target.instance, usual))
            for target in sent.arguments.targets
            if sent.task is not AgentTask.JOIN or target.instance == sent.manager
        )
        return Result(sent.task, ok=True, nodes=reports)

    def _throttle(self) -> None:
        if self.throttled:
            self.throttled -= 1
            raise ThrottledError("Rate exceeded")


@dataclass
class FakeEc2:
    """EC2 with these instances, counting how often it is asked."""

    instances: dict[str, DiscoveredInstance] = field(default_factory=dict)
    asked: int = 0

    def discover(self) -> tuple[DiscoveredInstance, ...]:
        self.asked += 1
        return tuple(self.instances.values())

    def turn(self, name: str, state: InstanceState) -> None:
        """Have an instance go into another state."""
        self.instances[name] = replace(self.instances[name], state=state)


@dataclass
class FakeAutoScaling:
    """Auto Scaling with its open lifecycle actions by instance, and what it was told."""

    open_actions: dict[str, tuple[LifecycleAction, ...]] = field(default_factory=dict)
    completed: list[tuple[str, str, LifecycleResult]] = field(default_factory=list)
    heartbeats: list[str] = field(default_factory=list)
    refuses: bool = False

    def list_open(self, groups: Iterable[str], now: float) -> dict[str, tuple[LifecycleAction, ...]]:
        self._refuse()
        return {
            name: tuple(replace(hook, token="", opened=now) for hook in hooks if hook.group in groups)
            for name, hooks in self.open_actions.items()
        }

    def complete(self, instance: str, hook: LifecycleAction, result: LifecycleResult) -> None:
        self._refuse()
        self.completed.append((instance, hook.token, result))

    def record_heartbeat(self, instance: str, hook: LifecycleAction) -> None:  # noqa: ARG002
        self._refuse()
        self.heartbeats.append(instance)

    def _refuse(self) -> None:
        if self.refuses:
            raise RefusedError("Auto Scaling refuses")


@dataclass
class FakeMessages:
    """The messages that people got."""

    published: list[tuple[str, str]] = field(default_factory=list)
    refuses: bool = False

    def publish(self, subject: str, text: str) -> None:
        if self.refuses:
            raise RefusedError("SNS did not take it")
        self.published.append((subject, text))


def _in_service(discovered: DiscoveredInstance) -> Node:
    return a_node(
        instance=discovered.instance,
        role=discovered.role,
        address=discovered.address,
        launched=discovered.launched,
        since=discovered.launched,
    )


@dataclass
class Lab:
    """A cluster ``blue`` of three managers and some workers, all in memory.

    ``settled``: all of them are in service already; otherwise nothing is recorded yet. ``rebalance``: joins
    are followed by one. ``hedge``: handlers watch urgent evacuations. ``inspection_period_s``: between two
    inspections of the swarm. Most stories are not about these.
    """

    workers: int = 2
    settled: bool = True
    rebalance: bool = False
    hedge: bool = False
    inspection_period_s: float = 0.0
    clock: FakeClock = field(default_factory=FakeClock)
    nodes: MemoryNodes = field(default_factory=MemoryNodes)
    managers: MemoryManagers = field(init=False)
    settings: MemorySettings = field(default_factory=MemorySettings)
    incidents: MemoryIncidents = field(default_factory=MemoryIncidents)
    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    lease: MemoryLease = field(default_factory=MemoryLease)
    discoveries: MemoryDiscoveries = field(init=False)
    ec2: FakeEc2 = field(default_factory=FakeEc2)
    autoscaling: FakeAutoScaling = field(default_factory=FakeAutoScaling)
    messages: FakeMessages = field(default_factory=FakeMessages)
    hosts: FakeHosts = field(init=False)

    def __post_init__(self) -> None:
        self.managers = MemoryManagers(self.nodes)
        self.discoveries = MemoryDiscoveries(self.nodes)
        self.hosts = FakeHosts(self.clock)
        self.settings.records["blue"] = ClusterSettings(rebalance=self.rebalance)
        for number, name in enumerate(MANAGERS):
            discovered = a_discovered_instance(name, role=Role.MANAGER, address=f"10.0.0.{number + 1}")
            self.ec2.instances[name] = discovered
        for number in range(self.workers):
            name = instance(number + 10)
            address = f"10.0.{1 + number // 200}.{number % 200 + 1}"
            self.ec2.instances[name] = a_discovered_instance(name, address=address)
        if self.settled:
            self.nodes.register(map(_in_service, self.ec2.instances.values()))
            self.managers.record("blue", MANAGERS)
            self.discoveries.finish(START - 60, ["blue"])

    def world(self, **others: object) -> World:
        """Make the world of one invocation."""
        timeouts = (
            Timeouts(inspection_period_s=self.inspection_period_s)
            if self.hedge
            else Timeouts(inspection_period_s=self.inspection_period_s, hedge_s=0.0)
        )
        world = World(
            nodes=self.nodes,
            clusters=MemoryClusters(self.nodes, self.managers, self.settings),
            managers=self.managers,
            settings=self.settings,
            incidents=self.incidents,
            jobs=self.jobs,
            lease=self.lease,
            discoveries=self.discoveries,
            hosts=self.hosts,
            ec2=self.ec2,
            autoscaling=self.autoscaling,
            messages=self.messages,
            clock=self.clock,
            timeouts=timeouts,
        )
        return replace(world, **others)  # type: ignore[arg-type]

    def node(self, name: str = WORKER) -> Node:
        """Return the record of an instance, which must exist."""
        node = self.nodes.get("blue", name)
        assert node is not None
        return node
