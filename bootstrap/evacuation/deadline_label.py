"""Doom: a node's label that tells when the node will be gone, and the version of the order that said so.

An order with an older version than the label's comes too late, whatever it wants; 0 is a person's, who may.
"""

from __future__ import annotations

from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL, Node

EARLIER_BY_S = 1.0  # seconds by which another notice has to be shorter, to hurry a job that runs


def label(deadline: float, version: int) -> str:
    """The label's text; the version is left out where it is 0."""
    return f"{deadline:.0f} {version}" if version else f"{deadline:.0f}"


def version(node: Node) -> int:
    """The version of the order that doomed the node; 0 where the label tells none."""
    _, _, told = node.labels.get(EVACUATION_DEADLINE_LABEL, "").partition(" ")
    return int(told) if told.isdecimal() else 0


def outdated(order: int, node: Node) -> bool:
    """Whether the node was doomed after the order was given."""
    return 0 < order < version(node)


def news(order: int, deadline: float, node: Node, now: float) -> float | None:
    """The doom that an order to evacuate brings; None where the label says as much.

    A doom that is ahead is brought forward only; one that is over is replaced by what is ordered anew.
    """
    if node.evacuation_deadline is None or node.availability == "active":
        return deadline
    if outdated(order, node):
        return None
    if order > version(node):
        return min(deadline, node.evacuation_deadline) if node.evacuation_deadline > now else deadline
    over = not order and node.evacuation_deadline <= now < deadline
    return deadline if over or deadline < node.evacuation_deadline - EARLIER_BY_S else None
