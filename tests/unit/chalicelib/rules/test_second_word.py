"""No host leaves on one manager's word when it is activated or given back; it takes two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Dispatch, ReplaceRecord
from chalicelib.events import CommandFinished
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.rules import decide
from chalicelib.rules.second_word import PERIOD_S
from chalicelib.state.instance import Role
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, Lab, a_cluster, a_node
from tests.unit.chalicelib.support.stories import commands, state, tick

M1, M2, M3 = MANAGERS
WORDS = [
    (AgentTask.ACTIVATE, NodeState.ACTIVATING, Fate.ABSENT),
    (AgentTask.ACTIVATE, NodeState.ACTIVATING, Fate.ANOTHERS),
    (AgentTask.GIVE_BACK, NodeState.RETURNING, Fate.ABSENT),
]
each_word = pytest.mark.parametrize(("task", "during", "fate"), WORDS)
SERVING = tuple(a_node(instance=name, role=Role.MANAGER, node=f"m{name[-1]}") for name in MANAGERS)


def a_record(during: NodeState, manager: str = M1, **changes: object) -> Node:
    given = {"node": "abc", "command": "c-1", "manager": manager, "attempts": 1}
    return a_node(state=during, **{**given, **changes})


def told(
    node: Node, task: AgentTask, fate: Fate, *managers: Node, now: float = START
) -> tuple[Node, list[object]]:
    """Return the record after its manager has said what became of it, and all actions."""
    result = Result(task, ok=False, nodes=(NodeReport(WORKER, "abc", fate, "no node abc"),))
    event = CommandFinished(now, "c-1", node.manager, task, "Success", result)
    names = tuple(one.instance for one in managers)
    plan = decide(event, a_cluster(node, *managers, now=now, managers=names))
    (change,) = (action for action in plan.actions if isinstance(action, ReplaceRecord))
    return change.after, list(plan.actions)


@each_word
def test_the_first_word_has_another_manager_asked_at_once(
    task: AgentTask, during: NodeState, fate: Fate
) -> None:
    found, actions = told(a_record(during), task, fate, *SERVING)
    assert (found.state, found.node, found.doubted_by, found.due) == (during, "abc", M1, START)
    assert "another manager is asked" in found.reason
    assert Dispatch(WORKER) in actions


@each_word
def test_the_word_of_a_second_manager_counts(task: AgentTask, during: NodeState, fate: Fate) -> None:
    node = a_record(during, M2, doubted_by=M1, doubted_at=START - 1)
    found, _ = told(node, task, fate, *SERVING)
    assert (found.state, found.node, found.doubted_by) == (NodeState.JOINING, "abc", "")


@each_word
def test_the_same_manager_does_not_count_twice_while_there_are_others(
    task: AgentTask, during: NodeState, fate: Fate
) -> None:
    node = a_record(during, doubted_by=M1, doubted_at=START - 9000)
    found, _ = told(node, task, fate, *SERVING)
    assert (found.state, found.doubted_by) == (during, M1)
    assert found.due
    assert found.due > START


@each_word
@pytest.mark.parametrize(("after_s", "counts"), [(PERIOD_S - 1, False), (PERIOD_S, True)])
def test_the_only_manager_counts_again_after_a_period(
    task: AgentTask, during: NodeState, fate: Fate, after_s: float, counts: bool
) -> None:
    tagged = replace(SERVING[1], node="", state=NodeState.JOINING)
    first, _ = told(a_record(during), task, fate, SERVING[0], tagged)
    assert (first.state, first.due) == (during, START + PERIOD_S)
    again = replace(first, command="c-1", manager=M1)
    found, _ = told(again, task, fate, SERVING[0], tagged, now=START + after_s)
    assert (found.state is NodeState.JOINING) is counts


@each_word
@pytest.mark.parametrize("liar", [M1, M2, M3])
def test_one_of_three_managers_that_denies_a_node_makes_nobody_leave(
    task: AgentTask, during: NodeState, fate: Fate, liar: str
) -> None:
    lab = Lab()
    known = lab.node()
    lab.nodes.records["blue", WORKER] = replace(known, state=during, node="node00a", due=START)
    report = NodeReport(WORKER, "node00a", fate, "no such node")
    lab.hosts.own_answers[liar, task] = Result(task, ok=False, nodes=(report,))
    for _ in range(6):
        tick(lab)
    assert state(lab) is NodeState.IN_SERVICE
    assert not commands(lab, AgentTask.JOIN)
