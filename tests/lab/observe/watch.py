"""Watches the swarm's tasks every 100 ms, so that a dip of a moment is seen, also while managers die."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from docker import DockerClient

from tests.lab import state
from tests.lab.machines import machine
from tests.lab.state import Lab, LabError
from tests.lab.swarm import engine
from tests.lab.swarm.engine import Node, Task

PERIOD_S = 0.1
Places = dict[str, dict[str, int]]  # running tasks by service and host name


@dataclass(frozen=True)
class Sample:
    """What ran at one moment, by a listing made at ``listed``; tasks on hosts without power do not run.

    ``wanted`` is None for global services. Both times are seconds since the epoch.
    """

    time: float
    listed: float
    running: Places
    wanted: dict[str, int | None]

    def count(self, service: str) -> int:
        """How many tasks of the service ran."""
        return sum(self.running.get(service, {}).values())


@dataclass(frozen=True)
class Verdict:
    """One replicated service over the time watched; ``started`` counts tasks that were not there at first."""

    service: str
    wanted: int
    fewest: int
    most: int
    dip: int
    seconds_below: float
    seconds_without: float
    started: int


@dataclass(frozen=True)
class Listing:
    """What a manager answered when asked at ``time``; ``wanted`` is None for global services."""

    time: float
    tasks: tuple[Task, ...]
    wanted: dict[str, int | None]
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Power:
    """Names of the hosts with power, by instance; ``lost``: since when and by what name others have none."""

    hosts: dict[str, str] = field(default_factory=dict)
    lost: dict[str, tuple[float, str]] = field(default_factory=dict)

    def seen(self, hosts: dict[str, str], moment: float) -> Power:
        """Record the power as it is at a later moment."""
        gone = {instance: (moment, name) for instance, name in self.hosts.items() if instance not in hosts}
        return Power(hosts, {**self.lost, **gone})

    def at(self, moment: float) -> dict[str, str]:
        """Find the hosts that had power at an earlier moment."""
        return {**{one: name for one, (when, name) in self.lost.items() if when > moment}, **self.hosts}


class Watch:
    """Samples in the background from its making until ``stop``."""

    def __init__(self, lab: Lab) -> None:
        self.samples: list[Sample] = []
        self.listings: list[Listing] = []
        self.seen: dict[str, set[str]] = {}
        self._lab = lab
        self._over = threading.Event()
        self._client: DockerClient | None = None
        self._power = Power()
        self._listing = engine.wait_until(self._list, "a manager lists the tasks")
        self.listings.append(self._listing)
        self.first = {service: frozenset(ids) for service, ids in self._see().items()}
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._sample)]
        for thread in self._threads:
            thread.start()

    def wait_for_next_poll(self) -> None:
        """Wait until a listing that is asked for from now on is in a sample."""
        began = time.time()
        engine.wait_until(
            lambda: bool(self.samples) and self.samples[-1].listed >= began, "the watch has polled once more"
        )

    def stop(self) -> list[Sample]:
        """End the watching; answers all samples."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        return self.samples

    def started(self, service: str) -> int:
        """How many tasks of the service have come to run since the start."""
        return len(self.seen.get(service, set()) - self.first.get(service, frozenset()))

    def verdicts(self) -> list[Verdict]:
        """Judge each service; global ones are left out, since a node less is a task less."""
        samples = list(self.samples)
        names = {name for sample in samples for name, wanted in sample.wanted.items() if wanted is not None}
        return [verdict(name, samples, self.started(name)) for name in sorted(names)]

    def _listen(self) -> None:
        while not self._over.wait(PERIOD_S):
            if listing := self._list():
                self._listing = listing
                self.listings.append(listing)
                self._see()

    def _sample(self) -> None:
        while not self._over.wait(PERIOD_S):
            listing, lab = self._listing, self._lab
            hosts = {host.instance: host.name for host in lab.hosts if machine.has_power(lab, host)}
            self._power = self._power.seen(hosts, time.time())
            self.samples.append(sample(listing, self._power, time.time()))

    def _list(self) -> Listing | None:
        """Ask a manager, None where it does not answer; asks the next one next time."""
        try:
            self._lab = state.load(self._lab.name)
            self._client = self._client or engine.manager(self._lab, timeout=2)
            return _listing(self._client)
        except (LabError, *engine.UNREACHABLE):
            self._client = None
            return None

    def _see(self) -> dict[str, set[str]]:
        for task in self._listing.tasks:
            if task.running:
                self.seen.setdefault(task.service, set()).add(task.id)
        return self.seen


def sample(listing: Listing, power: Power, moment: float) -> Sample:
    """Combine a listing with the power that its hosts had then.

    By the power of now, what has left a host since would count as lost with it. What is lost with it is still
    there in the next listing.
    """
    powered = power.at(listing.time)
    hosts = {node.id: powered.get(node.instance) for node in listing.nodes}
    counts: dict[str, Counter[str]] = {service: Counter() for service in listing.wanted}
    for task in listing.tasks:
        host = hosts.get(task.node)
        if task.running and host:
            counts[task.service][host] += 1
    running = {service: dict(counter) for service, counter in counts.items()}
    return Sample(moment, listing.time, running, listing.wanted)


def verdict(service: str, samples: list[Sample], started: int) -> Verdict:
    """Judge one replicated service by the samples in which it existed."""
    own = [sample for sample in samples if sample.wanted.get(service) is not None]
    counts = [sample.count(service) for sample in own]
    wanted = [sample.wanted[service] or 0 for sample in own]
    missing = [asked - count for asked, count in zip(wanted, counts, strict=True)]
    return Verdict(
        service=service,
        wanted=wanted[-1],
        fewest=min(counts),
        most=max(counts),
        dip=max(0, *missing),
        seconds_below=_seconds(own, [gap > 0 for gap in missing]),
        seconds_without=_seconds(own, [count == 0 for count in counts]),
        started=started,
    )


def _seconds(samples: list[Sample], which: list[bool]) -> float:
    """How long it lasted: each sample stands for the time until the next."""
    spans = (after.time - before.time for before, after in pairwise(samples))
    return round(sum(span for span, true in zip(spans, which, strict=False) if true), 2)


def _listing(client: DockerClient) -> Listing:
    moment = time.time()
    wanted = {service.name: service.wanted for service in engine.services(client)}
    found = tuple(task for task in engine.tasks(client) if task.service in wanted)
    return Listing(moment, found, wanted, tuple(engine.nodes(client)))
