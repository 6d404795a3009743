"""What never leaves a node: its evacuation ends at its deadline all the same, and is not repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Dispatch, ReplaceRecord
from chalicelib.admin.calls import call
from chalicelib.events import CommandFinished, GiveBackOrdered, SpotInterruptionWarning
from chalicelib.metrics import Metric
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.rules import decide
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, Lab, a_cluster, a_node
from tests.unit.chalicelib.support.stories import end, state, tick

LEFT = NodeReport(WORKER, "abc", Fate.UNFINISHED, "1 tasks are left on it")
BUSY = a_node(
    state=NodeState.EVACUATING,
    since=START,
    deadline=START + 60,
    due=START + 30,
    command="c-1",
    manager=MANAGERS[0],
    attempts=1,
)
LEFT_OVER = a_node(state=NodeState.EVACUATED, since=START - 60, fate="unfinished")


def after(node: Node, seconds: float, row: NodeReport = LEFT) -> Node:
    """Return the record once its command has ended so many seconds later."""
    result = Result(AgentTask.EVACUATE, ok=False, nodes=(row,))
    event = CommandFinished(START + seconds, "c-1", MANAGERS[0], AgentTask.EVACUATE, "Failed", result)
    move = decide(event, a_cluster(node, now=START + seconds)).actions[0]
    assert isinstance(move, ReplaceRecord)
    return move.after


@pytest.mark.parametrize("back", [0.0, START + 90, START + 3600])
def test_at_its_deadline_an_evacuation_ends_and_tells_what_is_left(back: float) -> None:
    node = after(replace(BUSY, back=back), 65)
    assert (node.state, node.fate, node.due) == (NodeState.EVACUATED, "unfinished", back or None)
    assert node.reason == "unfinished: 1 tasks are left on it"


def test_so_does_one_of_a_batch_with_a_nearer_deadline() -> None:
    assert after(replace(BUSY, deadline=START + 75), 65).state is NodeState.EVACUATED


def test_before_its_deadline_it_is_tried_again() -> None:
    left_out = replace(LEFT, detail="left out: node must be a Swarm node id")
    node = after(BUSY, 20, left_out)
    assert (node.state, node.command) == (NodeState.EVACUATING, "")


def test_a_node_that_was_not_emptied_is_counted_as_such() -> None:
    result = Result(AgentTask.EVACUATE, ok=False, nodes=(LEFT,))
    event = CommandFinished(START + 65, "c-1", MANAGERS[0], AgentTask.EVACUATE, "Failed", result)
    measures = decide(event, a_cluster(BUSY, now=START + 65)).measures
    assert [one.metric for one in measures] == [Metric.NODES_UNFINISHED]


@pytest.mark.parametrize(
    ("node", "now"),
    [
        (LEFT_OVER, START),
        (replace(BUSY, command="", due=None, attempts=12), START + 20),
        (BUSY, START + 75),
    ],
    ids=["it ended with tasks left", "it was given up", "it should have ended"],
)
def test_it_can_be_given_back_at_once(node: Node, now: float) -> None:
    move, dispatch = decide(GiveBackOrdered(now, WORKER), a_cluster(node, now=now)).actions
    assert isinstance(move, ReplaceRecord)
    assert (move.after.state, move.after.command, move.after.fate) == (NodeState.RETURNING, "", "")
    assert dispatch == Dispatch(WORKER)


def test_before_its_end_it_is_not_given_back_and_is_told_how_long_it_has() -> None:
    plan = decide(GiveBackOrdered(START, WORKER), a_cluster(BUSY, now=START + 20))
    assert plan.refused
    assert plan.reason == f"{WORKER} is not given back: it is evacuating, not evacuated: it has 40 s more"


@pytest.mark.parametrize("fate", ["unfinished", "safe"])
def test_what_is_not_empty_is_evacuated_anew_when_ec2_takes_it(fate: str) -> None:
    node = replace(LEFT_OVER, fate=fate)
    states = [
        move.after.state
        for move in decide(SpotInterruptionWarning(START, WORKER), a_cluster(node)).actions
        if isinstance(move, ReplaceRecord)
    ]
    assert states == ([NodeState.EVACUATING] if fate == "unfinished" else [])


def test_an_evacuation_by_hand_of_a_job_that_runs_for_hours_has_one_end() -> None:
    lab = Lab()
    lab.hosts.fates[WORKER] = Fate.UNFINISHED
    lab.hosts.takes = 65.0
    call("evacuate", {"cluster": "blue", "instance": WORKER, "seconds": 60}, lab.world())
    end(lab, lab.hosts.sent[-1])
    assert (state(lab), lab.node(WORKER).fate) == (NodeState.EVACUATED, "unfinished")
    sent = len(lab.hosts.sent)
    for _ in range(5):
        tick(lab)
    assert [one.task for one in lab.hosts.sent[sent:] if one.task is AgentTask.EVACUATE] == []
    call("give_back", {"cluster": "blue", "instance": WORKER}, lab.world())
    assert state(lab) is NodeState.RETURNING
