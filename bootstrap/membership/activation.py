"""When a joined node may have tasks; pure, decided anew from each poll.

| what a manager sees, first match                        | next                                    |
| ------------------------------------------------------- | --------------------------------------- |
| no such node                                            | absent                                  |
| it has the label or the address of another instance     | refused                                 |
| it is down, or must be empty by a deadline ahead        | wait                                    |
| its labels are not those of the instance's record       | change its labels                       |
| its instance was another node before, which is dead     | remove that one; demote a manager first |
| the same, but that one is not listed as down yet        | wait, for 20 s                          |
| it shall be a manager                                   | promote it, if the quorum allows        |
| it does not answer as a manager, or is not known to all | wait                                    |
| it is not what its admin had set, active where nothing  | restore that                            |
| it is                                                   | ready                                   |

Role and labels are the record's, which has them from EC2. What the node's engine says of itself is compared
with it (``differences``), and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import inf
from typing import Union

from bootstrap.actions import ChangeNode, RemoveNode
from bootstrap.engine.node import (
    AVAILABILITY_LABEL,
    CLUSTER_LABEL,
    INSTANCE_LABEL,
    LIFECYCLE_LABEL,
    ROLE_LABEL,
    TYPE_LABEL,
    ZONE_LABEL,
    Node,
)
from bootstrap.membership.kept_settings import PREFIX, settings_before
from bootstrap.membership.node_lookup import explain_other, lacks_address, nodes_of
from bootstrap.membership.quorum import next_demotion, next_promotion
from chalicelib.protocol.messages import Target

OURS = (INSTANCE_LABEL, ZONE_LABEL, TYPE_LABEL, LIFECYCLE_LABEL, ROLE_LABEL, CLUSTER_LABEL)
CLAIM_CHARACTERS = 40  # that are told of a host's own label
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


@dataclass(frozen=True)
class Refused:
    """The node that was named is another instance's: nothing is done.

    ``is_labelled``: as an activation has labelled it, so that the host is not what it believes to be.
    """

    reason: str
    is_labelled: bool = False


Step = Union[ChangeNode, RemoveNode, Wait, Ready, Absent, Refused]


def next_activation(target: Target, view: ManagerView, cluster: str) -> Step:
    """Choose what to do next for one target, a node of the cluster ("" where it is not known)."""
    node = _target_node(target, view.nodes)
    if node is None:
        return Absent(f"the swarm lists no node {target.node or 'of ' + target.instance}")
    return (
        _other_step(target, node, view.waited)
        or _unavailable_step(node, view)
        or _label_step(node, known_labels(target, cluster), settings_before(target, node, view.nodes))
        or _earlier_nodes_step(target, node, view)
        or _unready_step(target, node, view)
        or _ready_step(node)
    )


def known_labels(target: Target, cluster: str) -> dict[str, str]:
    """List the node labels as the record has them; what is not known is left out."""
    values = (target.instance, target.zone, target.kind, target.lifecycle, target.role, cluster)
    return {name: value for name, value in zip(OURS, values) if value}  # noqa: B905 - Python 3.10


def differences(target: Target, node: Node, cluster: str) -> str:
    """Tell in what a node's engine differs from the record, "" if in nothing.

    A role counts only where it is more than the record's: engines keep the role that a tag had before.
    """
    known = known_labels(target, cluster)
    claims = {name: node.engine_labels[name] for name in known if name in node.engine_labels}
    rows = [
        f"{name}={claim[:CLAIM_CHARACTERS]!r}, it is {known[name]!r}"
        for name, claim in claims.items()
        if claim != known[name] and (name != ROLE_LABEL or claim == "manager")
    ]
    return "its engine says " + "; ".join(rows) if rows else ""


def _other_step(target: Target, node: Node, waited: float) -> Union[Refused, Wait, None]:
    """Refuse a node of another instance, also one that has the label but speaks from elsewhere for long.

    A host that was booted from an image of it speaks as the same node for some seconds.
    """
    is_listed = node.address == target.address or lacks_address(node)
    if not node.address and not is_listed:
        return Wait(f"no address of node {node.hostname} is listed yet")
    if reason := explain_other(target, node):
        # A manager's vote is where its address is: one whose disk has moved to another instance must stay.
        has_moved = node.role == "manager" and node.address == target.address
        return Refused(reason, is_labelled=bool(node.instance) and not has_moved)
    if is_listed:
        return None
    if waited < DEATH_NOTICED_S:
        return Wait(f"node {node.hostname} speaks from {node.address} at the moment")
    return Refused(f"node {node.id} is at {node.address}, {target.instance} at {target.address}")


def _label_step(node: Node, known: dict[str, str], before: dict[str, str]) -> ChangeNode | None:
    labels = _labels(node, known, {} if node.instance else before)
    return (
        ChangeNode(node, {"Labels": labels}, "its labels tell what it is") if labels != node.labels else None
    )


def _unavailable_step(node: Node, view: ManagerView) -> Wait | None:
    if node.is_down:
        return Wait(f"node {node.hostname} is {node.state}")
    if node.evacuation_deadline is not None and node.evacuation_deadline > view.now:
        return Wait(f"node {node.hostname} is being evacuated")
    return None


def _ready_step(node: Node) -> Union[ChangeNode, Ready]:
    if AVAILABILITY_LABEL not in node.labels:
        return Ready(node)
    labels = {key: value for key, value in node.labels.items() if key != AVAILABILITY_LABEL}
    changes = {"Availability": node.wanted_availability, "Labels": labels}
    return ChangeNode(node, changes, "it is complete and Ready")


def _target_node(target: Target, nodes: Collection[Node]) -> Node | None:
    """Find the node by its exact id; the living one of the instance where no id is known."""
    if target.node:
        return next((node for node in nodes if node.id == target.node), None)
    return next(iter(nodes_of(target, nodes)), None)


def _labels(node: Node, known: dict[str, str], before: dict[str, str]) -> dict[str, str]:
    """Merge the labels that people have set with those that are known; drop an expired deadline.

    What is not known keeps its label: a record of version 0.1 has no zone until the next discovery. A node
    that is not yet what its admin wants gets a note of that; the last step takes it off.
    """
    kept = {key: value for key, value in node.labels.items() if not key.startswith(PREFIX) or key in OURS}
    labels = before | kept | known
    wanted = labels.pop(AVAILABILITY_LABEL, node.wanted_availability)
    if node.availability in (wanted, "active"):  # somebody who made it active meanwhile wins
        return labels
    return {**labels, AVAILABILITY_LABEL: f"{wanted} {node.availability}"}


def _earlier_nodes_step(
    target: Target, node: Node, view: ManagerView
) -> Union[ChangeNode, RemoveNode, Wait, None]:
    """Clear away the nodes that the instance was before: only the dead, managers after their demotion."""
    instance = target.instance
    others = [other for other in view.nodes if other.id != node.id and _was(other, target)]
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


def _was(other: Node, target: Target) -> bool:
    """Tell whether the instance was this node before; one that was never activated has only its address."""
    return other.instance == target.instance or (not other.instance and other.address == target.address)


def _unready_step(target: Target, node: Node, view: ManagerView) -> Union[Wait, ChangeNode, None]:
    managers = [other for other in view.nodes if other.role == "manager"]
    if node.role == "worker" and target.role == "manager":
        may, reason = next_promotion(managers)
        return ChangeNode(node, {"Role": "manager"}, reason) if may else Wait(reason)
    if node.role == "manager" and node.reachability != "reachable":
        return Wait(f"manager {node.hostname} is {node.reachability or 'not one of the managers yet'}")
    if node.role == "manager" and node.address not in view.managers:
        return Wait(f"manager {node.hostname} is not among those that this engine knows")
    if view.peers is not None and node.address not in view.peers:
        return Wait(f"this engine does not know {node.hostname} ({node.address}) on the ingress network yet")
    return None
