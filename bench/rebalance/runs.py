"""One way to rebalance in one situation on the lab: set up, done, measured."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from docker.types import UpdateConfig

from bootstrap.rebalancing.lease import LEASE_NAME as LEASE
from chalicelib.protocol.messages import AgentTask, Rebalance
from tests.lab.machines import machine
from tests.lab.observe.load import start_load
from tests.lab.observe.watch import Watch
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine, formation, services
from tests.lab.swarm.agent import Agent
from tests.lab.swarm.uneven_services import set_availability

SERVICE, RATE, CALM = "web", 20, 3.0  # requests a second; seconds watched after the end


class Situation(StrEnum):
    """How nine tasks stand: on which workers they were started, and which are in service then."""

    JOINED = "3/3/3, an empty node joins"
    UNEVEN = "5/4/0"
    BALANCED = "3/3/3, already balanced"

    @property
    def workers(self) -> tuple[int, int]:
        """How many workers are in service at the start of the tasks, and at the rebalance."""
        return {Situation.JOINED: (3, 4), Situation.UNEVEN: (2, 3), Situation.BALANCED: (3, 3)}[self]


class Way(StrEnum):
    """How the service is spread again."""

    SURGE = "Swarmkeeper, surge"
    ROLLING = "Swarmkeeper, rolling"
    FORCE = "service update --force"


@dataclass(frozen=True)
class Measured:
    """What one way cost in one situation; ``minimum`` is how many moves were needed."""

    situation: Situation
    way: Way
    minimum: int
    restarted: int
    wanted: int
    fewest: int
    sent: int
    failed: int
    spread: int  # between the fullest node and the emptiest, in the end
    seconds: float


def prepared(lab: Lab) -> None:
    """Hold what all runs share."""
    services.create_network(lab)


def run(lab: Lab, situation: Situation, way: Way, place: Path) -> Measured:
    """Set the situation up, rebalance under load, and measure."""
    first, then = situation.workers
    _clear(lab)
    _in_service(lab, first)
    services.create(
        lab, SERVICE, "web:1", 9, constraints=["node.role==worker"], update_config=UpdateConfig(parallelism=3)
    )
    services.wait_running(lab)
    _in_service(lab, then)
    before = _counts(lab, then)
    load, watch = start_load(lab, [SERVICE], RATE, place / "load.jsonl"), Watch(lab)
    began = time.monotonic()
    _rebalance(lab, way)
    seconds = time.monotonic() - began
    time.sleep(CALM)
    watch.stop()
    answers = load.stop()
    counts = _counts(lab, then)
    (verdict,) = watch.verdicts()
    return Measured(
        situation,
        way,
        minimum=_minimum(before),
        restarted=verdict.started,
        wanted=9,
        fewest=verdict.fewest,
        sent=len(answers),
        failed=sum(not answer.ok for answer in answers),
        spread=max(counts) - min(counts),
        seconds=round(seconds, 1),
    )


def _rebalance(lab: Lab, way: Way) -> None:
    if way is Way.FORCE:
        words = ["docker", "-H", f"unix://{lab.hosts[0].socket}", "service", "update", "--force", SERVICE]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)  # noqa: S603
        if done.returncode:
            raise LabError(f"service update --force: {done.stderr.strip()}")
        return
    asked = Rebalance((SERVICE,), "rolling" if way is Way.ROLLING else "surge")
    said = Agent(lab.hosts[0], AgentTask.REBALANCE, notice=300, rebalance=asked).wait(timeout=320)
    if said.status:
        raise LabError(f"the rebalance failed: {said.told}")


def _minimum(counts: list[int]) -> int:
    """Count the moves that make these counts even, within 1."""
    share, extra = divmod(sum(counts), len(counts))
    goal = [share + (rank < extra) for rank in range(len(counts))]
    return sum(max(0, have - want) for have, want in zip(sorted(counts, reverse=True), goal, strict=True))


def _workers(lab: Lab) -> list[Host]:
    return [host for host in lab.hosts if host.role == "worker"]


def _counts(lab: Lab, workers: int) -> list[int]:
    """Count the running tasks on each worker in service."""
    found = engine.spread(engine.tasks(engine.manager(lab), SERVICE)).get(SERVICE, {})
    return [found.get(formation.node_of(lab, host).id, 0) for host in _workers(lab)[:workers]]


def _in_service(lab: Lab, count: int) -> None:
    for at, host in enumerate(_workers(lab)):
        availability = "active" if at < count else "drain"
        set_availability(lab, host, availability)


def _clear(lab: Lab) -> None:
    client = engine.manager(lab)
    for service in client.services.list():
        service.remove()
    for row in client.api.configs({"name": LEASE}):
        client.api.remove_config(row["ID"])
    engine.wait_until(lambda: not _containers(lab), "the last run's containers are gone", seconds=30)


def _containers(lab: Lab) -> int:
    return sum(
        len(engine.connect(host).containers.list()) for host in lab.hosts if machine.has_power(lab, host)
    )
