"""Records that change together are replaced in one call; an action that fails stops only its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chalicelib.actions import Code, Forget, Plan, ReplaceRecord
from chalicelib.effects import perform_all
from chalicelib.errors import ThrottledError
from tests.unit.chalicelib.support.fakes import Lab, instance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.state.node import Node

NAMES = tuple(instance(number + 10) for number in range(3))


def changes(lab: Lab, *names: str) -> list[ReplaceRecord]:
    nodes = [lab.node(name) for name in names]
    return [ReplaceRecord(node, node.revise(reason="changed")) for node in nodes]


def test_given_successive_changes_expected_one_group_for_each_run_of_them() -> None:
    first, second, third = changes(Lab(workers=3), *NAMES)
    again = ReplaceRecord(second.after, second.after.revise(reason="again"))
    forget = Forget("a")
    plan = Plan("because", (forget, first, second, again, third, forget, third))
    assert plan.groups == [[forget], [first, second], [again, third], [forget], [third]]


def test_given_a_lost_race_expected_the_rest_of_its_group_done_and_no_more() -> None:
    lab = Lab(workers=3)
    first, second, third = changes(lab, *NAMES)
    lab.nodes.replace(second.before, second.after)
    outcomes, failures = perform_all(Plan("x", (first, second, Forget("a"), third)), "blue", lab.world())
    assert [outcome.code for outcome in outcomes] == [Code.DONE, Code.LOST_RACE]
    assert (failures, lab.node(NAMES[0]), lab.node(NAMES[2])) == ([], first.after, third.before)


@pytest.mark.parametrize(("error", "done"), [(ValueError("broken"), 2), (ThrottledError("busy"), 0)])
def test_given_a_group_that_fails_expected_each_by_itself_unless_throttled(
    monkeypatch: pytest.MonkeyPatch, error: Exception, done: int
) -> None:
    """One bad record must not stop its cluster; a busy table is not asked a hundred times."""
    lab = Lab(workers=3)
    replace = lab.nodes.replace

    def fail_together(_: Sequence[tuple[Node, Node]]) -> list[bool]:
        raise error

    def fail_one(before: Node, after: Node) -> bool:
        if before.instance == NAMES[1]:
            raise error
        return replace(before, after)

    monkeypatch.setattr(lab.nodes, "replace_all", fail_together)
    monkeypatch.setattr(lab.nodes, "replace", fail_one)
    outcomes, failures = perform_all(Plan("x", tuple(changes(lab, *NAMES))), "blue", lab.world())
    assert ([outcome.code for outcome in outcomes], failures) == ([Code.DONE] * done, [error])
