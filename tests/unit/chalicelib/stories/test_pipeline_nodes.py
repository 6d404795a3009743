"""The lives of nodes as whole stories, by events alone: warned, evacuated, removed, spared, back again."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.events import Tick
from chalicelib.protocol.messages import AgentTask
from chalicelib.routing import handle
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import START, WORKER, Lab
from tests.unit.chalicelib.support.stories import change, end, state, tick, warn


def test_a_node_is_evacuated_and_removed_by_events_alone() -> None:
    lab = Lab()
    assert warn(lab) == ["EC2 will terminate it, 120 s are left"]
    assert state(lab) is NodeState.EVACUATING
    assert end(lab, lab.hosts.sent[0]) == [f"Success: {WORKER} evacuated: safe"]
    assert state(lab) is NodeState.EVACUATED
    change(lab, "shutting-down")
    assert state(lab) is NodeState.EVACUATED
    change(lab, "terminated")
    assert state(lab) is NodeState.LEAVING
    end(lab, lab.hosts.sent[1])
    assert state(lab) is NodeState.GONE
    assert [sent.task for sent in lab.hosts.sent] == [AgentTask.EVACUATE, AgentTask.LEAVE]
    assert lab.hosts.sent[1].arguments.targets[0].node == "node00a"


def test_everything_twice_and_late_changes_nothing_more() -> None:
    lab = Lab()
    warn(lab)
    assert warn(lab) == ["already evacuating"]
    end(lab, lab.hosts.sent[0])
    first = lab.node()
    assert end(lab, lab.hosts.sent[0]) == ["command-1: nothing waits for this evacuate any more, or yet"]
    warn(lab)
    assert lab.node() == first
    change(lab, "terminated")
    change(lab, "terminated")
    end(lab, lab.hosts.sent[1])
    gone = lab.node()
    change(lab, "shutting-down")
    change(lab, "stopped")
    warn(lab)
    end(lab, lab.hosts.sent[0])
    assert lab.node() == gone
    assert len(lab.hosts.sent) == 2


def test_an_instance_that_was_spared_joins_and_can_be_warned_again() -> None:
    lab = Lab()
    warn(lab)
    end(lab, lab.hosts.sent[0])
    lab.clock.sleep(1000)
    tick(lab)
    assert (state(lab), lab.node().reason) == (NodeState.JOINING, "the instance was spared")
    warn(lab, time=lab.clock.time)
    assert state(lab) is NodeState.EVACUATING


def test_hibernation_leaves_no_more_time_than_replacements_need() -> None:
    lab = Lab()
    warn(lab, action="hibernate")
    assert lab.hosts.sent[0].arguments.deadline == START + 30


def test_a_node_that_died_without_a_warning_is_removed() -> None:
    lab = Lab()
    handle(Tick, {}, lab.world())
    change(lab, "terminated")
    end(lab, lab.hosts.sent[0])
    assert (state(lab), lab.hosts.sent[0].task) == (NodeState.GONE, AgentTask.LEAVE)


def test_a_node_that_dies_in_its_evacuation_is_removed_and_a_late_result_ignored() -> None:
    lab = Lab()
    warn(lab)
    change(lab, "terminated")
    end(lab, lab.hosts.sent[0])
    assert state(lab) is NodeState.LEAVING
    end(lab, lab.hosts.sent[1])
    assert state(lab) is NodeState.GONE


def test_a_stopped_instance_that_is_started_again_is_warned_again() -> None:
    lab = Lab()
    warn(lab, action="stop")
    change(lab, "stopped")
    end(lab, lab.hosts.sent[1])
    assert state(lab) is NodeState.GONE
    lab.clock.sleep(600)
    running = replace(lab.ec2.instances[WORKER], launched=lab.clock.time)
    lab.ec2.instances[WORKER] = running
    tick(lab)
    assert state(lab) is NodeState.JOINING
    end(lab, lab.hosts.sent[-1])
    assert state(lab) is NodeState.ACTIVATING
    end(lab, lab.hosts.sent[-1])
    assert state(lab) is NodeState.IN_SERVICE
    warn(lab)
    assert state(lab) is NodeState.IN_SERVICE, "the old warning came once more"
    warn(lab, time=lab.clock.time)
    assert state(lab) is NodeState.EVACUATING
