"""Which node of the swarm an EC2 instance is; pure."""

from __future__ import annotations

from collections.abc import Collection

from bootstrap.engine.node import INSTANCE_LABEL, Node
from chalicelib.protocol.messages import Target


def nodes_of(target: Target, nodes: Collection[Node]) -> tuple[Node, ...]:
    """Find the nodes that an instance is or was, the living first; () where it is none.

    An exact node id decides alone, then the instance label; an address counts only while no node id is known,
    for a node that carries no label: addresses are used again. Never a prefix or a part of a name.
    """
    found = (
        [node for node in nodes if target.node and node.id == target.node]
        or [node for node in nodes if node.instance == target.instance]
        or [
            node for node in nodes if not target.node and not node.instance and node.address == target.address
        ]
    )
    return tuple(sorted(found, key=lambda node: (node.is_down, node.id)))


def explain_absence(target: Target) -> str:
    """Tell a person why an instance is no node, and what to do."""
    return (
        f"no node of this swarm carries the label {INSTANCE_LABEL}={target.instance} or has the address "
        f"{target.address}; nothing was changed; join the instance to the swarm if it should be a member"
    )
