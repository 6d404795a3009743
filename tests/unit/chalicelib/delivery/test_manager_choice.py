"""Which manager gets a command, and when its breaker opens."""

from __future__ import annotations

import pytest

from chalicelib.delivery.circuit_breaker import after_failure, after_success
from chalicelib.delivery.manager_choice import choose_manager
from chalicelib.state.cluster import Breaker, Host
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import START

OPEN = Breaker(3, START + 60, START - 1)
OPEN_LONGER = Breaker(3, START + 120, START - 1)
GOOD, OLD = Breaker(good=START - 5), Breaker(good=START - 500)
DOOMED = NodeState.EVACUATING

TABLE = {
    "the first by name, knowing nothing": ([Host("b"), Host("a")], (), "a"),
    "the last that did well": ([Host("a", breaker=OLD), Host("b", breaker=GOOD)], (), "b"),
    "not one that failed last time": ([Host("a", breaker=Breaker(1, good=START)), Host("b")], (), "b"),
    "not one whose breaker is open": ([Host("a", breaker=OPEN), Host("b", breaker=Breaker(1))], (), "b"),
    "one whose breaker has closed again": ([Host("a", breaker=Breaker(2, START))], (), "a"),
    "not a doomed one": ([Host("a", DOOMED, GOOD), Host("b", breaker=Breaker(1))], (), "b"),
    "a doomed one if it is the only one": ([Host("a", DOOMED)], (), "a"),
    "not one to avoid": ([Host("a", breaker=GOOD), Host("b")], ("a",), "b"),
    "one to avoid if it is the only one": ([Host("a")], ("a",), "a"),
    "the first to close if all are open": (
        [Host("a", breaker=OPEN_LONGER), Host("b", breaker=OPEN)],
        (),
        "b",
    ),
    "nobody without managers": ([], (), None),
    "not one that may never have been in the swarm": (
        [Host("a"), Host("b", breaker=OPEN, node="n2"), Host("c", NodeState.ACTIVATING, node="n3")],
        ("b",),
        "b",
    ),
    "one that stays though it failed, while the others are doomed": (
        [Host("a", breaker=OPEN, node="n1"), Host("b", DOOMED, GOOD, node="n2"), Host("c")],
        (),
        "a",
    ),
    "a doomed one once the one that stays has failed this time, too": (
        [Host("a", breaker=OPEN, node="n1"), Host("b", DOOMED, node="n2")],
        ("a",),
        "b",
    ),
    "not one that was tagged as manager when it was a worker": (
        [Host("a", node="n1", only_tagged=True), Host("b", breaker=OPEN, node="n2")],
        ("b",),
        "b",
    ),
    "one that was tagged so if there is no other": ([Host("a", node="n1", only_tagged=True)], (), "a"),
    "any, while none is proven": ([Host("a", DOOMED, node="n1"), Host("b", NodeState.JOINING)], (), "b"),
}


@pytest.mark.parametrize(("hosts", "avoid", "expected"), TABLE.values(), ids=TABLE)
def test_the_chosen_manager_is(hosts: list[Host], avoid: tuple[str, ...], expected: str | None) -> None:
    chosen = choose_manager(hosts, START, avoid)
    assert (chosen.instance if chosen else None) == expected


def test_the_breaker_opens_at_the_second_failure_in_a_row_and_for_ever_longer() -> None:
    breaker, pauses = Breaker(good=7.0), []
    for _ in range(8):
        breaker = after_failure(breaker, START)
        pauses.append(max(breaker.open_until - START, 0))
    assert pauses == [0, 30, 60, 120, 240, 300, 300, 300]
    assert breaker.good == 7.0


def test_a_very_long_row_of_failures_does_not_overflow() -> None:
    assert after_failure(Breaker(100_000), START).open_until == START + 300


def test_a_success_closes_it() -> None:
    assert after_success(START) == Breaker(good=START)


def test_what_is_sent_again_goes_to_whom_it_was_not_sent_yet() -> None:
    hosts = [Host("a", breaker=Breaker(good=START)), Host("b", breaker=Breaker(good=START + 12)), Host("c")]
    chosen = choose_manager(hosts, START + 60, ("b",), tried=("a", "b"))
    assert chosen == hosts[2]
    assert choose_manager(hosts, START + 60, ("c",), tried=("b", "a", "c")) == hosts[1], "tried longest ago"
