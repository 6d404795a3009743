"""The life of a node: every legal way, and no other."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from chalicelib.errors import TransitionError
from chalicelib.protocol.messages import AgentTask, End, Target
from chalicelib.state.lifecycle import LEGAL_CHANGES, NodeState
from tests.unit.chalicelib.support.fakes import WORKER, a_cluster, a_node


@pytest.mark.parametrize(("before", "after"), list(product(NodeState, NodeState)))
def test_a_node_goes_only_where_the_table_lets_it(before: NodeState, after: NodeState) -> None:
    node = a_node(state=before, version=7)
    if after in LEGAL_CHANGES[before]:
        moved = node.enter(after, since=5.0, reason="because")
        assert (moved.state, moved.version, moved.since, moved.reason) == (after, 8, 5.0, "because")
    else:
        with pytest.raises(TransitionError, match=f"{WORKER} cannot go from {before} to {after}"):
            node.enter(after, since=5.0, reason="because")


def test_a_new_state_forgets_what_belonged_to_the_last_one() -> None:
    sent = a_node(state=NodeState.EVACUATING, deadline=9.0, node="abc").mark_sent("c", "m", due=3.0)
    left = sent.enter(NodeState.LEAVING, since=5.0, reason="ended", due=5.0)
    assert (left.command, left.manager, left.attempts, left.deadline) == ("", "", 0, 0.0)
    assert (left.node, left.due) == ("abc", 5.0)


@pytest.mark.parametrize(
    ("state", "task"),
    [
        (NodeState.IN_SERVICE, None),
        (NodeState.EVACUATING, AgentTask.EVACUATE),
        (NodeState.EVACUATED, None),
        (NodeState.LEAVING, AgentTask.LEAVE),
        (NodeState.GONE, None),
    ],
)
def test_only_evacuating_and_leaving_nodes_have_work(state: NodeState, task: AgentTask | None) -> None:
    node = a_node(state=state)
    assert node.task is task
    assert node.is_unsent is (task is not None)
    assert not node.revise(command="c").is_unsent


def test_a_node_is_found_by_its_instance_and_is_a_target() -> None:
    node = a_node(node="abc")
    assert a_cluster(node).node(WORKER) == node
    assert a_cluster(node).node("i-00000000") is None
    assert node.revise().target == Target(WORKER, "10.0.0.10", "abc", 2)


@pytest.mark.parametrize(
    ("state", "changes", "end"),
    [
        (NodeState.EVACUATING, {"gentle": True}, End.FOR_GOOD),
        (NodeState.EVACUATING, {"gentle": True, "drill": True}, End.FOR_A_WHILE),
        (NodeState.EVACUATING, {"gentle": True, "back": 9.0}, End.FOR_A_WHILE),
        (NodeState.EVACUATING, {}, End.ANNOUNCED),
        (NodeState.EVACUATING, {"announced": True}, End.ANNOUNCED),
        (NodeState.EVACUATING, {"drill": True}, End.NOT_SAID),  # as version 0.1 recorded it
        (NodeState.EVACUATED, {"gentle": True}, End.NOT_SAID),
    ],
)
def test_an_evacuation_is_told_what_is_known_of_the_instances_end(
    state: NodeState, changes: dict[str, Any], end: End
) -> None:
    assert a_node(state=state, **changes).target.end is end
