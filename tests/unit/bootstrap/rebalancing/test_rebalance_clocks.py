"""Rebalances among hosts whose clocks are wrong: nothing is judged by the time that another one tells."""

from __future__ import annotations

import pytest

from bootstrap.clock import Clock
from bootstrap.rebalancing.lease import LEASE_S
from chalicelib.protocol.messages import Balance
from tests.unit.bootstrap.support.rebalances import kill, marked, only, run, uneven

SKEWS = [-400.0, -112.0, 112.0, 400.0]
EVEN = {"n02": 3, "n03": 3, "n04": 3}


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_workers_wrong_clock_neither_delays_nor_hurries_a_surge(ahead: float) -> None:
    right, wrong = uneven(), uneven()
    wrong.skews["n04"] = ahead
    seconds = []
    for swarm in (right, wrong):
        began = swarm.time
        assert only(run(swarm)).balance is Balance.MOVED
        assert swarm.spread("web") == EVEN
        assert swarm.fewest["web"] == 9
        seconds.append(swarm.time - began)
    assert seconds[0] == seconds[1]


@pytest.mark.parametrize("ahead", SKEWS)
def test_what_ends_at_once_on_a_worker_with_a_wrong_clock_is_not_relied_on(ahead: float) -> None:
    swarm = uneven()
    swarm.crashing.add("n04")
    swarm.skews["n04"] = ahead
    assert only(run(swarm)).reason.startswith("new tasks ended 9 times")
    assert swarm.fewest["web"] == 9


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_surge_that_another_clock_has_marked_is_ended_in_its_time(ahead: float) -> None:
    swarm = uneven()
    kill(swarm, 1, "after", 600.0)
    assert marked(swarm)
    result = run(swarm, Clock(lambda: swarm.time + ahead, swarm.sleep))
    assert only(result).balance is Balance.MOVED
    assert swarm.spread("web") == EVEN
    assert swarm.fewest["web"] == 9


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_surge_that_another_clock_has_marked_is_given_up_if_nothing_comes(ahead: float) -> None:
    swarm = uneven()
    swarm.sick.add("n04")
    kill(swarm, 1, "after", 600.0)
    began = swarm.time
    result = run(swarm, Clock(lambda: swarm.time + ahead, swarm.sleep))
    assert only(result).balance is Balance.FAILED
    assert not marked(swarm)
    assert swarm.fewest["web"] == 9
    assert swarm.time - began < 300.0 + 2 * LEASE_S + 60.0


@pytest.mark.parametrize("ahead", [31.0, *SKEWS])
def test_of_two_with_different_clocks_only_one_rebalances(ahead: float) -> None:
    swarm = uneven()
    others: list[str] = []

    def sleep(seconds: float) -> None:
        swarm.sleep(seconds)
        if not others and marked(swarm):
            others.append("begun")
            clock = Clock(lambda: swarm.time + ahead, beside)
            others.append(run(swarm, clock, cooldown=1).facts.get("reason", "it acted"))

    def beside(seconds: float) -> None:
        """Let time pass while the first one goes on, too: it renews its lease."""
        swarm.sleep(seconds)
        (row,) = swarm.config_rows.values()
        row["Spec"]["Labels"]["until"] = f"{swarm.time + LEASE_S:.1f}"

    assert only(run(swarm, Clock(lambda: swarm.time, sleep))).balance is Balance.MOVED
    assert others[1].startswith("another rebalance is under way, by the agent on host-01")
    assert swarm.spread("web") == EVEN
