"""The storm's events and what they are about."""

from __future__ import annotations

from bench.storm import plan

NOW = 1_800_000_000.0


def test_a_tenth_comes_twice_and_a_fifth_of_all_is_foreign() -> None:
    own = plan.hosts(500, NOW)
    doomed = plan.victims(own, [100])[100]
    warned = plan.warnings(doomed, plan.foreigners(500, NOW), seed=1)
    again = [one for one in warned if one.again]
    foreign = [one for one in warned if one.foreign]
    assert (len(warned) - len(again) - len(foreign), len(again)) == (100, 10)
    assert len(foreign) / len(warned) == 28 / 138
    assert not {one.host for one in foreign} & set(own)


def test_all_come_in_order_within_the_window_and_the_second_after_the_first() -> None:
    doomed = plan.hosts(103, NOW)[3:]
    warned = plan.warnings(doomed, [], seed=2)
    times = [one.after for one in warned]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= plan.WINDOW
    first = {one.host: one.after for one in warned if not one.again}
    assert all(one.after >= first[one.host] for one in warned if one.again)


def test_each_storm_has_victims_of_its_own_and_spares_the_managers() -> None:
    own = plan.hosts(200, NOW)
    taken = plan.victims(own, [10, 100])
    assert {size: len(some) for size, some in taken.items()} == {10: 10, 100: 100}
    assert not set(taken[10]) & set(taken[100])
    assert all(host.role == "worker" for some in taken.values() for host in some)


def test_foreign_instances_are_shown_without_a_cluster() -> None:
    own, others = plan.hosts(5, NOW), plan.foreigners(2, NOW)
    shown = plan.instances(own, others)
    assert [one.tags.get("swarmkeeper:cluster", "") for one in shown] == ["storm"] * 5 + [""] * 2
    assert len({one.host.address for one in shown}) == len({one.host.instance for one in shown}) == 7
