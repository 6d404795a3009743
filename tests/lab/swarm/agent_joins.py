"""Hosts that join by the real agent, and what they and the swarm say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chalicelib.protocol.messages import AgentTask, Target
from tests.lab import lifecycle
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine
from tests.lab.swarm.agent import Agent, install


def add_bare_host(lab: Lab, zipapp: Path) -> Host:
    """Add a bare host with the agent on it."""
    host = lifecycle.add(lab.name)
    install(lab, zipapp, host)
    return host


def start_join(lab: Lab, host: Host, node: str = "", at: tuple[str, ...] = (), notice: float = 120) -> Agent:
    """Start the join task on a host, for the node that it was, at managers' addresses (by default all)."""
    target = Target(host.instance, host.address, node)
    addresses = at or tuple(other.address for other in lab.hosts if other.role == "manager")
    labels = {"swarmkeeper.cluster": lab.cluster, "swarmkeeper.role": "worker"}
    told: dict[str, Any] = {"targets": (target,), "managers": addresses, "role": "worker", "labels": labels}
    return Agent(host, AgentTask.JOIN, notice=notice, **told)


def engine_info(host: Host) -> dict[str, Any]:
    """Ask the host's engine for its state."""
    found: dict[str, Any] = engine.connect(host).info()
    return found


def node_states(lab: Lab, host: Host) -> list[str]:
    """List the states of all nodes at the host's address."""
    nodes = engine.nodes(engine.manager(lab))
    return [node.state for node in nodes if node.address == host.address]
