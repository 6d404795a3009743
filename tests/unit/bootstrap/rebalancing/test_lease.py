"""The lease on the swarm: one holder at a time, and a dead one does not hold it for ever."""

from __future__ import annotations

import pytest

from bootstrap.clock import Clock
from bootstrap.engine.client import Config, RefusedError
from bootstrap.rebalancing.lease import LEASE_NAME, LEASE_S, Lease
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm


def lease(swarm: FakeSwarm, host: str = "host") -> Lease:
    return Lease(swarm, swarm.clock, host)


@pytest.fixture
def swarm() -> FakeSwarm:
    return FakeSwarm(managers=1, workers=0)


def test_only_one_holds_it_and_the_other_learns_who(swarm: FakeSwarm) -> None:
    first, second = lease(swarm, "one"), lease(swarm, "two")
    assert first.take()
    assert not second.take()
    assert second.other_holder().startswith("one ")
    assert first.other_holder() == ""
    first.release(ended=True)
    assert second.take()


def test_a_dead_holders_lease_runs_out_and_a_living_ones_does_not(swarm: FakeSwarm) -> None:
    dead, other = lease(swarm), lease(swarm)
    assert dead.take()
    for _ in range(4):
        swarm.sleep(LEASE_S / 2)
        assert dead.take()
        assert not other.take()
    swarm.sleep(LEASE_S)
    assert other.take()
    assert not dead.take()


def test_what_is_not_ours_any_more_is_not_released(swarm: FakeSwarm) -> None:
    dead, other = lease(swarm), lease(swarm)
    dead.take()
    assert not other.take()
    swarm.sleep(LEASE_S)
    assert other.take()
    dead.release(ended=True)
    assert not dead.take()
    assert other.read().ended == 0


def test_the_end_is_remembered_through_the_next_rebalance_that_does_not_end(swarm: FakeSwarm) -> None:
    first, second = lease(swarm), lease(swarm)
    first.take()
    first.release(ended=True)
    ended = swarm.time
    swarm.sleep(10)
    second.take()
    second.release(ended=False)
    assert second.read().ended == ended


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


@pytest.mark.parametrize("until", ["9999999999", "inf", "12"])
def test_what_a_wrong_clock_or_a_person_wrote_does_not_block_it_for_long(
    swarm: FakeSwarm, until: str
) -> None:
    swarm.create_config(LEASE_NAME, {"holder": "x", "until": until})
    mine = lease(swarm)
    assert not mine.take()
    swarm.sleep(LEASE_S)
    assert mine.take()


@pytest.mark.parametrize("until", ["nan", "soon", "", "-1"])
def test_what_no_holder_wrote_does_not_block_it(swarm: FakeSwarm, until: str) -> None:
    swarm.create_config(LEASE_NAME, {"holder": "x", "until": until})
    assert lease(swarm).take()


@pytest.mark.parametrize("ahead", [-400.0, -112.0, 31.0, 112.0, 400.0])
def test_who_lives_holds_it_whatever_its_clock_says(swarm: FakeSwarm, ahead: float) -> None:
    wrong = Lease(swarm, Clock(lambda: swarm.time + ahead, swarm.sleep), "wrong")
    right = lease(swarm, "right")
    for holder, other in ((wrong, right), (right, wrong)):
        for _ in range(8):
            assert holder.take()
            assert not other.take()
            assert other.other_holder().startswith(holder.me)
            swarm.sleep(LEASE_S / 2)
        holder.release(ended=False)


def test_a_clock_that_is_put_back_does_not_end_the_renewals(swarm: FakeSwarm) -> None:
    shift = [0.0]
    mine = Lease(swarm, Clock(lambda: swarm.time - shift[0], swarm.sleep), "mine")
    other = lease(swarm)
    mine.take()
    shift[0] = 600.0
    for _ in range(8):
        assert mine.take()
        assert not other.take()
        swarm.sleep(LEASE_S / 2)


def test_a_refusal_is_no_sign_that_somebody_else_has_it(swarm: FakeSwarm) -> None:
    mine = lease(swarm)
    assert mine.take()
    swarm.sleep(LEASE_S / 2)

    def refused(*_: object) -> None:
        raise RefusedError("the engine refused to update config: The swarm does not have a leader")

    swarm.update_config = refused  # type: ignore[method-assign, assignment]
    with pytest.raises(RefusedError):
        mine.take()
    swarm.config_rows.clear()
    swarm.create_config = refused  # type: ignore[method-assign, assignment]
    with pytest.raises(RefusedError):
        mine.take()


def test_who_is_second_to_create_it_does_not_hold_it(swarm: FakeSwarm) -> None:
    mine, look = lease(swarm), swarm.config
    answers = [None]
    swarm.config = lambda name: answers.pop() if answers else look(name)  # type: ignore[method-assign]
    swarm.create_config(LEASE_NAME, {"holder": "x", "until": f"{swarm.time + LEASE_S}"})
    assert not mine.take()
