"""All instances of a cluster end: its records end too, people hear of it once, and a new one begins clean."""

from __future__ import annotations

import pytest

from chalicelib.admin.calls import call
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.instance import InstanceState, Role
from chalicelib.state.job import JobStage
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import MANAGERS, Lab, a_discovered_instance, instance
from tests.unit.chalicelib.support.stories import job, tick

M1, M2, M3 = MANAGERS
BLUE = {"cluster": "blue"}


def a_lab() -> Lab:
    """Make a cluster whose managers are inspected, and whose swarm was made by ``init``."""
    lab = Lab(inspection_period_s=300.0)
    call("init", {**BLUE, "instance": M1}, lab.world())
    return lab


def end_all(lab: Lab, state: InstanceState) -> None:
    for name in list(lab.ec2.instances):
        lab.ec2.turn(name, state)


def states(lab: Lab) -> set[NodeState]:
    return {node.state for node in lab.nodes.list_all("blue")}


@pytest.mark.parametrize("end", ["terminated", "not listed any more"])
def test_a_cluster_without_instances_ends_with_one_message(end: str) -> None:
    lab = a_lab()
    for _ in range(6):
        tick(lab)
    end_all(lab, InstanceState.TERMINATED)
    if end != "terminated":
        lab.ec2.instances.clear()
    said = len(lab.messages.published)
    for _ in range(120):
        tick(lab)
    assert states(lab) == {NodeState.GONE}
    (message,) = lab.messages.published[said:]
    assert "no instance of blue runs any more" in message[1]
    assert lab.managers.list_ids("blue") == ()
    assert {one.stage for one in lab.jobs.list_all("blue")} == {JobStage.ENDED}


def test_a_new_cluster_of_the_same_name_begins_clean() -> None:
    lab = a_lab()
    end_all(lab, InstanceState.TERMINATED)
    for _ in range(10):
        tick(lab)
    lab.ec2.instances.clear()
    new = instance(0x77)
    lab.ec2.instances[new] = a_discovered_instance(
        new, role=Role.MANAGER, address="10.0.9.1", launched=lab.clock.time
    )
    tick(lab)
    answer = call("init", {**BLUE, "instance": new}, lab.world())
    assert answer["errand"]["state"] == "done"
    sent = [one for one in lab.hosts.sent if one.task is AgentTask.INIT]
    assert [one.arguments.fresh for one in sent] == [False, True], "its host may replace the old tokens"
    for _ in range(3):
        tick(lab)
    assert lab.node(new).state is NodeState.IN_SERVICE
    assert not job(lab, AgentTask.INIT).is_open


def test_a_cluster_that_was_stopped_for_the_night_goes_on_with_its_swarm() -> None:
    lab = a_lab()
    end_all(lab, InstanceState.STOPPED)
    for _ in range(10):
        tick(lab)
    assert states(lab) == {NodeState.GONE}
    assert job(lab, AgentTask.INIT).stage is JobStage.DONE, "its swarm is on the disks"
    for name, one in list(lab.ec2.instances.items()):
        lab.ec2.instances[name] = a_discovered_instance(
            name, role=one.role, address=one.address, launched=lab.clock.time
        )
    for _ in range(5):
        tick(lab)
    assert states(lab) == {NodeState.IN_SERVICE}


def test_while_one_instance_runs_nothing_ends_quietly() -> None:
    lab = a_lab()
    end_all(lab, InstanceState.TERMINATED)
    lab.ec2.turn(M1, InstanceState.RUNNING)
    for _ in range(10):
        tick(lab)
    assert lab.node(M1).state is NodeState.IN_SERVICE
    assert job(lab, AgentTask.INIT).stage is JobStage.DONE
    assert not [text for _, text in lab.messages.published if "no instance of blue" in text]
