"""Instances wait for a swarm that they can join, for as long as it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Code, Dispatch
from chalicelib.delivery.dispatcher import dispatch
from chalicelib.rules.retry import MAX_ATTEMPTS_WITHOUT_SWARM
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, Lab, a_node
from tests.unit.chalicelib.support.stories import tick

GOING = (NodeState.EVACUATING, NodeState.EVACUATED, NodeState.LEAVING, NodeState.GONE)


@pytest.mark.parametrize("state", GOING)
def test_without_a_manager_that_stays_a_join_is_put_off_and_sent_to_nobody(state: NodeState) -> None:
    lab = Lab()
    for name in MANAGERS:
        going = lab.node(name)
        lab.nodes.replace(going, going.revise(state=state))
    lab.nodes.records["blue", WORKER] = a_node(state=NodeState.JOINING, due=START, attempts=11)
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    assert (outcome.code, lab.hosts.sent) == (Code.DONE, [])
    node = lab.node()
    assert node.is_unsent, "it does not use up the attempts of the instance"
    assert node.reason == "no manager stays that it could join at"
    assert node.due
    assert node.due > START + 60


def test_a_swarm_made_hours_later_is_joined_with_one_notice_an_hour_until_then() -> None:
    lab = Lab(settled=False)
    lab.hosts.broken = set(lab.ec2.instances)
    for _ in range(110):
        tick(lab)
    assert {node.state for node in lab.nodes.list_all("blue")} == {NodeState.JOINING}
    assert max(node.attempts for node in lab.nodes.list_all("blue")) == MAX_ATTEMPTS_WITHOUT_SWARM
    subjects = [subject for subject, _ in lab.messages.published]
    assert subjects == ["Swarmkeeper blue: unsettled"] * 2
    assert "blue has no swarm that could be joined" in lab.messages.published[0][1]
    assert "chalice invoke -n init" in lab.messages.published[0][1]
    lab.hosts.broken = set()
    for _ in range(12):
        tick(lab)
    assert {node.state for node in lab.nodes.list_all("blue")} == {NodeState.IN_SERVICE}
    assert len(lab.messages.published) == 2


def test_where_a_swarm_is_a_join_that_fails_again_and_again_is_given_up() -> None:
    lab = Lab()
    lab.nodes.records["blue", WORKER] = replace(a_node(), state=NodeState.JOINING, due=START)
    lab.hosts.broken = {WORKER}
    for _ in range(60):
        tick(lab)
    assert lab.node().is_given_up
    assert [subject for subject, _ in lab.messages.published] == [f"Swarmkeeper blue: {WORKER}"]
