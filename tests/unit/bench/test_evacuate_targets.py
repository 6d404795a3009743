"""The bench's targets, met and missed."""

from __future__ import annotations

from dataclasses import replace

from bench.evacuate.targets import targets
from tests.lab.demo.findings.facts import Facts, facts
from tests.lab.demo.observation import Method
from tests.unit.lab.support.observations import evacuated, stopped_first


def missed(ours: Facts, plain: Facts) -> list[str]:
    """List the names of the targets that were not met."""
    return [one.name for one in targets({Method.OURS: ours, Method.DRAIN: plain}) if not one.met]


def test_an_evacuation_as_it_should_be_meets_all() -> None:
    assert missed(facts(evacuated()), facts(stopped_first())) == []


def test_a_plain_drain_in_our_place_misses() -> None:
    assert missed(facts(stopped_first()), facts(stopped_first())) == [
        "tasks missing at worst",
        "without a replica of single",
    ]


def test_more_than_twice_the_plain_drains_time_misses() -> None:
    ours, plain = facts(evacuated()), facts(stopped_first())
    assert missed(replace(ours, safe=14.1), plain) == ["time to safe"]
    assert missed(replace(ours, safe=14.0), plain) == []
    assert missed(replace(ours, safe=None), plain) == ["time to safe"]
    assert missed(ours, replace(plain, safe=None)) == ["time to safe"]


def test_failed_requests_and_extra_work_miss() -> None:
    ours, plain = facts(evacuated()), facts(stopped_first())
    assert missed(replace(ours, replaced=3), plain) == ["tasks replaced"]
    assert missed(replace(ours, requests=()), plain) == ["requests failed"]
