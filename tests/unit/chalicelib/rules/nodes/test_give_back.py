"""A person gives an evacuated node back, unless its instance is about to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chalicelib.actions import Dispatch, Plan, ReplaceRecord
from chalicelib.events import GiveBackOrdered
from chalicelib.rules import decide
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.scheduled_change import ScheduledChange
from tests.unit.chalicelib.rules.nodes.support.lifecycle_actions import END
from tests.unit.chalicelib.support.fakes import START, WORKER, a_cluster, a_node

if TYPE_CHECKING:
    from chalicelib.state.node import Node

ORDER = GiveBackOrdered(START, WORKER)
EMPTY = a_node(state=NodeState.EVACUATED, since=START - 60)


@pytest.mark.parametrize("back", [0.0, START + 3600])
@pytest.mark.parametrize("drill", [False, True])
def test_a_node_evacuated_by_hand_or_for_a_while_returns_at_once(back: float, *, drill: bool) -> None:
    node = a_node(state=NodeState.EVACUATED, due=back or None, back=back, drill=drill)
    after = node.enter(NodeState.RETURNING, since=START, due=START, reason="given back by hand")
    assert after.drill is drill
    assert decide(ORDER, a_cluster(node)) == Plan(
        after.reason, (ReplaceRecord(node, after), Dispatch(WORKER))
    )


@pytest.mark.parametrize("command", ["", "out"])
def test_ordered_twice_it_returns_once(command: str) -> None:
    node = a_node(state=NodeState.RETURNING, command=command)
    assert decide(ORDER, a_cluster(node)) == Plan("already returning", () if command else (Dispatch(WORKER),))


OTHERS = [state for state in NodeState if state not in (NodeState.EVACUATED, NodeState.RETURNING)]
NEAR = ScheduledChange(START - 9, start=START + 60, code="RETIREMENT", arn="1")


@pytest.mark.parametrize(
    ("node", "why"),
    [
        *((a_node(state=state), f"it is {state}, not evacuated") for state in OTHERS),
        (EMPTY.revise(hooks=(END,)), f"{END.group} ends it"),
        (
            EMPTY.revise(announced=True),
            "EC2 has announced its end; if it survives, it joins again automatically",
        ),
        (EMPTY.revise(notices=(NEAR,)), "RETIREMENT is near; it comes back when that is over"),
    ],
)
def test_what_is_in_use_or_about_to_end_is_refused(node: Node, why: str) -> None:
    plan = decide(ORDER, a_cluster(node))
    assert plan == Plan(f"{WORKER} is not given back: {why}", refused=True)


def test_an_instance_without_a_record_is_refused() -> None:
    assert decide(ORDER, a_cluster()) == Plan(f"{WORKER} has no record in blue", refused=True)
