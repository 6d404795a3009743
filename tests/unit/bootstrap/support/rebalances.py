"""Rebalances of a swarm in memory, also such that are killed or disturbed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.clock import Clock
from bootstrap.engine.service import SURGE_LABEL
from bootstrap.tasks import rebalance
from chalicelib.protocol.messages import Arguments, Rebalance, Result, SpreadReport
from tests.unit.bootstrap.support.fake_host import Killed
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm

OPTED_IN = {"rebalance.on.node.create": "true"}
EFFECTS = ("update_node", "update_service", "create_config", "update_config")


def run(swarm: FakeSwarm, clock: Clock | None = None, budget: float = 0, **asked: Any) -> Result:
    deadline = swarm.time + budget if budget else 0.0
    return rebalance.run(
        swarm, Arguments(deadline=deadline, rebalance=Rebalance(**asked)), clock or swarm.clock
    )


def only(result: Result) -> SpreadReport:
    (report,) = result.spreads
    return report


def meanwhile(swarm: FakeSwarm, act: Callable[[], Any]) -> Clock:
    """Make a clock with which ``act`` is called after each step of time."""

    def sleep(seconds: float) -> None:
        swarm.sleep(seconds)
        act()

    return replace(swarm.clock, sleep=sleep)


def marked(swarm: FakeSwarm, service: str = "web") -> bool:
    return SURGE_LABEL in swarm.spec(service)["Labels"]


def uneven(replicas: int = 9, **spec: Any) -> FakeSwarm:
    """Three workers, of which the third has just joined: 5/4/0."""
    swarm = FakeSwarm(managers=1, workers=3)
    swarm.avail("n01", "drain")
    swarm.avail("n04", "drain")
    swarm.add_service("web", replicas, **{"Labels": dict(OPTED_IN), **spec})
    swarm.avail("n04", "active")
    swarm.updates.clear()
    return swarm


def kill(swarm: FakeSwarm, number: int, side: str, budget: float) -> None:
    """Run, and die before or after the numbered effect."""
    effects, dead = itertools.count(), list[bool]()

    def killing(effect: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any, **changes: Any) -> None:
            mine = next(effects) == number
            if dead or (mine and side == "before"):
                dead.append(True)
                raise Killed
            effect(*args, **changes)
            if mine:
                dead.append(True)
                raise Killed

        return call

    originals = {name: getattr(swarm, name) for name in EFFECTS}
    for name, effect in originals.items():
        setattr(swarm, name, killing(effect))
    with pytest.raises(Killed):
        run(swarm, budget=budget)
    for name, effect in originals.items():
        setattr(swarm, name, effect)
