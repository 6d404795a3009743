"""What must be true at the end of every history."""

from __future__ import annotations

from chalicelib.protocol.messages import AgentTask
from chalicelib.state.instance import UP, Role
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.simulation import Life


def agree(life: Life) -> None:
    """Check that records, swarm and EC2 agree, and nothing is left to do."""
    for name, discovered in life.lab.ec2.instances.items():
        node = life.lab.nodes.get("blue", name)
        assert node is not None
        assert not node.hooks
        assert not node.drill
        if discovered.state in UP:
            assert node.state is NodeState.IN_SERVICE, f"{name}: {node}"
            assert life.hosts.swarm.get(name) == "active", f"{name}: {node}"
        else:
            assert node.state is NodeState.GONE, f"{name}: {node}"
            assert name not in life.hosts.swarm, f"{name}: {node}"
        manages = discovered.state in UP and discovered.role is Role.MANAGER
        assert (name in life.hosts.voters.votes) == manages, f"{name}: {node}"
    assert life.lab.nodes.list_open("blue", float("inf")) == ()
    assert not any(life.held.values())
    assert life.timed_out == [], "where the tick runs, no group waits in vain for an instance that lives"
    assert not any(job.is_open for job in life.lab.jobs.list_all("blue") if job.task is not AgentTask.INSPECT)
    assert not life.hosts.left & set(life.hosts.swarm)
