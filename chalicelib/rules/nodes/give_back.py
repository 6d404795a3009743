"""Give back: an evacuated node whose instance lives on has tasks again.

Node, event -> plan:
    evacuated, no end announced or near   ordered by hand              returning
    evacuating, given up or out of time   ordered by hand              returning
    returning                             ordered by hand              send what is unsent
    any other                             ordered by hand              refused, with the reason
    returning, a worker                   command ended: active        in service
    returning, a manager                  command ended: active        activating: promoted again
    returning                             no such node, twice          joining
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Plan, ReplaceRecord
from chalicelib.protocol.messages import Fate
from chalicelib.rules import retry
from chalicelib.rules.nodes import scheduled_change
from chalicelib.state.instance import Role
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.events import CommandFinished, GiveBackOrdered
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node


OVERTIME_S = 10.0  # past the deadline, in which an agent may still work and answer


def on_give_back_ordered(event: GiveBackOrdered, node: Node, cluster: Cluster) -> Plan:
    """Let an evacuated node have tasks again; refuse it where the instance is about to end."""
    if node.state is NodeState.RETURNING:
        return Plan("already returning", (Dispatch(node.instance),) if node.is_unsent else ())
    if why := _refusal(node, cluster):
        return Plan(f"{node.instance} is not given back: {why}", refused=True)
    reason = "given back by hand"
    after = node.enter(NodeState.RETURNING, since=event.time, due=cluster.now, reason=reason)
    return Plan(reason, (ReplaceRecord(node, after), Dispatch(node.instance)))


def _refusal(node: Node, cluster: Cluster) -> str:
    """Explain why a node stays as it is; "" if it may be given back."""
    if node.state is not NodeState.EVACUATED and not _has_no_end(node, cluster.now):
        left = node.deadline - cluster.now if node.state is NodeState.EVACUATING else 0.0
        return f"it is {node.state}, not evacuated" + (f": it has {left:.0f} s more" if left > 0 else "")
    if node.hooks:
        return f"{node.hooks[0].group} ends it"
    if node.announced:
        return "EC2 has announced its end; if it survives, it joins again automatically"
    near = scheduled_change.postpone_return(node, cluster)
    return f"{near.reason} is near; it comes back when that is over" if near else ""


def _has_no_end(node: Node, now: float) -> bool:
    """Whether its evacuation was given up, or should have ended and nobody has said how."""
    return node.state is NodeState.EVACUATING and (node.is_given_up or 0.0 < node.deadline < now - OVERTIME_S)


def conclude(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """Return the node after a give-back command; an evacuated manager was demoted and is promoted again."""
    if report is not None and report.fate is Fate.ABSENT:
        return node.enter(NodeState.JOINING, since=event.time, due=now, reason="the swarm has no such node")
    if report is None or report.fate is not Fate.ACTIVE:
        return retry.after_failure(node, report, event, now)
    if node.role is Role.MANAGER:
        reason = "given back, to be promoted again"
        return node.enter(NodeState.ACTIVATING, since=event.time, due=now, reason=reason)
    reason = f"given back: {report.detail}" if report.detail else "given back"
    return node.enter(
        NodeState.IN_SERVICE, since=event.time, reason=reason, fate=report.fate.value, labels=""
    )
