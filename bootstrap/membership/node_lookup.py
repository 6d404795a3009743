"""Which node of the swarm an EC2 instance is; pure.

What counts is what a host cannot forge for others: its node id as a manager lists it, the address from which
it speaks to the managers, and the node label that its activation has set. Engine labels are its own word.
"""

from __future__ import annotations

from collections.abc import Collection

from bootstrap.engine.node import INSTANCE_LABEL, Node
from chalicelib.protocol.messages import Target

NO_ADDRESS = frozenset({"", "0.0.0.0", "127.0.0.1"})  # noqa: S104 - as listed where none is known


def nodes_of(target: Target, nodes: Collection[Node]) -> tuple[Node, ...]:
    """Find the nodes that an instance is or was, the living first; () where it is none.

    An exact node id decides alone, unless that node is another instance's; then the instance label; an
    address counts only while no node id is known, for a node that carries no label: addresses are used again.
    Never a prefix or a part of a name.
    """
    found = (
        [node for node in nodes if _is_named(node, target) and not explain_other(target, node)]
        or [node for node in nodes if node.instance == target.instance]
        or [
            node for node in nodes if not target.node and not node.instance and node.address == target.address
        ]
    )
    return tuple(sorted(found, key=lambda node: (node.is_down, node.id)))


def explain_other(target: Target, node: Node) -> str:
    """Explain why the node of the target's id is not its instance's; "" if it is.

    The id is what the host said when it joined, so it may be that of another host's node.
    """
    if node.instance and node.instance != target.instance:
        return f"node {node.id} is that of {node.instance}"
    if node.instance or node.address == target.address or lacks_address(node):
        return ""
    return f"node {node.id} is at {node.address}, {target.instance} at {target.address}"


def lacks_address(node: Node) -> bool:
    """Tell whether the managers list no address, as they may for a node that is down."""
    return node.address in NO_ADDRESS and (node.is_down or node.role == "manager")


def explain_absence(target: Target) -> str:
    """Tell a person why an instance is no node, and what to do."""
    return (
        f"no node of this swarm carries the label {INSTANCE_LABEL}={target.instance} or has the address "
        f"{target.address}; nothing was changed; join the instance to the swarm if it should be a member"
    )


def _is_named(node: Node, target: Target) -> bool:
    return bool(target.node) and node.id == target.node
