"""Ticks as whole stories: they finish what no event does, and what is broken stops nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.protocol.messages import Fate
from chalicelib.state.instance import InstanceState
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from tests.unit.chalicelib.support.fakes import MANAGERS, WORKER, WORKER_2, Lab, instance
from tests.unit.chalicelib.support.stories import end, state, tick, warn

M1, M2, M3 = MANAGERS


def test_ticks_alone_finish_everything_when_no_event_comes() -> None:
    lab = Lab()
    tick(lab)
    lab.ec2.turn(WORKER, InstanceState.SHUTTING_DOWN)
    tick(lab)
    assert state(lab) is NodeState.EVACUATING
    tick(lab)
    assert state(lab) is NodeState.EVACUATED
    lab.ec2.turn(WORKER, InstanceState.TERMINATED)
    tick(lab)
    tick(lab)
    assert state(lab) is NodeState.GONE
    del lab.ec2.instances[WORKER]
    gone = lab.node()
    tick(lab)
    assert lab.node() == gone


def test_a_slow_evacuation_is_sent_again_elsewhere_and_ends_once() -> None:
    lab = Lab()
    lab.hosts.takes = 100
    warn(lab)
    assert tick(lab) == [
        "1 overdue: 0 to send, 1 commands to ask for",
        "command-1 still runs: 1 of 1 nodes are sent again, the others wait",
    ]
    assert [sent.manager for sent in lab.hosts.sent] == [M1, M2]
    end(lab, lab.hosts.sent[0])
    assert state(lab) is NodeState.EVACUATED
    done = lab.node()
    end(lab, lab.hosts.sent[1])
    assert lab.node() == done


def test_a_removal_that_the_quorum_forbids_is_asked_for_ever_more_rarely() -> None:
    lab = Lab()
    lab.hosts.fates = {M1: Fate.KEPT}
    tick(lab)
    lab.ec2.turn(M1, InstanceState.TERMINATED)
    for _ in range(30):
        tick(lab)
    assert state(lab, M1) is NodeState.LEAVING
    assert 5 <= len(lab.hosts.sent) <= 10


def test_a_vanished_manager_is_no_longer_asked() -> None:
    lab = Lab()
    tick(lab)
    lab.ec2.turn(M1, InstanceState.TERMINATED)
    tick(lab)
    assert lab.managers.list_ids("blue") == (M2, M3)
    assert {sent.manager for sent in lab.hosts.sent} == {M2}


def test_two_clusters_are_independent_and_a_broken_one_does_not_stop_the_tick() -> None:
    lab = Lab()
    green = instance(77)
    lab.ec2.instances[green] = replace(lab.ec2.instances[WORKER], cluster="green", instance=green)
    tick(lab)
    warn(lab, green)
    assert lab.hosts.sent == [], "green has no manager"
    warn(lab)
    assert [sent.cluster for sent in lab.hosts.sent] == ["blue"]
    opened = lab.nodes.list_open

    def broken(cluster: str, until: float) -> tuple[Node, ...]:
        if cluster == "green":
            raise ZeroDivisionError
        return opened(cluster, until)

    lab.nodes.list_open = broken  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup, match="the tick failed in part"):
        tick(lab)
    assert state(lab) is NodeState.EVACUATED


def test_a_record_that_cannot_be_helped_does_not_stop_the_others_of_its_cluster() -> None:
    lab = Lab(workers=2)
    tick(lab)
    lab.hosts.takes = 1_000_000
    for name in (WORKER, WORKER_2):
        warn(lab, name)
    lab.ec2.turn(WORKER, InstanceState.TERMINATED)
    moved = lab.nodes.replace

    def broken(before: Node, after: Node) -> bool:
        if before.instance == WORKER:
            raise ZeroDivisionError
        return moved(before, after)

    lab.nodes.replace = broken  # type: ignore[method-assign]
    lab.hosts.takes = 0
    for _ in range(3):
        with pytest.raises(ExceptionGroup, match="the tick failed in part"):
            tick(lab)
    assert state(lab) is NodeState.EVACUATING
    assert state(lab, WORKER_2) is NodeState.EVACUATED


def test_a_tick_without_ec2_does_what_is_overdue_all_the_same_and_fails() -> None:
    lab = Lab()
    tick(lab)
    warn(lab)
    lab.ec2.discover = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(ExceptionGroup, match="the tick failed in part"):
        tick(lab)
    assert state(lab) is NodeState.EVACUATED
