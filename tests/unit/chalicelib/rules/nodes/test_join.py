"""A launched instance joins, is activated, and only then is in service; what fails is tried again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Dispatch, Notify, ReplaceRecord
from chalicelib.events import CommandFinished
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.rules import decide, retry
from chalicelib.state.instance import Role
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from tests.unit.chalicelib.support.fakes import START, WORKER, a_cluster, a_node

COMMAND, MANAGER = "c-1", "i-00000000000000001"


def out(task: AgentTask, **changes: object) -> Node:
    """Make a node with a command out: a join runs on the instance itself."""
    state = NodeState.JOINING if task is AgentTask.JOIN else NodeState.ACTIVATING
    host = WORKER if task is AgentTask.JOIN else MANAGER
    given = {"state": state, "since": START - 5, "command": COMMAND, "manager": host, "attempts": 1}
    return a_node(**{**given, **changes})


def ended(
    task: AgentTask, report: NodeReport | None = None, error: str = "", failure: str = ""
) -> CommandFinished:
    result = None if failure else Result(task, ok=not error, nodes=(report,) if report else (), error=error)
    host = WORKER if task is AgentTask.JOIN else MANAGER
    return CommandFinished(START, COMMAND, host, task, "Success", result, failure)


def after(node: Node, event: CommandFinished) -> Node:
    moves = [action for action in decide(event, a_cluster(node)).actions if isinstance(action, ReplaceRecord)]
    assert [move.before for move in moves] == [node]
    return moves[0].after


def test_a_joined_node_is_activated_at_once_under_the_node_id_that_it_has() -> None:
    event = ended(AgentTask.JOIN, NodeReport(WORKER, "abc", Fate.JOINED))
    node = out(AgentTask.JOIN)
    found = after(node, event)
    assert (found.state, found.node, found.due, found.command) == (NodeState.ACTIVATING, "abc", START, "")
    assert Dispatch(WORKER) in decide(event, a_cluster(node)).actions


def test_an_active_node_is_in_service_and_nothing_is_left_to_do() -> None:
    event = ended(AgentTask.ACTIVATE, NodeReport(WORKER, "abc", Fate.ACTIVE))
    found = after(out(AgentTask.ACTIVATE, node="abc"), event)
    assert (found.state, found.node, found.fate) == (NodeState.IN_SERVICE, "abc", "active")
    assert found.due is None


def test_a_node_absent_at_its_activation_joins_again_with_its_node_id() -> None:
    event = ended(AgentTask.ACTIVATE, NodeReport(WORKER, "abc", Fate.ABSENT, "the swarm lists no node abc"))
    found = after(out(AgentTask.ACTIVATE, node="abc", doubted_by="i-2"), event)
    assert (found.state, found.node, found.doubted_by) == (NodeState.JOINING, "abc", "")
    assert found.due == START + retry.back_off(1, WORKER)
    assert found.target.node == "abc"
    assert found.reason == "the swarm lists no node abc: it joins anew"


def test_one_that_says_to_be_another_instances_node_joins_as_one_of_its_own() -> None:
    event = ended(AgentTask.ACTIVATE, NodeReport(WORKER, "abc", Fate.ANOTHERS, "refused", differs=True))
    found = after(out(AgentTask.ACTIVATE, node="abc", doubted_by="i-2"), event)
    assert (found.state, found.node) == (NodeState.JOINING, "abc"), (
        "with that id its host is told to leave it"
    )


@pytest.mark.parametrize("task", [AgentTask.JOIN, AgentTask.ACTIVATE])
@pytest.mark.parametrize(
    ("error", "failure"), [("no manager takes connections", ""), ("", "TimedOut: the agent printed nothing")]
)
def test_a_join_that_failed_is_tried_again_with_the_hosts_own_reason(
    task: AgentTask, error: str, failure: str
) -> None:
    node = out(task)
    found = after(node, ended(task, error=error, failure=failure))
    assert (found.state, found.command, found.reason) == (node.state, "", error or failure)
    assert found.due is not None


def test_a_node_that_is_not_ready_yet_is_tried_again_after_a_back_off() -> None:
    report = NodeReport(WORKER, "abc", Fate.UNFINISHED, "not yet: node ip-172-31-0-14 is down")
    found = after(out(AgentTask.ACTIVATE, node="abc"), ended(AgentTask.ACTIVATE, report))
    assert found.state is NodeState.ACTIVATING
    assert found.due is not None
    assert START < found.due <= START + retry.LONGEST_BACK_OFF_S


def test_the_end_of_one_hosts_join_says_nothing_about_the_others_of_its_command() -> None:
    other = out(AgentTask.JOIN, instance="i-0000000000000009f", manager="i-0000000000000009f")
    event = ended(AgentTask.JOIN, error="no manager takes connections")
    assert [
        action for action in decide(event, a_cluster(other)).actions if isinstance(action, ReplaceRecord)
    ] == []


MASTER = a_node(instance=MANAGER, role=Role.MANAGER, node="m1", launched=START - 60)


def test_a_join_that_names_a_managers_node_records_no_node_id_and_is_told() -> None:
    event = ended(AgentTask.JOIN, NodeReport(WORKER, "m1", Fate.JOINED))
    plan = decide(event, a_cluster(out(AgentTask.JOIN), MASTER))
    (change,) = (action for action in plan.actions if isinstance(action, ReplaceRecord))
    assert (change.after.state, change.after.node, change.after.claimed) == (NodeState.ACTIVATING, "", "m1")
    assert change.after.described_target.node == "m1", "the managers are asked about it"
    (told,) = (action.incident for action in plan.actions if isinstance(action, Notify))
    assert told.key == f"twice#{WORKER}"


def test_a_host_from_anothers_image_leaves_what_it_claims_and_joins_as_itself() -> None:
    claimed = out(AgentTask.ACTIVATE, claimed="m1", doubted_by="i-2")
    another = ended(AgentTask.ACTIVATE, NodeReport(WORKER, "m1", Fate.ANOTHERS, "refused", differs=True))
    (move,) = (
        action
        for action in decide(another, a_cluster(claimed, MASTER)).actions
        if isinstance(action, ReplaceRecord)
    )
    joining = move.after
    assert (joining.state, joining.node, joining.target.node) == (NodeState.JOINING, "", "m1")
    own = after(
        replace(joining, command=COMMAND, manager=WORKER),
        ended(AgentTask.JOIN, NodeReport(WORKER, "xyz", Fate.JOINED)),
    )
    assert (own.state, own.node, own.claimed) == (NodeState.ACTIVATING, "xyz", "")
