"""What an agent changes in the swarm, one node or service at a time, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

from bootstrap.engine.client import Engine, RefusedError
from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL, Node
from bootstrap.engine.service import Service, Spec
from bootstrap.log import say


@dataclass(frozen=True)
class PauseNode:
    """Let no new task come to a node that has to be empty at the deadline that ``label`` tells."""

    node: Node
    label: str
    reason: str


@dataclass(frozen=True)
class DrainNode:
    """Let Swarm stop what is left on a node."""

    node: Node
    reason: str


@dataclass(frozen=True)
class DemoteNode:
    """Make a manager a worker."""

    node: Node
    reason: str


@dataclass(frozen=True)
class ChangeNode:
    """Change fields of a node's spec."""

    node: Node
    changes: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class RemoveNode:
    """Take a dead node out of the swarm."""

    node: Node
    reason: str


@dataclass(frozen=True)
class UpdateService:
    """Give a service another spec."""

    service: Service
    spec: Spec
    reason: str


Action = Union[PauseNode, DrainNode, DemoteNode, ChangeNode, RemoveNode, UpdateService]


def perform(engine: Engine, action: Action) -> None:
    """Say what is done, and why, and do it. Raises EngineError."""
    match action:
        case PauseNode(node, label, reason):
            availability = "drain" if node.availability == "drain" else "pause"
            labels = {**node.labels_for(availability), EVACUATION_DEADLINE_LABEL: label}
            say(f"pause node {node.hostname} ({node.id}): {reason}")
            engine.update_node(node, Availability=availability, Labels=labels)
        case DrainNode(node, reason):
            say(f"drain node {node.hostname} ({node.id}): {reason}")
            engine.update_node(node, Availability="drain", Labels=node.labels_for("drain"))
        case DemoteNode(node, reason):
            say(f"demote manager {node.hostname} ({node.id}): {reason}")
            engine.update_node(node, Role="worker")
        case ChangeNode(node, changes, reason):
            fields = " ".join(f"{key}={value}" for key, value in changes.items() if key != "Labels")
            say(f"change node {node.hostname} ({node.id}) {fields or 'labels'}: {reason}")
            engine.update_node(node, **changes)
        case RemoveNode(node, reason):
            say(f"remove node {node.hostname} ({node.id}): {reason}")
            engine.remove_node(node, force=node.is_orphan)
        case UpdateService(service, spec, reason):
            say(f"update service {service.name} ({service.id}): {reason}")
            engine.update_service(service, spec)


def try_action(engine: Engine, action: Action) -> bool:
    """Perform an action; answer False where it is refused or somebody else was first: others go on.

    Raises EngineError where the engine does not answer.
    """
    try:
        perform(engine, action)
    except RefusedError as refusal:
        say(f"{refusal}; polling again")
        return False
    return True
