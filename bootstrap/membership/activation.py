"""When a joined node may have tasks; pure, decided anew from each poll.

| what a manager sees, first match                        | next                                    |
| ------------------------------------------------------- | --------------------------------------- |
| no such node                                            | absent                                  |
| it is down, or must be empty by a deadline ahead        | wait                                    |
| its labels are not those of its engine                  | change its labels                       |
| its instance was another node before, which is dead     | remove that one; demote a manager first |
| the same, but that one is not listed as down yet        | wait, for 20 s                          |
| it shall be a manager                                   | promote it, if the quorum allows        |
| it does not answer as a manager, or is not known to all | wait                                    |
| it is drained or paused                                 | make it active                          |
| it is active                                            | ready                                   |
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import inf
from typing import Union

from bootstrap.actions import ChangeNode, RemoveNode
from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL, Node
from bootstrap.membership.node_lookup import nodes_of
from bootstrap.membership.quorum import next_demotion, next_promotion
from chalicelib.protocol.messages import Target

PREFIX = "swarmkeeper."  # of the engine labels that become node labels
ROLE_LABEL = "swarmkeeper.role"
DEATH_NOTICED_S = 20.0  # in which the swarm calls a dead node down (12.4 measured)


@dataclass(frozen=True)
class ManagerView:
    """The swarm as one manager sees it: nodes, and the addresses its engine knows on the ingress network.

    ``peers`` is None where that network does not exist; ``managers`` are the addresses that the engine knows.
    ``waited``: for how many seconds the activation has gone on.
    """

    nodes: tuple[Node, ...]
    peers: frozenset[str] | None
    managers: frozenset[str]
    now: float
    waited: float = inf


@dataclass(frozen=True)
class Wait:
    """Nothing can be done at the moment, and the node is not ready."""

    reason: str


@dataclass(frozen=True)
class Ready:
    """The node may have tasks, and has all that it needs."""

    node: Node


@dataclass(frozen=True)
class Absent:
    """The swarm does not list the node."""

    reason: str


Step = Union[ChangeNode, RemoveNode, Wait, Ready, Absent]


def next_activation(target: Target, view: ManagerView) -> Step:
    """Choose what to do next for one target."""
    node = _target_node(target, view.nodes)
    if node is None:
        return Absent(f"the swarm lists no node {target.node or 'of ' + target.instance}")
    return (
        _unavailable_step(node, view)
        or _earlier_nodes_step(target, node, view)
        or _unready_step(node, view)
        or _ready_step(node)
    )


def _unavailable_step(node: Node, view: ManagerView) -> Union[Wait, ChangeNode, None]:
    if node.is_down:
        return Wait(f"node {node.hostname} is {node.state}")
    if node.evacuation_deadline is not None and node.evacuation_deadline > view.now:
        return Wait(f"node {node.hostname} is being evacuated")
    labels = _labels(node)
    return (
        ChangeNode(node, {"Labels": labels}, "its labels tell what it is") if labels != node.labels else None
    )


def _ready_step(node: Node) -> Union[ChangeNode, Ready]:
    if node.availability != "active":
        return ChangeNode(node, {"Availability": "active"}, "it is complete and Ready")
    return Ready(node)


def _target_node(target: Target, nodes: Collection[Node]) -> Node | None:
    """Find the node by its exact id; the living one of the instance where no id is known."""
    if target.node:
        return next((node for node in nodes if node.id == target.node), None)
    return next(iter(nodes_of(target, nodes)), None)


def _labels(node: Node) -> dict[str, str]:
    """Join the labels of the node and of its engine, without an evacuation deadline that is over."""
    own = {key: value for key, value in node.labels.items() if key != EVACUATION_DEADLINE_LABEL}
    return own | {
        key: value
        for key, value in node.engine_labels.items()
        if key.startswith(PREFIX) and key != EVACUATION_DEADLINE_LABEL
    }


def _earlier_nodes_step(
    target: Target, node: Node, view: ManagerView
) -> Union[ChangeNode, RemoveNode, Wait, None]:
    """Clear away the nodes that the instance was before: only the dead, managers after their demotion."""
    instance = node.instance or target.instance
    others = [
        other for other in view.nodes if other.id != node.id and other.instance == instance and instance
    ]
    dead = [other for other in others if other.is_down]
    for other in dead:
        if not other.has_vote:
            return RemoveNode(other, f"it is what {instance} was before, and down")
    managers = [other for other in view.nodes if other.role == "manager"]
    demoted, reason = next_demotion(managers, [other.id for other in dead])
    if demoted:
        return ChangeNode(demoted, {"Role": "worker"}, reason)
    if len(others) > len(dead) and view.waited < DEATH_NOTICED_S:
        return Wait(f"node {node.hostname} was another one before, which is not listed as down yet")
    return None


def _unready_step(node: Node, view: ManagerView) -> Union[Wait, ChangeNode, None]:
    managers = [other for other in view.nodes if other.role == "manager"]
    if node.role == "worker" and node.engine_labels.get(ROLE_LABEL) == "manager":
        may, reason = next_promotion(managers)
        return ChangeNode(node, {"Role": "manager"}, reason) if may else Wait(reason)
    if node.role == "manager" and node.reachability != "reachable":
        return Wait(f"manager {node.hostname} is {node.reachability or 'not one of the managers yet'}")
    if node.role == "manager" and node.address not in view.managers:
        return Wait(f"manager {node.hostname} is not among those that this engine knows")
    if view.peers is not None and node.address not in view.peers:
        return Wait(f"this engine does not know {node.hostname} ({node.address}) on the ingress network yet")
    return None
