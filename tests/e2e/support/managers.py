"""The managers of a lab, as the swarm lists them."""

from __future__ import annotations

from tests.lab import state
from tests.lab.observe import node_life
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine


def living(lab: Lab, role: str = "manager") -> list[Host]:
    """List the hosts of a role that have power."""
    return [host for host in state.load(lab.name).hosts if host.role == role and host.pid]


def leader(lab: Lab) -> Host:
    """Find the host of the leader, once there is one."""
    found = engine.wait_until(lambda: [node for node in node_life.managers(lab) if node.leader], "a leader")
    return next(host for host in living(lab) if host.address == found[0].address)


def three_again(lab: Lab) -> bool:
    """Tell whether there are three managers, and all are as they should be."""
    found = node_life.managers(lab)
    good = [node for node in found if (node.reachability, node.availability) == ("reachable", "active")]
    return len(found) == len(good) == 3


def wait_managers(lab: Lab, count: int) -> None:
    """Wait until there are so many managers."""
    engine.wait_until(lambda: len(node_life.managers(lab)) == count, f"{count} managers")


def wait_three(lab: Lab) -> None:
    """Wait until there are three managers that can be reached."""
    engine.wait_until(lambda: three_again(lab), "three managers that can be reached")


def reachable(lab: Lab) -> int:
    """Count the managers that can be reached."""
    return sum(node.reachability == "reachable" for node in node_life.managers(lab))
