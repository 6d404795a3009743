"""The lease on the swarm: one holder at a time, and a dead one does not hold it for ever."""

from __future__ import annotations

import pytest

from bootstrap.rebalancing.lease import LASTS, Lease
from bootstrap.swarm import Config
from tests.unit.bootstrap.fake_swarm import FakeSwarm


def lease(swarm: FakeSwarm, host: str = "host") -> Lease:
    return Lease(swarm, swarm.clock, host)


@pytest.fixture
def swarm() -> FakeSwarm:
    return FakeSwarm(managers=1, workers=0)


def test_only_one_holds_it_and_the_other_learns_who(swarm: FakeSwarm) -> None:
    first, second = lease(swarm, "one"), lease(swarm, "two")
    assert first.take()
    assert not second.take()
    assert second.holder().startswith("one ")
    assert first.holder() == ""
    first.release(ended=True)
    assert second.take()


def test_a_dead_holders_lease_runs_out_and_a_living_ones_does_not(swarm: FakeSwarm) -> None:
    dead, other = lease(swarm), lease(swarm)
    assert dead.take()
    for _ in range(4):
        swarm.sleep(LASTS / 2)
        assert dead.take()
    swarm.sleep(LASTS)
    assert other.take()
    assert not dead.take()


def test_what_is_not_ours_any_more_is_not_released(swarm: FakeSwarm) -> None:
    dead, other = lease(swarm), lease(swarm)
    dead.take()
    swarm.sleep(LASTS)
    other.take()
    dead.release(ended=True)
    assert not dead.take()
    assert other.look().ended == 0


def test_the_end_is_remembered_through_the_next_rebalance_that_does_not_end(swarm: FakeSwarm) -> None:
    first, second = lease(swarm), lease(swarm)
    first.take()
    first.release(ended=True)
    ended = swarm.time
    swarm.sleep(10)
    second.take()
    second.release(ended=False)
    assert second.look().ended == ended


def test_of_two_that_see_it_free_only_one_gets_it(swarm: FakeSwarm) -> None:
    first, second = lease(swarm), lease(swarm)
    first.take()
    first.release(ended=False)
    seen: list[Config | None] = [swarm.config("swarmkeeper.rebalance")]
    assert first.take()
    swarm.config = lambda name: seen[0]  # type: ignore[method-assign] # noqa: ARG005
    assert not second.take()


def test_labels_that_nobody_can_read_count_as_free(swarm: FakeSwarm) -> None:
    swarm.create_config("swarmkeeper.rebalance", {"holder": "x", "until": "soon", "ended": ""})
    assert lease(swarm).take()
