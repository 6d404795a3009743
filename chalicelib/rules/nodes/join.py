"""Join: a launched instance becomes a node, drained until it is complete, and only then has tasks.

Node, command ended -> node afterwards:
    joining      join: joined                      activating
    joining      join: warm                        open again: its group keeps it in a warm pool
    activating   activate: active                  in service
    activating   activate: absent, or another's    joining, after a back-off; two managers say so
    either       any other end                     open again (rules/retry.py)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.protocol.messages import Fate
from chalicelib.rules import retry
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.events import CommandFinished
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.node import Node

WARM_POLL_S = 900.0  # between two questions to an instance that runs in a warm pool


def conclude(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """Return the node after a join command: to be activated if it is in the swarm, else open again."""
    if report is not None and report.fate is Fate.WARM:  # an event says when it leaves the pool
        again = node.reopen(due=now + WARM_POLL_S, reason=report.detail, fate=report.fate.value)
        return replace(again, attempts=0)
    if report is None or report.fate is not Fate.JOINED:
        return retry.after_failure(node, report, event, now)
    found = report.node or node.node
    return node.enter(NodeState.ACTIVATING, since=event.time, due=now, reason="joined, drained", node=found)


def conclude_activation(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """Return the node after an activate command: in service, joining again, or open again.

    A record that joins again keeps its node id, or the one that its host claims. So the agent on the host
    knows that the managers do not list that node, or as another instance's, and leaves what its engine still
    believes to be; all others join without a node id.
    Not at once: between two swarms of one name hosts would change sides for ever.
    """
    if report is not None and report.fate in (Fate.ABSENT, Fate.ANOTHERS):
        reason = f"{report.detail}: it joins anew"
        due = now + retry.back_off(1, node.instance)
        return node.enter(NodeState.JOINING, since=event.time, due=due, reason=reason, claimed=node.claimed)
    if report is None or report.fate is not Fate.ACTIVE:
        return retry.after_failure(node, report, event, now)
    return node.enter(
        NodeState.IN_SERVICE,
        since=event.time,
        reason="activated",
        fate=report.fate.value,
        node=report.node or node.node,
        labels="",
    )
