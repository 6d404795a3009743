"""The evacuation deadline: a node's label that tells when the node will be gone, and which order said so.

An order with an older version than the label's comes too late, whatever it wants; 0 is a person's, who may.
"""

from __future__ import annotations

from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL, GENTLE, Node

EARLIER_BY_S = 1.0  # seconds by which another notice has to be shorter, to hurry a job that runs


def text(deadline: float, order: int, node: Node, *, gentle: bool = False) -> str:
    """Write the label's text: the deadline, the newest version unless it is 0, and whether it is gentle."""
    newest = max(order, version(node))
    words = [f"{deadline:.0f}", *([str(newest)] if newest else []), *([GENTLE] if gentle else [])]
    return " ".join(words)


def version(node: Node) -> int:
    """Read the version of the order that set the label; 0 where it tells none."""
    words = node.labels.get(EVACUATION_DEADLINE_LABEL, "").split(" ")
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0


def is_outdated(order: int, node: Node) -> bool:
    """Tell whether a newer order than this one has set the label."""
    return 0 < order < version(node)


def new_deadline(
    order: int, deadline: float, node: Node, now: float, *, gentle: bool = False
) -> float | None:
    """Choose the deadline that an order to evacuate sets; None where the label says as much.

    A deadline that is ahead is brought forward only; one that is over is replaced by what is ordered anew.
    """
    if node.evacuation_deadline is None or node.availability == "active":
        return deadline
    if is_outdated(order, node):
        return None
    if node.is_gentle and not gentle:
        return deadline  # an announced end takes the place of an order that nobody had announced
    if order > version(node):
        return min(deadline, node.evacuation_deadline) if node.evacuation_deadline > now else deadline
    over = not order and node.evacuation_deadline <= now < deadline
    return deadline if over or deadline < node.evacuation_deadline - EARLIER_BY_S else None
