"""A cluster in memory that lives by itself: EC2, Auto Scaling, a swarm, and events that come as they like."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from chalicelib.actions import LifecycleResult
from chalicelib.admin.calls import call
from chalicelib.errors import CallError
from chalicelib.events import (
    FleetInstanceChanged,
    HealthNotice,
    InstanceStateChanged,
    InvocationEnded,
    LaunchLifecycleAction,
    RebalanceRecommended,
    SpotInterruptionWarning,
    TerminateLifecycleAction,
    Tick,
)
from chalicelib.protocol.messages import AgentTask
from chalicelib.routing import handle
from chalicelib.state.instance import UP, DiscoveredInstance, InstanceState, LifecycleAction, Role, Transition
from chalicelib.state.job import Job
from chalicelib.state.lifecycle import LEGAL_CHANGES, NodeState
from chalicelib.state.node import Node
from chalicelib.state.settings import Timeouts
from tests.unit.chalicelib.support.fakes import Lab, Sent, a_discovered_instance, instance
from tests.unit.chalicelib.support.living_hosts import LivingHosts, node_of
from tests.unit.chalicelib.support.memory import MemoryJobs, MemoryNodes
from tests.unit.chalicelib.support.samples import sample

TOKENS = "87654321-4321-4321-4321-{:012d}"
WAITS = 3600.0  # seconds that a group waits for its hook after the last heartbeat


class StrictJobs(MemoryJobs):
    """Refuses what no plan may ever do to a job."""

    def replace(self, cluster: str, before: Job | None, after: Job) -> bool:
        assert after.version == (before.version + 1 if before else 1)
        assert (after.due is not None) == after.is_open, "the tick has to find what is open"
        return super().replace(cluster, before, after)


class StrictNodes(MemoryNodes):
    """Refuses what no plan may ever do to a node's record."""

    def replace(self, before: Node, after: Node) -> bool:
        assert after.version == before.version + 1
        assert after.state is before.state or after.state in LEGAL_CHANGES[before.state]
        assert after.instance == before.instance
        return super().replace(before, after)


class Life:
    """A lab with a queue of what is going to happen; ``copies`` and ``delays`` are drawn for each event.

    ``lag``: for how many seconds EC2 lists an instance as it was before a change.
    """

    def __init__(
        self, copies: Iterator[int], delays: Iterator[float], fails: Iterator[bool], lag: float = 0.0
    ) -> None:
        self.lab = Lab(workers=0)
        self.lab.nodes = self.lab.managers.nodes = self.lab.discoveries.nodes = StrictNodes(
            **vars(self.lab.nodes)
        )
        self.lab.jobs = StrictJobs(**vars(self.lab.jobs))
        self.copies, self.delays = copies, delays
        self.timeouts = Timeouts(hedge_s=0.0)  # nobody stays: here one handler runs after the other
        self.queue: list[tuple[float, int, Callable[[], object]]] = []
        self.order = itertools.count()
        self.held: dict[
            str, dict[str, LifecycleAction]
        ] = {}  # open actions of instances by token, as their group has
        self.beaten: dict[str, float] = {}  # when they began or were last asked to wait longer, by token
        self.timed_out: list[tuple[str, LifecycleAction]] = []  # with the instance still there
        self.hosts = LivingHosts(self.lab.clock, fails=fails)
        self.hosts.ends, self.hosts.alive = self._ends, self.alive
        self.hosts.jobs = lambda: self.lab.jobs.list_all("blue")
        self.hosts.voters.alive, self.hosts.tagged = self.alive, self.tagged
        self.hosts.records = lambda name: self.lab.nodes.get("blue", name)
        self.lab.hosts = self.hosts
        self.lab.autoscaling.complete = self._complete  # type: ignore[method-assign, assignment]
        self.lag, self.listed = lag, dict(self.lab.ec2.instances)
        self.lab.ec2.discover = lambda: tuple(self.listed.values())  # type: ignore[method-assign]
        self.lab.autoscaling.record_heartbeat = self._beat  # type: ignore[method-assign, assignment]
        self.lab.autoscaling.list_open = self._held  # type: ignore[method-assign, assignment]
        for name in self.lab.ec2.instances:
            self.hosts.swarm[name] = "active"
            self.lab.nodes.records["blue", name] = replace(self.lab.node(name), node=node_of(name))

    def handle(self, kind: Any, payload: object) -> None:
        """Invoke a handler once."""
        if kind in (SpotInterruptionWarning, FleetInstanceChanged):
            self._expect(kind.parse(payload))
        handle(kind, payload, self.lab.world(timeouts=self.timeouts))

    def _expect(self, event: SpotInterruptionWarning | FleetInstanceChanged) -> None:
        """Expect a command inside the notice of a real warning of a node in service."""
        node, end = self.lab.nodes.get("blue", event.instance), event.time + self.timeouts.notice_s
        serves = node is not None and node.state is NodeState.IN_SERVICE and node.launched <= event.time
        sends = not self.lab.settings.get("blue").paused and self.lab.managers.list_ids("blue")
        if serves and sends and not event.drill and self.lab.clock.time < end:
            self.later(end - self.lab.clock.time, lambda: self._was_sent(event.instance, event.time, end))

    def _was_sent(self, name: str, begin: float, end: float) -> None:
        assert any(
            sent.task is AgentTask.EVACUATE
            and begin <= sent.at <= end
            and name in {target.instance for target in sent.arguments.targets}
            for sent in self.hosts.sent
        ), f"{name} was warned at {begin}, and nothing was sent"

    def call(self, which: str, **payload: object) -> None:
        """Have a person order, who is refused what cannot be done."""
        with suppress(CallError):
            call(which, {"cluster": "blue", **payload}, self.lab.world(timeouts=self.timeouts))

    def alive(self, name: str) -> bool:
        found = self.lab.ec2.instances.get(name)
        return found is not None and found.state in UP

    def tagged(self, name: str) -> Role:
        return self.lab.ec2.instances[name].role

    def later(self, seconds: float, what: Callable[[], object]) -> None:
        heapq.heappush(self.queue, (self.lab.clock.time + seconds, next(self.order), what))

    def run(self, seconds: float) -> None:
        """Let time pass, with a tick each minute."""
        until = self.lab.clock.time + seconds
        ticks = self.lab.clock.time + 60
        while True:
            upcoming = min(ticks, until, self.queue[0][0] if self.queue else until)
            self.lab.clock.time = max(self.lab.clock.time, upcoming)
            if self.queue and self.queue[0][0] <= self.lab.clock.time:
                heapq.heappop(self.queue)[2]()
            elif self.lab.clock.time >= until:
                return
            else:
                self.handle(Tick, {})
                ticks += 60

    def tell(self, kind: Any, name: str, **detail: object) -> None:
        """Send an event, as often and as late as it comes."""
        payload = sample(name, self.lab.clock.time, **detail)
        for _ in range(next(self.copies)):
            self.later(next(self.delays), lambda: self.handle(kind, payload))

    def launch(self, name: str, *, held: bool = False, role: Role = Role.WORKER) -> None:
        if name in self.lab.ec2.instances:
            return
        number = len(self.lab.ec2.instances)
        place = {"address": f"10.0.9.{number}", "launched": self.lab.clock.time}
        fresh = a_discovered_instance(name, role=role, **place)
        self._appear(fresh)
        self.tell(InstanceStateChanged, "instance_running", instance_id=name)
        if held:
            self.scale_out(name)

    def hold(self, name: str, kind: Any, payload: str) -> None:
        token = TOKENS.format(next(self.order))
        told = {"EC2InstanceId": name, "LifecycleActionToken": token}
        hook = kind.parse(sample(payload, self.lab.clock.time, **told)).hook
        self.held.setdefault(name, {})[token] = hook
        self._appear(replace(self.lab.ec2.instances[name], group=hook.group))
        self.tell(kind, payload, **told)
        self.beaten[token] = self.lab.clock.time
        self.later(WAITS, lambda: self._time_out(name, token))

    def warn(self, name: str) -> None:
        if self.alive(name):
            self.tell(SpotInterruptionWarning, "spot_interruption_warning", instance_id=name)
            self.later(120, lambda: self.terminate(name))

    def notify(self, name: str) -> None:
        """Do the same, with events of its fleet alone."""
        if self.alive(name):
            payload = "ec2_fleet_instance_termination_notified"
            self.tell(FleetInstanceChanged, payload, instance_id=name)
            self.later(120, lambda: self.terminate(name))

    def recommend(self, name: str) -> None:
        if self.alive(name):
            self.tell(RebalanceRecommended, "rebalance_recommendation", instance_id=name)

    def announce(self, name: str, start: float, *, status: str = "upcoming") -> None:
        """Have AWS Health announce a change at ``start``."""
        if self.alive(name):
            entities = [{"entityValue": name}]
            when = {"startTime": formatdate(start, usegmt=True), "statusCode": status}
            self.tell(HealthNotice, "health_scheduled_change", affectedEntities=entities, **when)

    def drill(self, name: str) -> None:
        if self.alive(name):
            payload = sample("drill_interruption_warning", self.lab.clock.time, instance_id=name)
            self.handle(SpotInterruptionWarning, payload)

    def scale_out(self, name: str) -> None:
        self.hold(name, LaunchLifecycleAction, "asg_launch_lifecycle")

    def scale_in(self, name: str) -> None:
        if self.alive(name):
            self.hold(name, TerminateLifecycleAction, "asg_terminate_lifecycle")

    def terminate(self, name: str) -> None:
        if self.alive(name):
            self._turn(name, InstanceState.SHUTTING_DOWN)
            self.later(20, lambda: self._turn(name, InstanceState.TERMINATED))

    def stop(self, name: str) -> None:
        if self.alive(name):
            self._turn(name, InstanceState.STOPPED)

    def start(self, name: str) -> None:
        found = self.lab.ec2.instances.get(name)
        if found and found.state is InstanceState.STOPPED:
            again = replace(found, launched=self.lab.clock.time, state=InstanceState.RUNNING)
            self._appear(again)
            self.tell(InstanceStateChanged, "instance_running", instance_id=name)

    def _appear(self, discovered: DiscoveredInstance) -> None:
        """Make it so now, and have EC2 list it so after the lag."""
        self.lab.ec2.instances[discovered.instance] = discovered
        if self.lag:
            self.later(self.lag, lambda: self.listed.update({discovered.instance: discovered}))
        else:
            self.listed[discovered.instance] = discovered

    def leave(self, name: str) -> None:
        """Have a worker leave its swarm, which goes on listing it."""
        if name in self.hosts.swarm and name not in self.hosts.voters.votes:
            self.hosts.left.add(name)

    def remove(self, name: str) -> None:
        """Take a worker's node out of the swarm, with force."""
        if name not in self.hosts.voters.votes:
            self.hosts.swarm.pop(name, None)

    def _turn(self, name: str, state: InstanceState) -> None:
        self._appear(replace(self.lab.ec2.instances[name], state=state))
        self.tell(InstanceStateChanged, "instance_terminated", instance_id=name, state=state.value)

    def _ends(self, sent: Sent) -> None:
        self.later(self.hosts.takes, lambda: self._end(sent))

    def _end(self, sent: Sent) -> None:
        self.hosts.finish(sent)
        where = {"command_id": sent.id, "instance_id": sent.manager}
        self.tell(InvocationEnded, "ssm_invocation_success", **where)

    def _complete(self, name: str, hook: LifecycleAction, result: LifecycleResult) -> None:
        node = self.lab.nodes.get("blue", name)
        assert node is not None
        launching = hook.transition is Transition.LAUNCHING
        if launching and result is LifecycleResult.CONTINUE:
            is_out = node.state is NodeState.EVACUATED and not node.announced
            assert is_out or node.state is NodeState.IN_SERVICE, "a group goes on with a node of use"
        if not launching and node.state in (NodeState.EVACUATING, NodeState.RETURNING):
            assert node.is_exhausted, "a group is not told to go on while the node is being emptied"
        self.lab.autoscaling.completed.append((name, hook.token, result))
        for token in [hook.token] if hook.token else self._tokens(name, hook.name):
            self._released(name, token, ends=not launching or result is LifecycleResult.ABANDON)

    def _tokens(self, name: str, hook: str) -> list[str]:
        return [token for token, held in self.held.get(name, {}).items() if held.name == hook]

    def _held(self, groups: set[str], now: float) -> dict[str, tuple[LifecycleAction, ...]]:
        waiting = {
            name: [one for one in held.values() if one.group in groups] for name, held in self.held.items()
        }
        return {
            name: tuple({one.name: replace(one, token="", opened=now) for one in hooks}.values())
            for name, hooks in waiting.items()
        }

    def _beat(self, name: str, hook: LifecycleAction) -> None:
        for token in [hook.token] if hook.token else self._tokens(name, hook.name):
            self.beaten[token] = self.lab.clock.time

    def _time_out(self, name: str, token: str) -> None:
        left = self.beaten[token] + WAITS - self.lab.clock.time
        if token in self.held[name] and left > 0:
            self.later(left, lambda: self._time_out(name, token))
            return
        if token in self.held[name] and self.alive(name):
            self.timed_out.append((name, self.held[name][token]))
        self._released(name, token, ends=True)

    def _released(self, name: str, token: str, *, ends: bool) -> None:
        if self.held.get(name, {}).pop(token, None) and ends:
            self.later(1, lambda: self.terminate(name))


def worker(number: int) -> str:
    return instance(100 + number)
