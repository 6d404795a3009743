"""From hand-made looks at a swarm to what they mean."""

from __future__ import annotations

from dataclasses import replace

from tests.lab.demo.findings import facts, moves
from tests.lab.demo.findings.facts import Requests, course, requests, safe_after
from tests.lab.demo.findings.moves import Move
from tests.lab.demo.observation import fate
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


def test_it_is_safe_when_all_runs_elsewhere() -> None:
    assert safe_after(evacuated()) == 4.0
    assert safe_after(stopped_first()) == 7.0


def test_it_is_never_safe_while_a_task_is_wanted_on_the_doomed_node() -> None:
    wanted = (*BOTH, task("web.3", "d", state="starting"))
    assert safe_after(observation(listing(99.0, BEFORE), listing(104.0, wanted))) is None


def test_it_is_safe_only_from_when_it_stays_so() -> None:
    looks = [listing(104.0, BOTH), listing(106.0, BEFORE), listing(109.0, BOTH)]
    assert safe_after(observation(listing(99.0, BEFORE), *looks)) == 9.0


def test_nothing_seen_after_the_event_is_not_safety() -> None:
    assert safe_after(observation(listing(99.0, BOTH))) is None


def test_a_global_task_on_the_doomed_node_does_not_count() -> None:
    tasks = (*BOTH, task("agents.0b", "d"))
    assert safe_after(observation(listing(99.0, BEFORE), listing(104.0, tasks))) == 4.0


def test_a_move_tells_from_where_to_where_and_how_soon() -> None:
    assert moves.moves(evacuated()) == (
        Move("single", 1, "doomed", "ten", "replacement first", 4.0, 0.0, doomed=True),
        Move("web", 1, "doomed", "eleven", "replacement first", 4.0, 0.0, doomed=True),
    )


def test_a_task_stopped_first_leaves_a_gap() -> None:
    found = moves.moves(stopped_first())
    assert [(move.way, move.gap) for move in found] == [("stopped first", 6.0)] * 2


def test_a_power_cut_ends_a_task_that_managers_still_list_as_running() -> None:
    seen = observation(listing(99.0, BEFORE), listing(101.0, BEFORE), listing(113.0, BOTH), cut=100.5)
    assert [move.gap for move in moves.moves(seen)] == [12.5, 12.5]


def test_the_way_is_the_agents_word_where_it_gave_one() -> None:
    seen = replace(evacuated(), ways={"single": "start-first"})
    assert [move.way for move in moves.moves(seen)] == ["start-first", "replacement first"]


def test_a_second_replacement_is_counted_though_it_is_the_same_move() -> None:
    twice = (*BOTH, task("web.1c", "x"))
    seen = observation(listing(99.0, BEFORE), listing(104.0, BOTH), listing(106.0, twice))
    assert len(moves.moves(seen)) == 2
    assert facts.facts(seen).replaced == 3


def test_a_replacement_that_never_ran_is_counted() -> None:
    failed = (*BOTH, task("web.1c", "x", state="rejected", desired="shutdown"))
    assert facts.facts(observation(listing(99.0, BEFORE), listing(104.0, failed))).replaced == 3


def test_a_replacement_that_was_called_off_before_it_ran_is_not_counted() -> None:
    begun = (*BOTH, task("web.1c", "x", state="preparing", desired="remove"))
    seen = observation(listing(99.0, BEFORE), listing(104.0, begun), listing(105.0, BOTH))
    assert facts.facts(seen).replaced == 2


def test_a_task_that_moved_by_scaling_up_and_down_is_told_though_its_slot_is_another() -> None:
    tasks = (*BOTH[1:], task("single.2", "x"))
    found = moves.moves(observation(listing(99.0, BEFORE), listing(104.0, tasks)))
    assert ("single", "doomed", "ten") in {(move.service, move.origin, move.target) for move in found}


def test_a_move_of_a_task_from_another_node_is_told() -> None:
    tasks = (*BOTH[:4], task("web.2b", "y"), task("web.2", "x", state="shutdown", desired="shutdown"))
    found = moves.moves(observation(listing(99.0, BEFORE), listing(104.0, tasks)))
    assert [(move.origin, move.doomed) for move in found if move.slot == 2] == [("ten", False)]


def test_requests_are_counted_by_service_and_kind_of_failure() -> None:
    rows = (answer(1), answer(2, error="no address"), answer(3, error="no address"), answer(4, "single"))
    assert requests(replace(evacuated(), answers=rows)) == (
        Requests("single", 1, 0, 0.01, {}),
        Requests("web", 3, 2, 0.01, {"no address": 2}),
    )


def test_dip_and_outage_are_those_of_the_samples() -> None:
    found = facts.facts(stopped_first())
    assert (found.dip, found.outage) == (1, 6.0)
    assert {row.service: row.fewest for row in found.services} == {"single": 0, "web": 1}
    found = facts.facts(evacuated())
    assert (found.dip, found.outage, found.stood, found.replaced) == (0, 0.0, 2, 2)


def test_the_longest_time_without_a_fresh_look_is_told() -> None:
    seen = evacuated()
    late = replace(seen.samples[-1], time=seen.samples[-1].listed + 3.5)
    assert facts.facts(replace(seen, samples=(*seen.samples, late))).blind == 3.5


def test_changed_specs_are_named() -> None:
    seen = replace(evacuated(), specs_after={"single": "{}", "web": '{"Placement": {}}'})
    assert facts.changed(seen) == ("agents", "web")


def test_the_course_of_a_service_has_its_changes_only() -> None:
    assert course(evacuated(), "web") == [(-5.0, 2, 1), (4.0, 2, 0), (38.0, 2, 0)]


def test_down_and_removed_are_looked_for_after_the_power_cut() -> None:
    seen = evacuated()
    assert fate(seen.listings, "d", seen.moments.cut) == (132.0, 134.0)
    assert fate(seen.listings, "d", 0.0) == (0.0, 0.0)
