"""Run Command and EC2 in virtual time: thousands of hosts whose agents take their time."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from bench.storm.cloud import EACH, LEAST, MOST, Work
from bench.storm.virtual.limits import Limits
from bench.storm.virtual.quotas import Quota
from bench.storm.virtual.timeline import Timeline
from chalicelib.errors import ThrottledError
from chalicelib.events import Answer
from chalicelib.protocol.codec import encode_result
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result
from chalicelib.state.instance import DiscoveredInstance

RETRIES_S = (0.5, 1.0)  # pauses of botocore before a throttled call is given back
PAGE_INSTANCES = 1000
EVENT_LAG_S = 0.5  # from the end of a command to its event


@dataclass
class Command:
    """One command on one host."""

    id: str
    host: str
    cluster: str
    task: AgentTask
    arguments: Arguments
    seconds: int
    status: str = "Pending"
    output: str = ""


@dataclass
class VirtualHosts:
    """ports.Hosts; ``tell`` is told of each command that has ended."""

    clock: Timeline
    limits: Limits
    tell: Callable[[Command], None] = lambda _: None
    commands: dict[tuple[str, str], Command] = field(default_factory=dict)
    work: list[Work] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    quotas: dict[str, Quota] = field(default_factory=dict)
    running: Counter[str] = field(default_factory=Counter)
    waiting: dict[str, deque[Command]] = field(default_factory=lambda: defaultdict(deque))

    def __post_init__(self) -> None:
        """Make the quotas: of both calls, and of the commands on a host."""
        limits, now = self.limits, self.clock.now()
        for name in ("SendCommand", "GetCommandInvocation"):
            self.quotas[name] = Quota(name, limits.commands, limits.commands_burst, now)
        self.quotas["host"] = Quota("commands at once on a manager", 0.0, limits.host_commands, now)

    def find_reachable(self, instances: tuple[str, ...]) -> frozenset[str]:
        """Find them all."""
        return frozenset(instances)

    def send(
        self, hosts: tuple[str, ...], cluster: str, task: AgentTask, arguments: Arguments, seconds: int
    ) -> str:
        """Start a task on hosts after a moment. Raises ThrottledError."""
        self._call("SendCommand")
        name = f"{len(self.commands):08x}-0000-0000-0000-000000000000"
        for host in hosts:
            command = Command(name, host, cluster, task, arguments, seconds)
            self.commands[name, host] = command
            self.clock.call_at(self.clock.now() + self.limits.delivery_s, partial(self._deliver, command))
        return name

    def fetch_answer(self, command: str, manager: str) -> Answer:
        """Answer what has become of a command. Raises ThrottledError."""
        self._call("GetCommandInvocation")
        found = self.commands[command, manager]
        return Answer(found.status, f"{found.task.value} {found.cluster}", found.output)

    def cancel(self, command: str, manager: str) -> None:
        """Take a command back that has not begun."""
        self.calls["CancelCommand"] += 1
        found = self.commands[command, manager]
        if found.status == "Pending":
            found.status = "Cancelled"

    def _call(self, name: str) -> None:
        for pause_s in (*RETRIES_S, 0.0):
            self.calls[name] += 1
            self.clock.sleep(self.limits.command_s)
            if self.quotas[name].take(self.clock.now()):
                return
            self.clock.sleep(random.uniform(0, pause_s))  # noqa: S311
        raise ThrottledError(f"Run Command asks for fewer calls: {name}")

    def _deliver(self, command: Command) -> None:
        if command.status != "Pending":
            return
        if self.running[command.host] >= self.limits.host_commands:
            self.quotas["host"].refuse(self.clock.now())
            self.waiting[command.host].append(command)
            return
        self.running[command.host] += 1
        command.status = "InProgress"
        lasts = random.uniform(LEAST, MOST) + EACH * len(command.arguments.targets)  # noqa: S311
        began = self.clock.now()
        self.clock.call_at(began + min(lasts, command.seconds), lambda: self._end(command, began, lasts))

    def _end(self, command: Command, began: float, lasts: float) -> None:
        now, targets = self.clock.now(), command.arguments.targets
        if lasts > command.seconds:
            command.status = "TimedOut"
        else:
            late = 0.0 < command.arguments.deadline < now
            fate = Fate.UNFINISHED if late else Fate.SAFE
            nodes = tuple(NodeReport(one.instance, "n" + one.instance[2:], fate) for one in targets)
            command.output = encode_result(Result(command.task, ok=not late, nodes=nodes))
            command.status = "Success"
            names = tuple(one.instance for one in targets)
            self.work.append(Work(command.id, command.host, command.task.value, names, began, now))
        self.clock.call_at(now + EVENT_LAG_S, lambda: self.tell(command))
        self.running[command.host] -= 1
        waiting = self.waiting[command.host]
        if waiting:
            self._deliver(waiting.popleft())


@dataclass
class VirtualEc2:
    """ports.Ec2 with always the same instances; a page takes its time."""

    clock: Timeline
    limits: Limits
    instances: tuple[DiscoveredInstance, ...]
    pages: int = 0
    quota: Quota = field(init=False)

    def __post_init__(self) -> None:
        """Make the quota."""
        limits = self.limits
        self.quota = Quota("DescribeInstances", limits.describes, limits.describes_burst, self.clock.now())

    def discover(self) -> Iterable[DiscoveredInstance]:
        """Answer all instances, page by page."""
        for _ in range(0, len(self.instances), PAGE_INSTANCES):
            self.pages += 1
            self.clock.sleep(self.limits.describe_s)
            if not self.quota.take(self.clock.now()):
                raise ThrottledError("EC2 asks for fewer calls")
        return self.instances
