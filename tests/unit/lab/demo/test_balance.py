"""How the replacement's arrival and the rebalance are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lab.demo.findings.balance import Balance, balances, least
from tests.lab.demo.findings.facts import facts
from tests.lab.demo.findings.guarantees import checks
from tests.lab.demo.findings.steps import story_of
from tests.lab.demo.observation import Observation, Replacement
from tests.unit.lab.support.observations import BOTH, evacuated, listing, node, stopped, task

JOINED, BALANCED = 150.0, 160.0
THREE = (*(one for one in BOTH if one.service != "web"), task("web.1b", "y"), task("web.2", "y"))
MOVED = (*THREE[:-1], stopped("web.2", "y"), task("web.3", "z"))


def renewed(*ends: tuple[object, ...]) -> Observation:
    """Observe a good evacuation, a replacement z in service at 150 s, then these looks at the tasks."""
    seen = evacuated()
    z = replace(node("x"), id="z", name="new", instance="i-z")
    looks = [listing(JOINED + n, tasks, doomed="") for n, tasks in enumerate(ends, start=1)]  # type: ignore[arg-type]
    moments = replace(seen.moments, joined=JOINED, balanced=BALANCED, ended=BALANCED + 5)
    return replace(
        seen,
        listings=(*seen.listings, *(replace(one, nodes=(*one.nodes, z)) for one in looks)),
        moments=moments,
        fleet=True,
        replacement=Replacement("new", "i-z", "z"),
    )


def broken(seen: Observation) -> set[str]:
    return {check.name for check in checks(facts(seen)) if not check.held}


def test_the_spread_is_told_by_host_before_and_after_with_the_moves_made() -> None:
    before, after = {"eleven": 2, "new": 0, "ten": 0}, {"eleven": 1, "new": 1, "ten": 0}
    assert balances(renewed(THREE, MOVED)) == (Balance("web", before, after, least=1, started=1),)


def test_what_the_rebalance_starts_is_not_the_evacuations() -> None:
    found = facts(renewed(THREE, MOVED))
    assert (found.replaced, found.safe) == (2, 4.0)
    assert broken(renewed(THREE, MOVED)) == set()


def test_uneven_in_the_end_is_not_balanced() -> None:
    assert broken(renewed(THREE, THREE)) == {"spread of web"}


def test_a_move_too_many_is_not_the_fewest() -> None:
    assert broken(renewed(THREE, (*MOVED, stopped("web.4", "z")))) == {"spread of web"}


def test_a_replacement_that_never_joins_breaks_its_guarantees() -> None:
    seen = evacuated()
    late = replace(seen, fleet=True, replacement=Replacement("new", "i-z"))
    assert broken(late) == {"its replacement", "the rebalance"}


@pytest.mark.parametrize(
    ("places", "moves"), [((5, 4, 0), 3), ((3, 3, 3), 0), ((2, 1), 0), ((6, 0, 0, 0), 4), ((), 0)]
)
def test_the_fewest_moves_to_an_even_spread(places: tuple[int, ...], moves: int) -> None:
    assert least({f"host-{n}": count for n, count in enumerate(places)}) == moves


def test_the_story_has_every_step_with_its_time() -> None:
    told = {step.name: (step.seconds, step.told) for step in story_of(facts(renewed(THREE, MOVED)))}
    assert told["evacuated"][0] == 4.0
    assert told["replacement in service"] == (50.0, "new")
    assert told["rebalanced"] == (60.0, "1 tasks moved: web 2/0/0 to 1/1/0")
