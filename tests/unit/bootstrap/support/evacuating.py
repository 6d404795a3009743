"""Evacuations of a swarm in memory, by the ids of its nodes."""

from __future__ import annotations

from dataclasses import replace

from bootstrap.tasks import evacuate
from chalicelib.protocol.messages import Arguments, End, Result, Target, Way
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance

NOTICE = 120.0


def target(node: str) -> Target:
    number = int(node[1:])
    return Target(instance(number), f"10.0.0.{number}")


def run(swarm: FakeSwarm, *nodes: str, notice: float = NOTICE, end: End = End.NOT_SAID) -> Result:
    targets = tuple(replace(target(node), end=end) for node in nodes)
    return evacuate.run(swarm, Arguments(targets, swarm.time + notice), swarm.clock)


def way(result: Result, service: str) -> tuple[Way, int]:
    return next((row.way, row.tasks) for row in result.services if row.service == service)


def three_services() -> FakeSwarm:
    """Make a manager and three workers with ``web``, ``single`` and, on all nodes, ``agents``."""
    swarm = FakeSwarm(managers=1, workers=3)
    swarm.add_service("web", 6, UpdateConfig={"Parallelism": 1, "Order": "stop-first"})
    swarm.add_service("single", 1)
    swarm.add_service("agents", None)
    swarm.settle()
    return swarm
