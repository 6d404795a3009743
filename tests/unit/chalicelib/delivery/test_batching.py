"""What one command carries."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.delivery.batching import (
    MAX_TARGETS,
    Batch,
    count_in_flight,
    hold_s,
    join_addresses,
    next_batch,
)
from chalicelib.protocol.codec import MAX_LINE, encode_result
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result, Target
from chalicelib.state.cluster import Host
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import START, WORKER, a_node, instance


def doomed(number: int, left: float = 100.0, **changes: object) -> object:
    node = a_node(state=NodeState.EVACUATING, instance=instance(number), deadline=START + left, due=START)
    return replace(node, **changes)  # type: ignore[arg-type]


def dead(number: int) -> object:
    return a_node(state=NodeState.LEAVING, instance=instance(number), due=START)


TABLE = {
    "nothing": ([], None),
    "nothing that is in service": ([a_node()], None),
    "nothing that is out": ([doomed(1, command="c")], None),
    "nothing that is not due": ([doomed(1, due=START + 1)], None),
    "evacuations before removals": ([dead(1), doomed(2)], (AgentTask.EVACUATE, [2], 100)),
    "all removals together": ([dead(2), dead(1)], (AgentTask.LEAVE, [1, 2], None)),
    "the nearest deadline first": ([doomed(1, 110), doomed(2, 100)], (AgentTask.EVACUATE, [2, 1], 100)),
    "no later deadline cut short": ([doomed(1, 100), doomed(2, 40)], (AgentTask.EVACUATE, [2], 40)),
    "what can be kept before what is over": ([doomed(1, -50), doomed(2, 90)], (AgentTask.EVACUATE, [2], 90)),
    "what is nearly over with time to start first": ([doomed(1, 9)], (AgentTask.EVACUATE, [1], 30)),
    "what is over too": ([doomed(1, -50), doomed(2, -5)], (AgentTask.EVACUATE, [1, 2], 30)),
}


@pytest.mark.parametrize(("nodes", "expected"), TABLE.values(), ids=TABLE)
def test_the_next_command_carries(
    nodes: list[object], expected: tuple[AgentTask, list[int], float | None] | None
) -> None:
    batch = next_batch(nodes, START)  # type: ignore[arg-type]
    if expected is None:
        assert batch is None
        return
    task, numbers, left = expected
    assert batch is not None
    assert batch.task is task
    assert [node.instance for node in batch.nodes] == [instance(number) for number in numbers]
    assert batch.deadline == (0.0 if left is None else START + left)


def test_a_large_batch_is_cut_so_that_its_result_fits() -> None:
    batch = next_batch([doomed(number) for number in range(300)], START)  # type: ignore[misc]
    assert batch is not None
    assert len(batch.nodes) == MAX_TARGETS
    reports = tuple(NodeReport(node.instance, "x" * 25, Fate.DRAINED, "", 119.99) for node in batch.nodes)
    assert len(encode_result(Result(AgentTask.EVACUATE, ok=True, nodes=reports))) < MAX_LINE


def test_a_command_may_run_over_its_deadline_but_not_for_ever() -> None:
    assert Batch(AgentTask.EVACUATE, (), START + 100).seconds(START) == 160
    assert Batch(AgentTask.EVACUATE, (), START - 100).seconds(START) == 60
    assert Batch(AgentTask.LEAVE, ()).seconds(START) == 150


@pytest.mark.parametrize(("left", "waits"), [(-50, False), (29, False), (31, True)])
def test_an_urgent_batch_is_not_held_for_more(left: float, *, waits: bool) -> None:
    out = [doomed(number, command="c", manager="m") for number in range(2, 4)]
    batch = next_batch([doomed(1, left)], START)  # type: ignore[list-item]
    assert batch is not None
    assert (hold_s(batch, count_in_flight(out), START) > 0) == waits  # type: ignore[arg-type]


def test_the_arguments_are_the_targets_and_the_deadline() -> None:
    node = a_node()
    assert Batch(AgentTask.EVACUATE, (node,), 5.0).arguments(START) == Arguments(
        (node.target,), 5.0, sent=START
    )


@given(lefts=st.lists(st.floats(-300, 300), max_size=250))
def test_batch_after_batch_everything_is_sent_once(lefts: list[float]) -> None:
    open_nodes = [doomed(number, left) for number, left in enumerate(lefts)]
    sent: list[str] = []
    while batch := next_batch(open_nodes, START):  # type: ignore[arg-type]
        taken = {node.instance for node in batch.nodes}
        open_nodes = [node for node in open_nodes if node.instance not in taken]  # type: ignore[attr-defined]
        sent += taken
    assert sorted(sent) == [instance(number) for number in range(len(lefts))]


def test_only_an_activation_carries_what_ec2_says_of_its_nodes() -> None:
    shown = {"zone": "us-east-1b", "kind": "c5.large", "lifecycle": "spot"}
    batch = next_batch([a_node(state=NodeState.ACTIVATING, due=START, **shown)], START)
    assert batch is not None
    (target,) = batch.arguments(START).targets
    assert target == Target(WORKER, "10.0.0.10", "", 1, "worker", "us-east-1b", "c5.large", "spot")
    assert batch.arguments(START).labels == {"swarmkeeper.cluster": "blue"}
    evacuation = next_batch([doomed(1, **shown)], START)  # type: ignore[arg-type, list-item]
    assert evacuation is not None
    assert evacuation.arguments(START).targets[0].zone == ""


def test_joiners_are_sent_to_proven_managers_once_there_are_any() -> None:
    activating = Host("i-2", NodeState.ACTIVATING, address="10.0.0.2", node="n2")
    tagged, proven = Host("i-1", address="10.0.0.1"), Host("i-3", address="10.0.0.3", node="n3")
    assert join_addresses([activating, tagged]) == ("10.0.0.1", "10.0.0.2")
    assert join_addresses([activating, tagged, proven]) == ("10.0.0.3",)
    assert join_addresses([replace(proven, only_tagged=True), replace(proven, address="10.0.0.4")]) == (
        "10.0.0.4",
    )
