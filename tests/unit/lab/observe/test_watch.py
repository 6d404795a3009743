"""What a watch counts: a listing older than a loss of power is no witness of it."""

from __future__ import annotations

import pytest

from tests.lab.observe.watch import Listing, Power, sample, verdict
from tests.lab.swarm.engine import Task
from tests.unit.lab.support.observations import DOOMED, WANTED, node, task

NODES = (node("d"), node("x"), node("y"))
ALL = {one.instance: one.name for one in NODES}
LEFT = {instance: name for instance, name in ALL.items() if instance != DOOMED.instance}
ON_DOOMED = (task("single.1", "d"), task("web.1", "x"), task("web.2", "y"))
MOVED = (task("single.1", "x"), *ON_DOOMED[1:])


def listing(time: float, tasks: tuple[Task, ...]) -> Listing:
    return Listing(time, tasks, WANTED, NODES)


def test_listing_from_before_a_power_cut_counts_no_task_as_lost_that_may_have_moved() -> None:
    power = Power(ALL).seen(LEFT, 20.0)
    early = sample(listing(19.9, ON_DOOMED), power, 20.1)
    late = sample(listing(20.2, MOVED), power, 20.3)
    assert verdict("single", [early, late], 1).dip == 0
    assert early.time - early.listed == pytest.approx(0.2)


def test_a_task_that_was_lost_with_its_host_is_seen_in_the_next_listing() -> None:
    power = Power(ALL).seen(LEFT, 20.0).seen(LEFT, 25.0)
    found = sample(listing(20.1, ON_DOOMED), power, 25.0)
    assert (found.count("single"), found.count("web")) == (0, 2)
    assert verdict("single", [found], 0).dip == 1


def test_hosts_that_are_lost_one_after_the_other_are_judged_each_by_its_own_moment() -> None:
    power = Power(ALL).seen(LEFT, 20.0).seen({}, 21.0)
    assert set(power.at(19.0)) == set(ALL)
    assert set(power.at(20.5)) == set(LEFT)
    assert power.at(21.0) == {}


def test_a_host_that_comes_counts_at_once() -> None:
    assert Power().seen(LEFT, 10.0).seen(ALL, 20.0).at(19.9) == ALL
