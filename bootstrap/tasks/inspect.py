"""Show what this manager sees of the swarm; changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.engine.node import Node
from bootstrap.engine.task import Task
from bootstrap.evacuation.take_away import is_marked
from bootstrap.membership.node_lookup import nodes_of
from chalicelib.protocol.checks import IPV4
from chalicelib.protocol.messages import (
    INSTANCE,
    MAX_LISTED_MANAGERS,
    SHORT,
    AgentTask,
    Arguments,
    Listing,
    Result,
    Target,
)

LISTED_NODES = 1000  # nodes: their short ids, and some eighty nodes that are down, fit into one answer
NOWHERE = "0.0.0.0"  # noqa: S104 an address of nobody, where one has to be given


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:  # noqa: ARG001 every task is called alike
    """List the nodes: briefly for the tick, for people one row per node, or per target.

    Raises EngineError.
    """
    self_id, nodes = engine.node_id(), engine.nodes()
    if arguments.inspection:
        return Result(AgentTask.INSPECT, ok=True, listing=_listing(nodes, arguments.inspection))
    wanted = {node.id for target in arguments.targets for node in nodes_of(target, nodes)}
    tasks = engine.tasks(**{"desired-state": ["running"]})
    facts = {
        "self": self_id,
        "engine": engine.info().get("ServerVersion", ""),
        "nodes": [_node_row(node, tasks) for node in nodes if not arguments.targets or node.id in wanted],
        "moving": [service.name for service in engine.services() if is_marked(service)],
    }
    return Result(AgentTask.INSPECT, ok=True, facts=facts)


def _listing(nodes: tuple[Node, ...], inspection: int) -> Listing:
    """List one part of the nodes' ids: those of 5,000 do not fit into one answer.

    Two inspections in a row are of the same part: it takes two managers to believe that a node is missing.
    """
    parts = max(-(-len(nodes) // LISTED_NODES), 1)
    managers = sorted(node.id[:SHORT] for node in nodes if node.role == "manager")[:MAX_LISTED_MANAGERS]
    part = Listing(len(nodes), _down(nodes), inspection // 2 % parts, parts, managers=tuple(managers))
    return replace(part, ids=tuple(node.id[:SHORT] for node in nodes if part.covers(node.id)))


def _down(nodes: tuple[Node, ...]) -> tuple[Target, ...]:
    """List our nodes that are down, in a fixed order. One that was never activated is nobody's."""
    ours = [node for node in nodes if node.is_down and INSTANCE.match(node.instance)]
    ours.sort(key=lambda node: (node.instance, node.id))
    return tuple(
        Target(node.instance, node.address if IPV4.fullmatch(node.address) else NOWHERE, node.id)
        for node in ours
    )


def _node_row(node: Node, tasks: tuple[Task, ...]) -> dict[str, Any]:
    return {
        "node": node.id,
        "hostname": node.hostname,
        "instance": node.instance,
        "address": node.address,
        "role": node.role,
        "leader": node.is_leader,
        "state": node.state,
        "availability": node.availability,
        "evacuation_deadline": node.evacuation_deadline,
        "running": sum(task.node == node.id and task.is_running for task in tasks),
    }
