"""What is computed of a storm, and its targets."""

from __future__ import annotations

from dataclasses import replace

from bench.storm import plan
from bench.storm.cloud import Work
from bench.storm.facts import Facts, Rate, facts, percentile, rate, targets
from bench.storm.lambdas import Calls, Invocation
from bench.storm.scale import Storm
from bench.storm.virtual.limits import GUARD

T = 1_800_000_000.0
HOSTS = plan.hosts(7, T)[3:]
NAMES = [host.instance for host in HOSTS]


def storm() -> Storm:
    """Four warnings, one of them twice, one foreign event, two commands."""
    warned = [(T + after, plan.Warned(after, host)) for after, host in enumerate(HOSTS)]
    twice = plan.Warned(4.0, HOSTS[0], again=True)
    alien = plan.Warned(5.0, plan.foreigners(1, T)[0], foreign=True)
    return Storm(
        size=4,
        began=T,
        over=T + 20.0,
        warned=(*warned, (T + 4, twice), (T + 5, alien)),
        states=dict.fromkeys(NAMES, "evacuated"),
        work=(
            Work("a", "m", "evacuate", (NAMES[0],), T + 0.5, T + 10),
            Work("b", "m", "evacuate", tuple(NAMES[1:]), T + 6, T + 18),
            Work("b again", "n", "evacuate", tuple(NAMES[1:]), T + 18, T + 30),
        ),
        api=tuple(
            (T + after, action)
            for after, action in (
                (0.1, "ssm:SendCommand"),
                (0.2, "ssm:X"),
                (6, "ssm:SendCommand"),
                (6, "ec2:Y"),
            )
        ),
        invocations=(
            Invocation("h", T, T + 0.5, T + 3, ""),
            Invocation("h", T, T + 0.1, T + 1, "late"),
            Invocation(GUARD, T, T + 40, T + 90, ""),
        ),
        database=(Calls(int(T), "PutItem", 3), Calls(int(T), "GetItem", 5), Calls(int(T) + 1, "Query", 2)),
    )


def test_everything_is_counted_from_the_first_event() -> None:
    found = facts(storm())
    assert (found.events, found.duplicates, found.foreign) == (6, 1, 1)
    assert (found.lost, found.late, found.strangers) == (0, 0, 0)
    assert (found.ssm, found.ec2) == (Rate(3, 2, 0.1), Rate(1, 1, 0.1))
    assert (found.database, found.writes) == (Rate(10, 8, 0.5), Rate(3, 3, 0.1))
    assert (found.sends, found.targets, found.fullest) == (2, 2.3, 3)
    assert (found.last_command, found.last_evacuated) == (6.0, 20.0)
    assert (found.safe_median, found.safe_p99) == (15.0, 17.0)
    assert (found.failures, found.slowest, found.wait) == (1, 2.5, 0.3)


def test_a_node_that_nobody_reported_is_late_and_one_still_open_is_lost() -> None:
    seen = storm()
    found = facts(replace(seen, work=seen.work[:1], states={**seen.states, NAMES[1]: "evacuating"}))
    assert (found.lost, found.late) == (1, 3)


def test_a_node_that_nobody_was_warned_of_is_a_stranger() -> None:
    seen = storm()
    other = Work("c", "m", "evacuate", ("i-00000000000000fff",), T, T + 1)
    assert facts(replace(seen, work=(*seen.work, other))).strangers == 1


def test_rates_and_percentiles_of_nothing_are_nothing() -> None:
    assert rate([], 10) == Rate(0, 0, 0.0)
    assert percentile([], 0.99) == 0
    assert [percentile(list(range(1, 101)), part) for part in (0.5, 0.99, 1.0)] == [50, 99, 100]


def missed(*found: Facts) -> list[str]:
    """List the names of the targets that were not met."""
    return [one.name for one in targets(found) if not one.met]


def test_a_good_storm_meets_all_targets() -> None:
    assert missed(facts(storm())) == []


def test_what_is_lost_in_any_storm_misses_but_only_the_largest_is_timed() -> None:
    good = facts(storm())
    assert missed(replace(good, lost=1), good) == ["nodes lost"]
    assert missed(replace(good, last_command=61.0), good) == []
    assert missed(good, replace(good, last_command=61.0)) == ["seconds to the last command"]
    assert missed(good, replace(good, ssm=Rate(100, 21, 1.0), sends=14)) == [
        "SSM calls in a second",
        "commands",
    ]
