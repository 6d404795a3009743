"""The one story that demo and bench share: services under load, a host is taken away, what comes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from chalicelib.protocol.codec import decode_result
from chalicelib.protocol.messages import AgentTask
from chalicelib.protocol.strict_json import ProtocolError
from tests.lab import lifecycle, state
from tests.lab.aws import lab_api
from tests.lab.demo import replacement
from tests.lab.demo.findings.facts import is_safe
from tests.lab.demo.observation import Doomed, Left, Method, Moments, Observation, Replacement, fate
from tests.lab.demo.report import records
from tests.lab.lifecycle import Say, quiet
from tests.lab.machines import machine
from tests.lab.observe import handlers, journal, node_life
from tests.lab.observe.load import Answer, Load, read, start_load
from tests.lab.observe.watch import Watch
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine, formation, services
from tests.lab.swarm.services import ANSWERING

REQUESTS_PER_S = 20.0  # requests a second to each service that answers
CALM_S = 5.0  # seconds without a failure, and with an answer of every replica, before the event
CALM_TIMEOUT_S = 90.0  # seconds; engines that have missed one another's gossip find that out after 30
REMOVAL_TIMEOUT_S = 75.0  # seconds after the power cut until the dead node must be gone
JOIN_TIMEOUT_S = 180.0  # seconds until every host is in service
CONTAINER_END_TIMEOUT_S = 15.0  # for a stopped task's container to end; their stop grace period is 4 s
AFTERMATH_S = 3.0  # seconds watched after that: what breaks late is seen too


@dataclass
class Scenario:
    """One host taken away from a lab that is up. Its fields tell a view how far it has come."""

    lab: Lab
    method: Method
    notice: float = lab_api.SPOT_NOTICE_S
    say: Say = quiet
    moments: Moments = field(default_factory=lambda: Moments(0.0, 0.0))
    doomed: Doomed | None = None
    replacement: Replacement | None = None
    watch: Watch | None = None

    @property
    def requests(self) -> Path:
        """Where the answers to the requests are written as they come."""
        return self.lab.directory / "requests.jsonl"

    def prepare(self) -> None:
        """Deploy the services and, where the lab has AWS, let the handlers take their census."""
        self.say("deploying five services")
        services.deploy(self.lab)
        if self.lab.endpoint:
            self.say("registering the hosts: the product finds them, labels them and takes them into service")
            node_life.tick_until(self.lab, self.lab.hosts, "in-service", JOIN_TIMEOUT_S)

    def run(self) -> Observation:
        """Take the host of the single replica away under load; answers what was seen."""
        before = specs(self.lab)
        with self._watching() as watch, self._asking() as load:
            host = self._choose()
            self._await_calm()
            self._disturb(host, watch)
            self._await_end(watch)
            if self.lab.fleet:
                self._await_renewal()
            time.sleep(AFTERMATH_S)
            answers = load.stop()
        return self._observe(watch, answers, before)

    @contextmanager
    def _watching(self) -> Iterator[Watch]:
        self.watch = Watch(self.lab)
        try:
            yield self.watch
        finally:
            self.watch.stop()

    @contextmanager
    def _asking(self) -> Iterator[Load]:
        load = start_load(self.lab, ANSWERING, REQUESTS_PER_S, self.requests)
        try:
            yield load
        except BaseException:
            load.stop()
            raise

    def _await_calm(self) -> None:
        """Only what fails from here on can be the event's doing."""
        self.say(f"watching until all is calm for {CALM_S:g} s")
        calm = lambda: is_calm(read(self.requests), services.WANTED, time.time())  # noqa: E731
        engine.wait_until(
            calm, "every replica answers, and no request fails", seconds=CALM_TIMEOUT_S, pause=0.5
        )
        self.moments = Moments(time.time() - CALM_S, 0.0)

    def _choose(self) -> Host:
        """Choose the worker that holds the single replica."""
        tasks = engine.tasks(engine.manager(self.lab), "single")
        node = next(task.node for task in tasks if task.running)
        known = {formation.node_of(self.lab, host).id: host for host in self.lab.hosts}
        self.doomed = Doomed(known[node].name, known[node].instance, node)
        return known[node]

    def _disturb(self, host: Host, watch: Watch) -> None:
        """Send the event, and cut the power when its notice is over."""
        self.moments = replace(self.moments, event=time.time())
        match self.method:
            case Method.OURS:
                self.say(f"EC2 warns of the end of {host.name} in {self.notice:g} s")
                lab_api.warn(self.lab, host, self.notice)
            case Method.DRAIN:
                self.say(f"draining {host.name}, {self.notice:g} s to go")
                _drain(self.lab, self._node)
            case Method.NOTHING:
                self.say(f"nobody warns of the end of {host.name}")
        if self.method is not Method.NOTHING:
            self._await_cut(watch)
        self.moments = replace(self.moments, cut=time.time())
        self.say(f"cutting the power of {host.name}")
        known = frozenset(one.instance for one in self.lab.hosts)
        lifecycle.kill(self.lab.name, host.instance)
        self.lab = state.load(self.lab.name)
        if new := replacement.find_launched(self.lab, known):
            self.replacement = new
            self.say(f"the fleet has launched {new.host} ({new.instance}) in its place, a bare host")

    def _await_cut(self, watch: Watch) -> None:
        """Until the notice is over; says when nothing that counts is left on the host."""
        safe = False
        while (left := self.moments.event + self.notice - time.time()) > 0:
            last = watch.listings[-1]
            if not safe and last.time > self.moments.event and is_safe(last, self._node):
                safe = True
                self.say("safe: all that it held runs elsewhere")
            time.sleep(min(0.2, left))

    def _await_end(self, watch: Watch) -> None:
        """Until the dead node is gone from swarm and records or, without us, its tasks run elsewhere."""
        until = time.monotonic() + REMOVAL_TIMEOUT_S
        while time.monotonic() < until and not self._over(watch):
            time.sleep(0.2)

    def _over(self, watch: Watch) -> bool:
        down, removed = fate(watch.listings, self._node, self.moments.cut)
        if down and not self.moments.down:
            self.say("the swarm calls it Down")
        if removed and not self.moments.removed:
            self.say("it is removed from the swarm")
        self.moments = replace(self.moments, down=down, removed=removed)
        if self.method is not Method.OURS:
            return bool(down) and is_safe(watch.listings[-1], self._node)
        return bool(removed) and self._record() == "gone"

    def _await_renewal(self) -> None:
        """Until the replacement is in service and a rebalance has ended, or patience has."""
        if (new := self.replacement) is None or not replacement.wait_joined(self.lab, new):
            return
        self.replacement = replace(new, node=replacement.node_of(self.lab, new))
        self.moments = replace(self.moments, joined=time.time())
        self.say(f"{new.host} is in service: the opted-in services may be spread anew")
        if replacement.wait_balanced(self.lab, self.moments.joined):
            self.moments = replace(self.moments, balanced=time.time())
            self.say("the rebalance has ended")

    @property
    def _node(self) -> str:
        return self.doomed.node if self.doomed else ""

    def _record(self) -> str:
        """Read what the handlers have recorded of the host."""
        return records.state_of(self.lab, self.doomed.instance) if self.lab.endpoint and self.doomed else ""

    def _observe(self, watch: Watch, answers: list[Answer], before: dict[str, str]) -> Observation:
        if self.doomed is None:
            raise LabError("no host was taken away")
        return Observation(
            method=self.method,
            notice=self.notice,
            doomed=self.doomed,
            moments=replace(self.moments, ended=time.time()),
            listings=tuple(watch.listings),
            samples=tuple(one for one in watch.samples if one.time >= self.moments.began),
            answers=tuple(one for one in answers if one.time >= self.moments.began),
            specs_before=before,
            specs_after=specs(self.lab),
            left=Left(self._record(), lasting_strays(self.lab)),
            runs=tuple(handlers.runs(self.lab)) if self.lab.endpoint else (),
            journal=tuple(journal.read(self.lab)) if self.lab.endpoint else (),
            ways=ways(self.lab) if self.lab.endpoint else None,
            fleet=self.lab.fleet,
            engine=engine.version(engine.manager(self.lab)),
            replacement=self.replacement,
        )


def is_calm(answers: Sequence[Answer], wanted: Mapping[str, int | None], now: float) -> bool:
    """Whether for CALM_S seconds no request has failed and each replica has answered."""
    recent = [answer for answer in answers if answer.time + answer.seconds >= now - CALM_S]
    who = {service: {answer.who for answer in recent if answer.service == service} for service in ANSWERING}
    complete = all(len(who[service]) >= (wanted[service] or 1) for service in ANSWERING)
    return complete and all(answer.ok for answer in recent) and answers[0].time <= now - CALM_S


def specs(lab: Lab) -> dict[str, str]:
    """Dump every service's spec, as the engine writes it."""
    return {service.name: json.dumps(service.spec) for service in engine.services(engine.manager(lab))}


def lasting_strays(lab: Lab) -> tuple[str, ...]:
    """Find strays that stay: the container of a task that was moved last may be in its grace period."""
    until = time.monotonic() + CONTAINER_END_TIMEOUT_S
    while (found := strays(lab)) and time.monotonic() < until:
        time.sleep(0.5)
    return found


def strays(lab: Lab) -> tuple[str, ...]:
    """Find containers that run on hosts with power but belong to no task that is meant to run."""
    wanted = {task.container for task in engine.tasks(engine.manager(lab)) if task.running}
    found = []
    for host in lab.hosts:
        if machine.has_power(lab, host):
            running = engine.connect(host).containers.list()
            found += [f"{one.name} on {host.name}" for one in running if one.id not in wanted]
    return tuple(found)


def ways(lab: Lab) -> dict[str, str]:
    """Read how each service left the node, in the agent's own words."""
    found: dict[str, str] = {}
    for row in lab_api.commands(lab, AgentTask.EVACUATE.value):
        if row["status"] == "Success":
            try:
                result = decode_result(row["stdout"])
            except ProtocolError:
                continue  # the verdict rests on what Swarm shows, not on what the agent says
            found |= {report.service: report.way.value for report in result.services}
    return found


def _drain(lab: Lab, node: str) -> None:
    """Do what `docker node update --availability drain` does."""
    engine.change_node(lab, node, lambda _: {"Availability": "drain"})
