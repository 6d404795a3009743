"""Two records with one node id: a host lies, or was booted from an image of the other.

    records with one node id                          who keeps it
    in service; any other                             the one in service: managers have activated it as that
    evacuating, evacuated, returning; joining         the first, which was in service
    two of a kind in service                          the manager's; else whom managers have activated last
    any other two                                     nobody loses it: an activation tells

Who loses it goes on without a node id. One on its way into service remembers it as a claim, which managers
are asked about; only they have a host leave what it says to be. No record in service loses its state by the
claim of one that is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.state.instance import Role
from chalicelib.state.lifecycle import ENTERING, REMOVED, NodeState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chalicelib.state.node import Node


def find_twins(nodes: Iterable[Node]) -> Iterator[tuple[Node, Node]]:
    """Find records with the node id of another; answers the one that has more right to it, and each."""
    first: dict[str, Node] = {}
    for node in sorted(nodes, key=_right):
        if node.node and node.state not in REMOVED:
            holder = first.setdefault(node.node, node)
            if holder is not node:
                yield holder, node


def find_holder(claimant: Node, nodes: Iterable[Node]) -> Node | None:
    """Find whose node id a record on its way into service was given; None for nobody's."""
    others = (node for node in nodes if node.instance != claimant.instance and node.node == claimant.node)
    held = (node for node in others if node.state not in REMOVED and loses(node, claimant))
    return next(held, None) if claimant.node else None


def loses(holder: Node, claimant: Node) -> bool:
    """Whether the claimant of two records has no right to the node id."""
    return _rank(holder) < _rank(claimant) or holder.state is claimant.state is NodeState.IN_SERVICE


def without_node_id(node: Node, now: float, reason: str) -> Node:
    """Return the record without a node id; who serves under it joins again, and is found out about."""
    if node.state is NodeState.IN_SERVICE:
        return node.enter(NodeState.JOINING, since=now, due=now, reason=reason, node="")
    claimed = node.node if node.state in ENTERING else ""
    return node.revise(node="", claimed=claimed, reason=reason)


def _rank(node: Node) -> int:
    """Rank how sure it is that managers have activated the record under its node id."""
    if node.state is NodeState.IN_SERVICE:
        return 0
    return 2 if node.state in ENTERING else 1


def _right(node: Node) -> tuple[int, bool, float, float, str]:
    is_confirmed = node.state is NodeState.IN_SERVICE
    latest = -node.since if is_confirmed else 0.0
    return _rank(node), is_confirmed and node.role is not Role.MANAGER, latest, node.launched, node.instance
