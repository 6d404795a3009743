"""Join: a launched instance becomes a node, drained until it is complete, and only then has tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.protocol import Fate
from chalicelib.rules import again
from chalicelib.states import NodeState

if TYPE_CHECKING:
    from chalicelib.cluster import Node
    from chalicelib.events import CommandFinished
    from chalicelib.protocol import NodeReport


def joined(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """The node after a join command: to be activated if it is in the swarm, else open again."""
    if report is None or report.fate is not Fate.JOINED:
        return again.after_failure(node, report, event, now)
    found = report.node or node.node
    return node.to(NodeState.ACTIVATING, since=event.time, due=now, reason="joined, drained", node=found)


def activated(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """The node after an activate command: in service, joined anew if the swarm lost it, else open again."""
    if report is not None and report.fate is Fate.ABSENT:
        return node.to(NodeState.JOINING, since=event.time, due=now, reason="the swarm has no such node")
    if report is None or report.fate is not Fate.ACTIVE:
        return again.after_failure(node, report, event, now)
    found = report.node or node.node
    return node.to(
        NodeState.IN_SERVICE, since=event.time, reason="activated", fate=report.fate.value, node=found
    )
