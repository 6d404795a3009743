"""What was seen while one host was taken away: everything the facts are computed from, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.lab.observe.handlers import Run
from tests.lab.observe.journal import Entry
from tests.lab.observe.load import Answer
from tests.lab.observe.watch import Listing, Sample
from tests.lab.swarm.engine import Task


class Method(StrEnum):
    """How a host is taken away."""

    OURS = "swarmkeeper"  # the genuine warning to the deployed handlers, then the power cut
    DRAIN = "plain drain"  # `docker node update --availability drain`, then the power cut
    NOTHING = "nothing"  # the power cut alone


@dataclass(frozen=True)
class Doomed:
    """The host that is taken away."""

    host: str
    instance: str
    node: str


@dataclass(frozen=True)
class Moments:
    """When things happened, in seconds since the epoch; 0 for what did not."""

    began: float
    event: float
    cut: float = 0.0
    down: float = 0.0
    removed: float = 0.0
    ended: float = 0.0
    joined: float = 0.0  # its replacement is in service
    balanced: float = 0.0  # the rebalance after that has ended


@dataclass(frozen=True)
class Replacement:
    """What the fleet launched in place of the host: ``node`` is "" until it is one."""

    host: str
    instance: str
    node: str = ""


@dataclass(frozen=True)
class Left:
    """What was left at the end: the node's record ("" where there is none) and containers of no task."""

    record: str
    strays: tuple[str, ...]


@dataclass(frozen=True)
class Observation:
    """One host taken away, seen from a while before to a while after; specs are JSON by service."""

    method: Method
    notice: float
    doomed: Doomed
    moments: Moments
    listings: tuple[Listing, ...]
    samples: tuple[Sample, ...]
    answers: tuple[Answer, ...]
    specs_before: Mapping[str, str]
    specs_after: Mapping[str, str]
    left: Left
    runs: tuple[Run, ...] = ()
    journal: tuple[Entry, ...] = ()
    ways: Mapping[str, str] | None = None  # what the agent says of each service
    fleet: bool = False  # a fleet maintains the number of workers
    replacement: Replacement | None = None
    engine: str = ""  # its version

    @property
    def replicated(self) -> frozenset[str]:
        """The names of the services with a wanted number of tasks."""
        return frozenset(name for name, wanted in self.listings[0].wanted.items() if wanted is not None)

    @property
    def before(self) -> Listing:
        """The last look at the swarm before the event."""
        return max((one for one in self.listings if one.time <= self.moments.event), key=lambda one: one.time)

    @property
    def since(self) -> tuple[Listing, ...]:
        """The looks at the swarm after the event."""
        return tuple(one for one in self.listings if one.time > self.moments.event)

    @property
    def vacant(self) -> tuple[Listing, ...]:
        """The looks from the event until its replacement was in service, or to the end."""
        return tuple(one for one in self.since if not 0 < self.moments.joined < one.time)

    @property
    def renewed(self) -> tuple[Listing, ...]:
        """The looks from when the replacement was in service."""
        return tuple(one for one in self.since if 0 < self.moments.joined < one.time)

    def standing(self) -> tuple[Task, ...]:
        """List the tasks of replicated services that ran on the doomed node when the event came."""
        return tuple(
            task
            for task in self.before.tasks
            if task.running and task.node == self.doomed.node and task.service in self.replicated
        )


def fate(listings: Iterable[Listing], node: str, cut: float) -> tuple[float, float]:
    """When a node without power was first seen to be down, and when no longer listed; 0 for what was not."""
    after = [one for one in list(listings) if one.time >= cut > 0]
    states = [(one.time, next((n.state for n in one.nodes if n.id == node), "")) for one in after]
    down = next((time for time, state in states if state == "down"), 0.0)
    return down, next((time for time, state in states if not state), 0.0)
