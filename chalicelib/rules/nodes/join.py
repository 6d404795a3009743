"""Join: a launched instance becomes a node, drained until it is complete, and only then has tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.protocol.messages import Fate
from chalicelib.rules import retry
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.events import CommandFinished
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.node import Node


def conclude(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """The node after a join command: to be activated if it is in the swarm, else open again."""
    if report is None or report.fate is not Fate.JOINED:
        return retry.after_failure(node, report, event, now)
    found = report.node or node.node
    return node.enter(NodeState.ACTIVATING, since=event.time, due=now, reason="joined, drained", node=found)


def conclude_activation(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """The node after an activate command: in service, joined anew if the swarm lost it, else open again.

    A record that joins anew keeps its node id: so the agent on the host knows that its managers do not list
    it, and leaves what it still believes to be its swarm. All others join without a node id. Not at once:
    were there two swarms of one name, hosts would go to and fro.
    """
    if report is not None and report.fate is Fate.ABSENT:
        reason = f"{report.detail}: it joins anew"
        due = now + retry.back_off(1, node.instance)
        return node.enter(NodeState.JOINING, since=event.time, due=due, reason=reason)
    if report is None or report.fate is not Fate.ACTIVE:
        return retry.after_failure(node, report, event, now)
    return node.enter(
        NodeState.IN_SERVICE,
        since=event.time,
        reason="activated",
        fate=report.fate.value,
        node=report.node or node.node,
    )
