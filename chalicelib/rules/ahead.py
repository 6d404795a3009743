"""Scheduled changes: a node is evacuated ahead of what AWS Health announces, and given back after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Move, Plan
from chalicelib.rules import drain
from chalicelib.states import NodeState

if TYPE_CHECKING:
    from chalicelib.cluster import Cluster, Node
    from chalicelib.events import ChangeScheduled


def on_change_scheduled(event: ChangeScheduled, cluster: Cluster) -> Plan:
    """At once if it is near; otherwise the record is due when it is."""
    node = cluster.node(event.instance)
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    what = event.code or "a scheduled change"
    if event.closed:
        return _called_off(node, what, cluster.now)
    begin = event.start - cluster.policy.ahead
    back = (event.end or event.start) + cluster.policy.ahead
    if begin <= cluster.now:
        return drain.answered(node, cluster, threat(event.time, event.start, back, what, cluster))
    if node.state is not NodeState.IN_SERVICE:
        return Plan(f"{what} is hours ahead, and the node is {node.state}")
    planned = node.but(due=begin, deadline=event.start, back=back, reason=what)
    if (node.due, node.deadline, node.back) == (planned.due, planned.deadline, planned.back):
        return Plan(f"{what}: known")
    return Plan(f"{what}: the evacuation is planned", (Move(node, planned),))


def begun(node: Node, cluster: Cluster) -> Node | None:
    """A node in service whose planned evacuation is due."""
    if node.state is not NodeState.IN_SERVICE or node.due is None or not node.deadline:
        return None
    due = threat(cluster.now, node.deadline, node.back, node.reason, cluster)
    return drain.begun(node, cluster.now, due)


def threat(since: float, start: float, back: float, what: str, cluster: Cluster) -> drain.Threat:
    """The change as a threat. It is known long ahead, so the work does not last until its start."""
    latest = cluster.now + cluster.policy.gentle
    deadline = min(start, latest) if start > cluster.now else latest
    return drain.Threat(since, deadline, what, max(back, latest))


def _called_off(node: Node, what: str, now: float) -> Plan:
    if node.state is NodeState.IN_SERVICE and node.deadline:
        after = node.but(due=None, deadline=0.0, back=0.0)
        return Plan(f"{what} is called off", (Move(node, after),))
    if node.state is NodeState.EVACUATED and node.back:
        return Plan(f"{what} is over: the node is given back", (Move(node, node.but(due=now, back=now)),))
    return Plan(f"{what} is over: nothing was planned")
