"""Leave: what EC2 has ended is taken out of the swarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Plan, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import Fate
from chalicelib.rules import retry
from chalicelib.rules.nodes import evacuate
from chalicelib.state.instance import GOING, OVER, InstanceState
from chalicelib.state.lifecycle import STANDING, NodeState

if TYPE_CHECKING:
    from chalicelib.events import CommandFinished, InstanceStateChanged
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

REMOVED = frozenset({Fate.REMOVED, Fate.ABSENT})
RESOLUTION = 1.0  # seconds; EventBridge cuts its times to whole ones
KEEP_GONE_S = 7 * 86_400.0  # seconds that the record of a gone node stays readable


def on_instance_state_changed(event: InstanceStateChanged, cluster: Cluster) -> Plan:
    """A running instance joins, one that ends unwarned is evacuated, one that has ended is removed."""
    node = cluster.node(event.instance)
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    return plan_for_state(node, event.state, event.time, cluster)


def plan_for_state(node: Node, state: InstanceState, time: float, cluster: Cluster) -> Plan:
    """The instance has entered a state at ``time``."""
    if time < node.launched and state is not InstanceState.RUNNING:
        return Plan(f"{state}, but that was before the instance's last start")
    if state is InstanceState.RUNNING:
        after = restart(node, time, cluster.now)
    else:
        after = follow(node, state, time, cluster)
    if after is None and state in OVER and node.state is NodeState.LEAVING and node.is_given_up:
        # It lived when its node was to be removed: its cluster tag was gone, or EC2's listing was wrong.
        after = node.revise(attempts=0, due=cluster.now, reason=f"the instance is {state} now: removed again")
    if after is None:
        actions = (Dispatch(node.instance),) if node.is_unsent else ()
        return Plan(f"the instance is {state}, the node is {node.state}: nothing to begin", actions)
    return Plan(after.reason, (ReplaceRecord(node, after), Dispatch(node.instance)))


def restart(node: Node, time: float, now: float) -> Node | None:
    """The node of an instance that runs: it joins again if it had ended before; None for no change."""
    ended = node.state in (NodeState.LEAVING, NodeState.GONE)
    # Evacuated for its stop, and the event of the stop was lost. What is given back never stopped.
    stopped = node.state is NodeState.EVACUATED and not node.back
    if not (ended or stopped) or time <= node.since + RESOLUTION:
        return None
    reason = "the instance was started again"
    return node.enter(NodeState.JOINING, since=time, launched=time, due=now, reason=reason)


def follow(node: Node, state: InstanceState | None, time: float, cluster: Cluster) -> Node | None:
    """The node after its instance was found in a state (None: EC2 does not list it); None for no change."""
    if state in GOING:
        reason = f"the instance is {state} without a warning"
        # What goes on already is hurried by it at most.
        since = time if node.state in STANDING else node.since
        disruption = evacuate.Disruption(since, time + cluster.timeouts.shutdown_s, reason, announced=True)
        return evacuate.apply(node, cluster.now, disruption)
    if (state in OVER or state is None) and node.state not in (NodeState.LEAVING, NodeState.GONE):
        reason = f"the instance is {state}" if state else "EC2 no longer lists the instance"
        return node.enter(NodeState.LEAVING, since=time, due=cluster.now, reason=reason)
    return None


def conclude(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """The node after a leave command: gone if the swarm no longer lists it, else open again."""
    if report is None or report.fate not in REMOVED:
        return retry.after_failure(node, report, event, now)
    return node.enter(
        NodeState.GONE,
        since=event.time,
        reason=report.detail or "removed from the swarm",
        fate=report.fate.value,
        node=report.node or node.node,
        command=event.command,
        manager=event.manager,
        expires=event.time + KEEP_GONE_S,
    )


def measure_gone(node: Node) -> Measure:
    """A node has ended as it should."""
    return Measure(Metric.NODES_GONE, instance=node.instance)
