"""Leave: follow the state of an instance; what EC2 has ended is taken out of the swarm.

Instance, node -> plan:
    running                           leaving, gone, evacuated for good   joining: it was started again
    stopping, shutting down           not known to end, or evacuating     evacuate in the time that is left
    stopped, terminated, not listed   not leaving or gone yet             leaving
    stopped, terminated               leaving, but given up               leaving, from the first attempt on
    any other                         any                                 send what is unsent
    (leave command ended)             leaving, not listed in the swarm    gone; its record is kept for a week
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Plan, ReplaceRecord
from chalicelib.events.parsing import EVENT_TIME_RESOLUTION_S
from chalicelib.protocol.messages import Fate
from chalicelib.rules import retry
from chalicelib.rules.nodes import evacuate
from chalicelib.state.instance import ENDED, ENDING, InstanceState
from chalicelib.state.lifecycle import REMOVED, STAYING, NodeState

if TYPE_CHECKING:
    from chalicelib.events import CommandFinished, InstanceStateChanged
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

NOT_LISTED = frozenset({Fate.REMOVED, Fate.ABSENT})
KEEP_GONE_S = 7 * 86_400.0  # that the record of a gone node stays readable


def on_instance_state_changed(event: InstanceStateChanged, node: Node, cluster: Cluster) -> Plan:
    """Join what runs, evacuate what ends without a warning, remove what has ended."""
    return plan_for_state(node, event.state, event.time, cluster)


def plan_for_state(node: Node, state: InstanceState, time: float, cluster: Cluster) -> Plan:
    """Plan for an instance that has entered a state at ``time``."""
    if time < node.launched and state is not InstanceState.RUNNING:
        return Plan(f"{state}, but that was before the instance's last start")
    if state is InstanceState.RUNNING:
        after = _restart(node, time, cluster.now)
    else:
        after = follow(node, state, time, cluster)
    if after is None and state in ENDED and node.state is NodeState.LEAVING and node.is_given_up:
        # It lived when its node was to be removed: its cluster tag was gone, or EC2's listing was wrong.
        after = node.revise(attempts=0, due=cluster.now, reason=f"the instance is {state} now: removed again")
    if after is None:
        actions = (Dispatch(node.instance),) if node.is_unsent else ()
        return Plan(f"the instance is {state}, the node is {node.state}: nothing to begin", actions)
    return Plan(after.reason, (ReplaceRecord(node, after), Dispatch(node.instance)))


def _restart(node: Node, time: float, now: float) -> Node | None:
    """Return the node of a running instance, joining again if it had ended before; None for no change."""
    # Evacuated for its stop, and the event of the stop was lost. A node that is given back never stopped.
    stopped = node.state is NodeState.EVACUATED and not node.back
    if not (node.state in REMOVED or stopped) or time <= node.since + EVENT_TIME_RESOLUTION_S:
        return None
    reason = "the instance was started again"
    return node.enter(NodeState.JOINING, since=time, launched=time, due=now, reason=reason)


def follow(node: Node, state: InstanceState | None, time: float, cluster: Cluster) -> Node | None:
    """Follow the state in which EC2 shows an instance (None: not listed); None for no change."""
    if state in ENDING:
        reason = f"the instance is {state} without a warning"
        anew = node.state in STAYING or (node.is_left_unfinished and not node.announced)
        since = time if anew else node.since  # an evacuation that has begun is only hurried
        deadline = time + cluster.timeouts.shutdown_s
        disruption = evacuate.Disruption(since, deadline, reason, announced=True)
        return evacuate.apply(node, cluster.now, disruption)
    if (state in ENDED or state is None) and node.state not in REMOVED:
        reason = f"the instance is {state}" if state else "EC2 no longer lists the instance"
        return node.enter(NodeState.LEAVING, since=time, due=cluster.now, reason=reason)
    return None


def conclude(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """Return the node after a leave command: gone if the swarm does not list it, else open again."""
    if report is None or report.fate not in NOT_LISTED:
        return retry.after_failure(node, report, event, now)
    return node.enter(
        NodeState.GONE,
        since=event.time,
        reason=report.detail or "removed from the swarm",
        fate=report.fate.value,
        node=report.node or node.node,
        labels=report.labels or node.labels,
        command=event.command,
        manager=event.manager,
        expires=event.time + KEEP_GONE_S,
    )


def record_as_gone(node: Node, *, since: float, now: float, due: float | None, reason: str) -> Node:
    """Return the first record of an instance that had ended before it had one."""
    expires = now + KEEP_GONE_S
    return replace(node, state=NodeState.GONE, since=since, due=due, reason=reason, expires=expires)
