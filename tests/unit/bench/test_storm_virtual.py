"""Virtual time runs the handlers as they are, with quotas that bind."""

from __future__ import annotations

import pytest

from bench.storm import plan
from bench.storm.virtual import storm
from bench.storm.virtual.limits import Limits
from bench.storm.virtual.quotas import Quota, find_first_bound
from bench.storm.virtual.storm import run
from bench.storm.virtual.timeline import Timeline


def test_given_threads_that_sleep_expected_each_at_its_time() -> None:
    timeline, seen = Timeline(0.0), []

    def sleeper(name: str, seconds: float) -> None:
        for _ in range(2):
            timeline.sleep(seconds)
            seen.append((name, timeline.now()))

    timeline.start_at(0.0, lambda: sleeper("a", 2.0))
    timeline.start_at(1.0, lambda: sleeper("b", 2.0))
    timeline.call_at(2.5, lambda: seen.append(("call", timeline.now())))
    timeline.run_until(4.5)
    assert seen == [("a", 2.0), ("call", 2.5), ("b", 3.0), ("a", 4.0)]
    timeline.run_until(10.0)
    assert (seen[-1], timeline.now()) == (("b", 5.0), 10.0)


def test_given_a_thread_that_raises_expected_the_error() -> None:
    timeline = Timeline(0.0)
    timeline.start_at(1.0, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        timeline.run_until(2.0)


def test_given_more_than_a_quota_expected_a_refusal_until_it_is_full_again() -> None:
    quota = Quota("writes", rate=10.0, burst=20.0)
    assert [quota.take(0.0, 15.0), quota.take(0.0, 15.0), quota.take(1.0, 15.0)] == [True, False, True]
    assert quota.take(100.0, 50.0), "a full bucket lets a large one pass"
    other = Quota("others", 1.0, 1.0)
    assert find_first_bound([other, quota], 0.0) == "writes (after 0.0 s, 1 times)"


def test_given_a_small_storm_expected_nothing_lost_and_the_same_again() -> None:
    first = run(20, 100)
    assert (first.lost, first.late, first.failures, first.bound) == (0, 0, {}, "none")
    assert first.last_command < plan.WINDOW + 30
    assert run(20, 100) == first


def test_given_a_storm_expected_each_warning_at_its_guard_too() -> None:
    few, none_free = run(20, 100), run(20, 100, Limits(guards=1))
    assert few.callers["guards"] > 0
    assert none_free.callers["guards"] < few.callers["guards"], "a pool of their own bounds them"
    assert few.longest_guard > 15


def test_given_a_storm_of_many_expected_five_calls_for_an_event_guards_too() -> None:
    found = run(500, 2000)
    assert sum(found.calls.values()) <= 5 * found.events
    assert sum(found.callers.values()) == sum(found.calls.values()) - found.refused


def test_given_a_narrow_partition_expected_it_named_and_nothing_lost() -> None:
    found = run(40, 100, Limits(write_units=25.0))
    assert (found.lost, found.late, found.failures) == (0, 0, {})
    assert found.bound.startswith("DynamoDB writes of the partition")
    assert found.refused > 0


def test_given_few_executions_expected_lambdas_queue_to_try_again() -> None:
    found = run(40, 100, Limits(concurrency=4, reserved=0, guards=1))
    assert found.lost == 0
    assert found.bound.startswith("Lambda executions at once")
    found = run(40, 100, Limits(reserved=6))
    assert found.lost == 0
    assert found.bound.startswith("reserved executions of the warnings' handler")


def test_given_the_targets_expected_one_row_for_each() -> None:
    assert all(target.met for target in storm.targets([run(20, 100)])[:2])
