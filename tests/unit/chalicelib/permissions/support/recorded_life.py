"""Many histories of a cluster in memory, in which every handler runs, and which ports each of them called."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from chalicelib.admin.calls import call
from chalicelib.errors import CallError, DiscoveryLateError, RefusedError, ThrottledError
from chalicelib.events import (
    Answer,
    FleetFailed,
    FleetInstanceChanged,
    FleetNoted,
    HealthNotice,
    InstanceStateChanged,
    LaunchLifecycleAction,
    SpotInterruptionWarning,
    SpotRequestFulfilled,
    TerminateLifecycleAction,
)
from chalicelib.routing import guard, handle
from chalicelib.state.instance import Role
from chalicelib.state.settings import ClusterSettings, Recommendations, Timeouts
from tests.unit.chalicelib.permissions.support.called_actions import Recorder, handlers
from tests.unit.chalicelib.support.fakes import MANAGERS, a_discovered_instance, instance
from tests.unit.chalicelib.support.samples import sample
from tests.unit.chalicelib.support.simulation import Life, worker

HISTORIES = 60
STEPS = 16
NAMES = (*map(worker, range(4)), *MANAGERS)
PASSING = (ExceptionGroup, ThrottledError, RefusedError, DiscoveryLateError)
FLEET = "fleet-598fb973-87b7-422d-be4d-6b0809bfff0a"
OF_A_FLEET = {"ec2_fleet_error": FleetFailed, "ec2_fleet_information": FleetNoted}
OF_ANYBODY = {
    "spot_interruption_warning": (SpotInterruptionWarning, "instance_id"),
    "instance_running": (InstanceStateChanged, "instance_id"),
    "ec2_fleet_instance_launched": (FleetInstanceChanged, "instance_id"),
    "asg_launch_lifecycle": (LaunchLifecycleAction, "EC2InstanceId"),
    "asg_terminate_lifecycle": (TerminateLifecycleAction, "EC2InstanceId"),
    "health_scheduled_change": (HealthNotice, ""),
    "spot_request_fulfillment": (SpotRequestFulfilled, "instance_id"),
}
CHOICES = ["launch", *["event"] * 4, *["call"] * 3, "fleet", "anybody", "announce", "hosts", "tired"]
EVENTS = ("warn", "notify", "recommend", "scale_in", "terminate", "stop", "start", "drill", "leave", "remove")
OF_A_NODE = {
    "evacuate": {"seconds": 100, "give_back": 300},
    "give_back": {},
    "redrive": {},
    "promote": {},
    "demote": {},
}
OF_A_CLUSTER: dict[str, dict[str, Any]] = {
    "configure": {"recommendations": "evacuate"},
    "pause": {},
    "resume": {},
    "redrive": {},
    "rotate_tokens": {},
    "rebalance": {},
}


class RecordedLife(Life):
    """A life whose handlers are recorded; what they may raise ends none of its histories."""

    def __init__(self, recorder: Recorder, chance: random.Random) -> None:
        unlucky = itertools.repeat(True) if chance.random() < 0.2 else itertools.cycle([False, False, True])
        super().__init__(itertools.cycle([1, 1, 2, 0]), itertools.cycle([0.0, 2.0, 45.0]), unlucky)
        self.timeouts = Timeouts()  # handlers stay with what they have sent
        self.recorder, plain = recorder, self.lab.world
        self.lab.world = lambda **others: recorder.wrap(plain(**others))  # type: ignore[method-assign]
        self.answer = self.hosts.fetch_answer
        self.hosts.fetch_answer = self._fetch_answer  # type: ignore[method-assign]

    def _fetch_answer(self, command: str, manager: str) -> Answer:
        """Answer as the hosts do, also while a handler waits; a frozen one has not even begun."""
        sent = next(one for one in self.hosts.sent if (one.id, one.manager) == (command, manager))
        if (command, manager) not in self.hosts.results and self.lab.clock.time >= sent.at + self.hosts.takes:
            self.hosts.finish(sent)
        answer = self.answer(command, manager)
        return replace(answer, status="Pending") if manager in self.hosts.frozen else answer

    def handle(self, kind: Any, payload: object) -> None:
        self.recorder.handler = handlers()[kind.__name__]
        with suppress(*PASSING):
            handle(kind, payload, self.lab.world(timeouts=self.timeouts))
        if kind is SpotInterruptionWarning:
            self.recorder.handler = handlers()["guard"]
            with suppress(*PASSING):
                guard(payload, self.lab.world(timeouts=self.timeouts))

    def call(self, which: str, **payload: object) -> None:
        self.recorder.handler = handlers()[which]
        with suppress(CallError, *PASSING):
            call(which, payload, self.lab.world(timeouts=self.timeouts))


@cache
def record_histories() -> Recorder:
    """Live through all histories, the same ones each time."""
    recorder = Recorder()
    for seed in range(HISTORIES):
        chance = random.Random(seed)  # noqa: S311 - not a secret
        life = RecordedLife(recorder, chance)
        life.lab.settings.records["blue"] = ClusterSettings(chance.choice(list(Recommendations)), drills=True)
        _hold_a_node_whose_attempts_are_over(life)
        for _ in range(STEPS):
            _act(life, chance)
            life.run(chance.choice([0.0, 1.0, 40.0, 90.0, 700.0]))
        _resume_while_a_group_waits(life)
        life.run(3600)
        life.call("redrive", cluster="blue")
    return recorder


def _act(life: RecordedLife, chance: random.Random) -> None:
    name = chance.choice(NAMES)
    match chance.choice(CHOICES):
        case "launch":
            life.launch(name, held=chance.random() < 0.5, role=Role.WORKER)
        case "event":
            getattr(life, chance.choice(EVENTS))(name)
        case "call":
            _call(life, name, chance)
        case "fleet":
            _tell_of_fleet(life, chance)
        case "anybody":
            _tell_of_anybody(life, chance)
        case "tired":
            _tire(life, name)
        case "announce":
            life.announce(name, life.lab.clock.time + 5400, status=chance.choice(["upcoming", "closed"]))
        case _:
            life.hosts.throttled = chance.choice([0, 1, 3])
            life.hosts.unreachable = set(chance.sample(MANAGERS, chance.choice([0, 0, 1])))
            life.hosts.frozen = set(chance.sample(MANAGERS, chance.choice([0, 1, 2])))


def _tire(life: RecordedLife, name: str) -> None:
    """Have all attempts at a node's open work be made in vain, and nobody be told yet, as after a crash."""
    node = life.lab.nodes.get("blue", name)
    if node and node.due is not None:
        life.lab.nodes.records["blue", name] = replace(node, attempts=12, command="")


def _hold_a_node_whose_attempts_are_over(life: RecordedLife) -> None:
    """Have events come when all attempts were made in vain: their handlers tell people."""
    life.launch(worker(1))
    life.run(300)
    life.call("evacuate", cluster="blue", instance=worker(1))
    _tire(life, worker(1))
    life.scale_in(worker(1))
    life.announce(worker(1), life.lab.clock.time + 5400)
    life.run(50)


def _resume_while_a_group_waits(life: RecordedLife) -> None:
    """Resume when a heartbeat is due and no tick has come yet: less than a minute has none."""
    life.scale_in(worker(0))
    life.run(59)
    life.run(59)
    life.call("resume", cluster="blue")


def _call(life: RecordedLife, name: str, chance: random.Random) -> None:
    match chance.choice(["node", "cluster", "cluster", "status", "init", "recover", "plan"]):
        case "node":
            which = chance.choice(list(OF_A_NODE))
            if which == "give_back":
                life.call("evacuate", cluster="blue", instance=name)
                life.run(30)
            life.call(which, cluster="blue", instance=name, **OF_A_NODE[which])
        case "cluster":
            which = chance.choice(list(OF_A_CLUSTER))
            life.call(which, cluster="blue", **OF_A_CLUSTER[which])
        case "status":
            life.call("status")
        case "init":
            life.call("init", cluster="blue", instance=chance.choice(MANAGERS))
        case "recover":
            life.call("recover", cluster="blue", instance=chance.choice(MANAGERS), confirm="blue")
        case _:
            with suppress(AssertionError):  # these hosts run only what a record is open for
                life.call("rebalance", cluster="blue", dry_run=True)


def _tell_of_fleet(life: RecordedLife, chance: random.Random) -> None:
    """Have a fleet of the cluster, of which an instance is seen, say something."""
    name = instance(300)
    seen = a_discovered_instance(name, fleet=FLEET, address="10.0.8.1", launched=life.lab.clock.time)
    if name not in life.lab.ec2.instances:
        life.lab.ec2.instances[name] = life.listed[name] = seen
        life.run(60)
    payload = chance.choice(list(OF_A_FLEET))
    life.handle(OF_A_FLEET[payload], sample(payload, life.lab.clock.time))


def _tell_of_anybody(life: RecordedLife, chance: random.Random) -> None:
    """Send an event of an instance that no discovery has seen, or of one that is known."""
    payload = chance.choice(list(OF_ANYBODY))
    kind, detail = OF_ANYBODY[payload]
    name = chance.choice([instance(900 + chance.randrange(50)), *NAMES])
    told = {detail: name} if detail else {"affectedEntities": [{"entityValue": name}]}
    life.handle(kind, sample(payload, life.lab.clock.time, **told))
