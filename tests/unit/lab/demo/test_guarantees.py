"""The verdict holds for what should hold, and each guarantee can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.lab.demo.encore import Encore
from tests.lab.demo.findings.facts import facts
from tests.lab.demo.findings.guarantees import checks, held
from tests.lab.demo.observation import Left, Observation
from tests.unit.lab.support.observations import (
    BEFORE,
    BOTH,
    answer,
    evacuated,
    listing,
    observation,
    stopped_first,
    task,
)

Change = Callable[[Observation], Observation]


def broken(seen: Observation) -> set[str]:
    """Name the guarantees that do not hold."""
    return {check.name for check in checks(facts(seen)) if not check.held}


def test_every_guarantee_holds_for_an_evacuation_as_it_should_be() -> None:
    assert broken(evacuated()) == set()
    assert held(facts(evacuated()))


FAULTS: list[tuple[str, Change]] = [
    ("requests to single and web", lambda s: replace(s, answers=(*s.answers, answer(111, error="timeout")))),
    ("service specs", lambda s: replace(s, specs_after={**s.specs_after, "web": "other"})),
    ("service specs", lambda s: replace(s, specs_before={}, specs_after={})),
    ("its replacement", lambda s: replace(s, fleet=True)),
    ("the dead node", lambda s: replace(s, moments=replace(s.moments, removed=0.0))),
    ("its record", lambda s: replace(s, left=Left("leaving", ()))),
    ("containers left over", lambda s: replace(s, left=Left("gone", ("web.1.abc on ten",)))),
    ("the watch itself", lambda s: replace(s, samples=(*s.samples, replace(s.samples[-1], time=200.0)))),
]


@pytest.mark.parametrize(("name", "fault"), FAULTS, ids=[name for name, _ in FAULTS])
def test_one_fault_breaks_its_own_guarantee_only(name: str, fault: Change) -> None:
    assert broken(fault(evacuated())) == {name}
    assert not held(facts(fault(evacuated())))


def test_a_plain_drain_dips() -> None:
    assert {"fewest running tasks", "without a replica of single"} <= broken(stopped_first())


def test_safe_after_the_power_cut_is_too_late() -> None:
    seen = evacuated()
    assert "safe before the power cut" in broken(replace(seen, moments=replace(seen.moments, cut=103.0)))


def test_never_safe_is_not_safe() -> None:
    assert "safe before the power cut" in broken(observation(listing(99.0, BEFORE), listing(104.0, BEFORE)))


def test_a_task_too_many_is_not_least_work() -> None:
    more = observation(listing(99.0, BEFORE), listing(104.0, (*BOTH, task("web.1c", "x"))))
    assert "tasks replaced" in broken(more)


def test_as_many_replaced_but_others_is_not_least_work() -> None:
    others = (BOTH[0], BOTH[1], task("web.1", "d"), task("web.2b", "y"))
    assert "tasks replaced" in broken(observation(listing(99.0, BEFORE), listing(104.0, others)))


def test_no_requests_prove_nothing() -> None:
    assert "requests to the services" in broken(replace(evacuated(), answers=()))


def test_a_service_without_requests_proves_nothing() -> None:
    only = tuple(one for one in evacuated().answers if one.service == "web")
    assert "requests to web" in broken(replace(evacuated(), answers=only))


@pytest.mark.parametrize(
    ("served", "reason", "holds"),
    [
        (27.0, "drained: stopped before they were replaced: bound (1: its new tasks do not serve: x)", True),
        (12.0, "drained: stopped before they were replaced: bound (1: its new tasks do not serve: x)", False),
        (27.0, "safe", False),
    ],
)
def test_what_cannot_start_elsewhere_has_to_serve_until_the_end_and_be_named(
    served: float, reason: str, holds: bool
) -> None:
    found = replace(facts(evacuated()), encore=Encore(served, 40.0, reason))
    assert held(found) == holds
