"""Scheduled changes: a node is evacuated ahead of what AWS Health announces, and given back after it.

    notice about a change        node                       plan
    it is far ahead              any                        noted; due when the node has to be empty
    it is near, or goes on       in service                 evacuating gently, once it is its turn
    it is near, or goes on       evacuating for a while     not given back before the end of the change
    closed, or moved away        evacuated for it           given back
    its window is long           any                        people are notified: empty for a part only
    older than the known one     any                        a duplicate: send what is unsent

    due: the change is near      in service                 evacuating gently, in its turn (turns.py)
                                 evacuated, to be returned  stays evacuated until the end of the change

The notices stay on the record whatever becomes of the node meanwhile: whenever it is in service, its record
is due when it has to be empty (rules/finalize.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import AskForTurn, Dispatch, Notify, Plan, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.rules import incidents
from chalicelib.rules.nodes import evacuate
from chalicelib.state.lifecycle import STAYING, UNDER_EVACUATION, NodeState
from chalicelib.state.scheduled_change import ScheduledChange

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import ChangeScheduled
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

KEEP_NOTICE_S = 7 * 86_400.0  # after the end of a change, so that a late older notice is ignored


def on_change_scheduled(event: ChangeScheduled, node: Node, cluster: Cluster) -> Plan:
    """Evacuate now if the change is near, else when it is; an older notice changes nothing."""
    code = event.code or "a scheduled change"
    change = ScheduledChange(event.time, event.closed, event.start, event.end, code, event.arn)
    known = next((one for one in node.notices if one.arn == change.arn), None)
    if known and change <= known:
        sending = (Dispatch(node.instance),) if node.is_unsent else ()
        return Plan(f"{code}: known", sending, (Measure(Metric.DUPLICATES, instance=node.instance),))
    noted = replace(_apply(node, known, change, cluster), notices=_add(node, change, cluster))
    asks = node.state is NodeState.IN_SERVICE and find_disruption(noted, cluster)
    next_step = AskForTurn(node.instance) if asks else Dispatch(node.instance)
    actions: tuple[Action, ...] = (ReplaceRecord(node, noted),)
    actions += (next_step,) if asks or noted.is_unsent else ()
    if change.is_long and _list_pending((change,), node, cluster):
        actions += (Notify(incidents.change_is_long(change, node, cluster)),)
    return Plan(f"{code}: {_describe(change, node, cluster)}", actions)


def next_due(node: Node, cluster: Cluster) -> float | None:
    """Return when a node in service has to be evacuated; None if no change is ahead."""
    pending = _list_pending(node.notices, node, cluster)
    return min((change.empty_from(cluster.timeouts) for change in pending), default=None)


def find_disruption(node: Node, cluster: Cluster) -> evacuate.Disruption | None:
    """Find the changes for which the node has to be empty by now; None if there is none."""
    near = _list_near(node.notices, node, cluster)
    return _disrupt(cluster.now, near, cluster) if near else None


def postpone_return(node: Node, cluster: Cluster) -> Node | None:
    """Return the evacuated node with a later return, as a change is near; None if none is."""
    near = _list_near(node.notices, node, cluster)
    back = max((change.empty_until(cluster.timeouts) for change in near), default=None)
    return node.revise(due=back, back=back, drill=False, reason=near[0].code) if back else None


def _apply(node: Node, known: ScheduledChange | None, change: ScheduledChange, cluster: Cluster) -> Node:
    """Return the node once the change is known: evacuated for it, given back after it, or as it is."""
    near = _list_near((change,), node, cluster)
    if near and node.state not in STAYING:
        disruption = _disrupt(change.published, near, cluster)
        return evacuate.apply(node, cluster.now, disruption) or node.revise()
    if known and node.state in UNDER_EVACUATION and node.back == known.empty_until(cluster.timeouts):
        now = cluster.now
        return node.revise(back=now, due=now if node.state is NodeState.EVACUATED else node.due)
    return node.revise()


def _disrupt(since: float, near: tuple[ScheduledChange, ...], cluster: Cluster) -> evacuate.Disruption:
    """Make a disruption of changes; they are known long ahead, so the work may end before they start."""
    latest = cluster.now + cluster.timeouts.evacuation_s
    start, code = near[0].start, near[0].code
    deadline = min(start, latest) if start > cluster.now else latest
    back = max(change.empty_until(cluster.timeouts) for change in near)
    return evacuate.Disruption(since, deadline, code, max(back, latest), gentle=True)


def _list_near(
    changes: tuple[ScheduledChange, ...], node: Node, cluster: Cluster
) -> tuple[ScheduledChange, ...]:
    """List the changes for which the node has to be empty now, the next one first."""
    pending = _list_pending(changes, node, cluster)
    near = (change for change in pending if change.empty_from(cluster.timeouts) <= cluster.now)
    return tuple(sorted(near, key=lambda change: change.start))


def _list_pending(
    changes: tuple[ScheduledChange, ...], node: Node, cluster: Cluster
) -> tuple[ScheduledChange, ...]:
    """List the changes that are not over; an instance that was started since runs on another host."""
    known = (change for change in changes if not change.closed and change.published >= node.launched)
    return tuple(change for change in known if cluster.now < change.empty_until(cluster.timeouts))


def _add(node: Node, change: ScheduledChange, cluster: Cluster) -> tuple[ScheduledChange, ...]:
    """Add the change to the node's notices, without those that ended long ago."""
    others = (one for one in node.notices if one.arn != change.arn)
    last = cluster.now - KEEP_NOTICE_S
    kept = (one for one in others if max(one.published, one.empty_until(cluster.timeouts)) > last)
    return (*kept, change)


def _describe(change: ScheduledChange, node: Node, cluster: Cluster) -> str:
    if not _list_pending((change,), node, cluster):
        return "over, or called off"
    return "the evacuation is planned" if change.empty_from(cluster.timeouts) > cluster.now else "it is near"
