"""Scheduled changes: a node is evacuated ahead of what AWS Health announces, and given back after it.

What was told of each change stays on the record, whatever becomes of the node meanwhile: whenever it is in
service, its record is due when it has to be empty (closing.py), and what is out already stays out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Plan, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.rules.nodes import evacuate
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.scheduled_change import ScheduledChange

if TYPE_CHECKING:
    from chalicelib.events import ChangeScheduled
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

KEPT = 7 * 86_400.0  # seconds that a notice of what is over is known, so that a late older one is passed over
EMPTYING = frozenset({NodeState.EVACUATING, NodeState.EVACUATED})


def on_change_scheduled(event: ChangeScheduled, cluster: Cluster) -> Plan:
    """At once if it is near; otherwise the record is due when it is. An older word changes nothing."""
    node = cluster.node(event.instance)
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    code = event.code or "a scheduled change"
    notice = ScheduledChange(event.time, event.closed, event.start, event.end, code, event.arn)
    known = next((one for one in node.notices if one.arn == notice.arn), None)
    if known and notice <= known:
        sending = (Dispatch(node.instance),) if node.is_unsent else ()
        return Plan(f"{code}: known", sending, (Measure(Metric.DUPLICATES, instance=node.instance),))
    noted = replace(_apply(node, known, notice, cluster), notices=_keep(node, notice, cluster))
    sending = (Dispatch(node.instance),) if noted.is_unsent else ()
    return Plan(f"{code}: {_describe(notice, node, cluster)}", (ReplaceRecord(node, noted), *sending))


def next_due(node: Node, cluster: Cluster) -> float | None:
    """When a node in service has to be evacuated; None if nothing is to come."""
    return min(
        (one.begin(cluster.timeouts) for one in _list_pending(node.notices, node, cluster)), default=None
    )


def begin(node: Node, cluster: Cluster) -> Node | None:
    """A node in service that is due: its evacuation begins, or was not to be and it is due anew."""
    if node.state is not NodeState.IN_SERVICE:
        return None
    near = _list_near(node.notices, node, cluster)
    return (
        evacuate.begin(node, cluster.now, _disruption(cluster.now, near, cluster)) if near else node.revise()
    )


def postpone(node: Node, cluster: Cluster) -> Node | None:
    """An evacuated node that would be given back now, but for a change that is near; None without one."""
    near = _list_near(node.notices, node, cluster)
    back = max((one.until(cluster.timeouts) for one in near), default=None)
    return node.revise(due=back, back=back, drill=False, reason=near[0].code) if back else None


def _apply(node: Node, known: ScheduledChange | None, notice: ScheduledChange, cluster: Cluster) -> Node:
    """The node once the notice is known: evacuated, given back if it was out for this change, or as it is."""
    if near := _list_near((notice,), node, cluster):
        return (
            evacuate.apply(node, cluster.now, _disruption(notice.published, near, cluster)) or node.revise()
        )
    if known and node.state in EMPTYING and node.back == known.until(cluster.timeouts):
        now = cluster.now
        return node.revise(back=now, due=now if node.state is NodeState.EVACUATED else node.due)
    return node.revise()


def _disruption(since: float, near: tuple[ScheduledChange, ...], cluster: Cluster) -> evacuate.Disruption:
    """The changes as a disruption. They are known long ahead, so the work does not last until their start."""
    latest = cluster.now + cluster.timeouts.evacuation_s
    start, code = near[0].start, near[0].code
    deadline = min(start, latest) if start > cluster.now else latest
    back = max(one.until(cluster.timeouts) for one in near)
    return evacuate.Disruption(since, deadline, code, max(back, latest))


def _list_near(
    notices: tuple[ScheduledChange, ...], node: Node, cluster: Cluster
) -> tuple[ScheduledChange, ...]:
    """Those for which the node has to be empty now, the next first."""
    pending = _list_pending(notices, node, cluster)
    near = (one for one in pending if one.begin(cluster.timeouts) <= cluster.now)
    return tuple(sorted(near, key=lambda one: one.start))


def _list_pending(
    notices: tuple[ScheduledChange, ...], node: Node, cluster: Cluster
) -> tuple[ScheduledChange, ...]:
    """Those that are not over. An instance that was started since is on another host."""
    known = (one for one in notices if not one.closed and one.published >= node.launched)
    return tuple(one for one in known if cluster.now < one.until(cluster.timeouts))


def _keep(node: Node, notice: ScheduledChange, cluster: Cluster) -> tuple[ScheduledChange, ...]:
    others = (one for one in node.notices if one.arn != notice.arn)
    last = cluster.now - KEPT
    kept = (one for one in others if max(one.published, one.until(cluster.timeouts)) > last)
    return (*kept, notice)


def _describe(notice: ScheduledChange, node: Node, cluster: Cluster) -> str:
    if not _list_pending((notice,), node, cluster):
        return "over, or called off"
    return "the evacuation is planned" if notice.begin(cluster.timeouts) > cluster.now else "it is near"
