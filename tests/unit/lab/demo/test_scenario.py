"""When the lab is calm enough for an event."""

from __future__ import annotations

from tests.lab.demo.scenario import is_calm
from tests.lab.observe.load import Answer

WANTED: dict[str, int | None] = {"web": 2, "single": 1, "agents": None}


def answers(*, until: float, who: tuple[str, ...] = ("web-1", "web-2")) -> list[Answer]:
    """Answer a request a second to each replica."""
    names = [("web", name) for name in who] + [("single", "single-1")]
    return [
        Answer(float(n), service, True, "", 0.01, name) for n in range(int(until)) for service, name in names
    ]


def test_it_is_calm_when_every_replica_answers() -> None:
    assert is_calm(answers(until=10), WANTED, 10.0)


def test_it_is_not_calm_while_a_replica_is_silent() -> None:
    assert not is_calm(answers(until=10, who=("web-1",)), WANTED, 10.0)


def test_it_is_not_calm_right_after_the_start() -> None:
    assert not is_calm(answers(until=3), WANTED, 3.0)


def test_a_failure_counts_from_when_it_was_known() -> None:
    late = Answer(1.0, "web", False, "timeout", 5.0, "")
    assert not is_calm([*answers(until=10), late], WANTED, 10.0)
    assert is_calm([*answers(until=20), late], WANTED, 20.0)
