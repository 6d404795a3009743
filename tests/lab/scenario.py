"""The one story that demo and bench share: services under load, a host is taken away, what comes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from chalicelib.protocol import ProtocolError, decode_result
from tests.lab import aws, engine, handlers, journal, lifecycle, machine, records, services, swarm
from tests.lab.facts import is_safe
from tests.lab.lifecycle import Say, quiet
from tests.lab.load import Answer, Load, start_load
from tests.lab.observation import Doomed, Left, Method, Moments, Observation, fate
from tests.lab.state import Host, Lab, LabError
from tests.lab.watch import Watch

RATE = 20.0  # requests a second to each service that answers
CALM = 5.0  # seconds watched before the event
PATIENCE = 75.0  # seconds after the power cut until the dead node must be gone
SETTLED = 3.0  # seconds watched after that: what breaks late is seen too


@dataclass
class Scenario:
    """One host taken away from a lab that is up. Its fields tell a view how far it has come."""

    lab: Lab
    method: Method
    notice: float = aws.SPOT_NOTICE
    say: Say = quiet
    moments: Moments = field(default_factory=lambda: Moments(0.0, 0.0))
    doomed: Doomed | None = None
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
            self.say("registering the hosts: the first census")
            aws.ask(self.lab, "POST", "/_lab/tick")
            workers = [host for host in self.lab.hosts if host.role == "worker"]
            known = lambda: all(records.state_of(self.lab, host.instance) for host in workers)  # noqa: E731
            engine.wait_until(known, 30, "the handlers record every worker")

    def run(self) -> Observation:
        """Take the host of the single replica away under load; answers what was seen."""
        before = specs(self.lab)
        with self._watching() as watch, self._asking() as load:
            host = self._choose()
            self.say("watching in calm")
            time.sleep(CALM)
            self._disturb(host)
            self._await_end(watch)
            time.sleep(SETTLED)
            answers = load.stop()
        seen = self._observe(watch, answers)
        return replace(seen, specs_before=before, specs_after=specs(self.lab))

    @contextmanager
    def _watching(self) -> Iterator[Watch]:
        self.watch = Watch(self.lab)
        self.moments = Moments(time.time(), 0.0)
        try:
            yield self.watch
        finally:
            self.watch.stop()

    @contextmanager
    def _asking(self) -> Iterator[Load]:
        load = start_load(self.lab, services.ANSWERING, RATE, self.requests)
        try:
            yield load
        except BaseException:
            load.stop()
            raise

    def _choose(self) -> Host:
        """The worker that holds the single replica."""
        tasks = engine.tasks(engine.manager(self.lab), "single")
        node = next(task.node for task in tasks if task.running)
        known = {swarm.node_of(self.lab, host).id: host for host in self.lab.hosts}
        self.doomed = Doomed(known[node].name, known[node].instance, node)
        return known[node]

    def _disturb(self, host: Host) -> None:
        """The event, and the power cut when its notice is over."""
        now = time.time()
        self.moments = replace(self.moments, event=now)
        match self.method:
            case Method.OURS:
                self.say(f"EC2 warns of the end of {host.name} in {self.notice:g} s")
                aws.warn(self.lab, host, self.notice)
            case Method.DRAIN:
                self.say(f"draining {host.name}, {self.notice:g} s to go")
                _drain(self.lab, self.doomed.node if self.doomed else "")
            case Method.NOTHING:
                self.say(f"nobody warns of the end of {host.name}")
        notice = 0.0 if self.method is Method.NOTHING else self.notice
        time.sleep(max(0.0, now + notice - time.time()))
        self.moments = replace(self.moments, cut=time.time())
        self.say(f"cutting the power of {host.name}")
        lifecycle.kill(self.lab.name, host.instance)
        self.lab = replace(self.lab, hosts=tuple(h for h in self.lab.hosts if h.instance != host.instance))

    def _await_end(self, watch: Watch) -> None:
        """Until the dead node is gone from swarm and records or, without us, its tasks run elsewhere."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not self._over(watch):
            time.sleep(0.2)

    def _over(self, watch: Watch) -> bool:
        node = self.doomed.node if self.doomed else ""
        down, removed = fate(watch.listings, node, self.moments.cut)
        if down and not self.moments.down:
            self.say("the swarm calls it Down")
        if removed and not self.moments.removed:
            self.say("removed from the swarm")
        self.moments = replace(self.moments, down=down, removed=removed)
        if self.method is not Method.OURS:
            return bool(down) and is_safe(watch.listings[-1], node)
        return (
            bool(removed)
            and records.state_of(self.lab, self.doomed.instance if self.doomed else "") == "gone"
        )

    def _observe(self, watch: Watch, answers: list[Answer]) -> Observation:
        if self.doomed is None:
            raise LabError("no host was taken away")
        record = records.state_of(self.lab, self.doomed.instance) if self.lab.endpoint else ""
        return Observation(
            method=self.method,
            notice=self.notice,
            doomed=self.doomed,
            moments=replace(self.moments, ended=time.time()),
            listings=tuple(watch.listings),
            samples=tuple(watch.samples),
            answers=tuple(answers),
            specs_before={},
            specs_after={},
            left=Left(record, strays(self.lab)),
            runs=tuple(handlers.runs(self.lab)) if self.lab.endpoint else (),
            journal=tuple(journal.read(self.lab)) if self.lab.endpoint else (),
            ways=ways(self.lab) if self.lab.endpoint else None,
        )


def specs(lab: Lab) -> dict[str, str]:
    """Every service's spec, as the engine writes it."""
    return {service.name: json.dumps(service.spec) for service in engine.services(engine.manager(lab))}


def strays(lab: Lab) -> tuple[str, ...]:
    """Containers that run on hosts with power but belong to no task that is meant to run."""
    wanted = {task.container for task in engine.tasks(engine.manager(lab)) if task.running}
    found = []
    for host in lab.hosts:
        if machine.powered(lab, host):
            running = engine.connect(host).containers.list()
            found += [f"{one.name} on {host.name}" for one in running if one.id not in wanted]
    return tuple(found)


def ways(lab: Lab) -> dict[str, str]:
    """How each service left the node, in the agent's own words."""
    found: dict[str, str] = {}
    for row in aws.ask(lab, "GET", "/_lab/commands"):
        if row["order"]["comment"].startswith("evacuate ") and row["status"] == "Success":
            try:
                result = decode_result(row["stdout"])
            except ProtocolError:
                continue  # the verdict rests on what Swarm shows, not on what the agent says
            found |= {report.service: report.way.value for report in result.services}
    return found


def _drain(lab: Lab, node: str) -> None:
    """What `docker node update --availability drain` does."""
    found = engine.manager(lab).nodes.get(node)
    found.update({**found.attrs["Spec"], "Availability": "drain"})
