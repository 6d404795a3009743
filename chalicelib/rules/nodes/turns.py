"""Turns: without an announced end, only a share of a cluster's nodes is out at once; the others wait.

Node in service, others -> plan:
    a recommendation or a drill counts    nobody is out gently, nobody waits   evacuating gently, at once
    likewise, or a change is near         anybody does                         the tick begins it in its turn

Tick, nodes that wait -> plan:
    fewer are out gently than may be      as many as may be, the longest wait first: evacuating gently
    others wait on                        notify people, once an hour

The share is the setting ``out_share``, one node at least. A handler writes that its node waits before it
reads who else does, and only the tick begins more than one: so two handlers never both take the last turn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Notify, Plan, ReplaceRecord
from chalicelib.rules import incidents
from chalicelib.rules.nodes import evacuate, scheduled_change
from chalicelib.state.lifecycle import IN_SWARM, UNDER_EVACUATION, NodeState
from chalicelib.state.postponed import Postponed
from chalicelib.state.settings import Recommendations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chalicelib.actions import Action
    from chalicelib.events import InstanceEvent, TurnAsked
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

HANDLER_S = 10.0  # for which an evacuation is left to the handler that has recorded it
ROUNDING = 1e-9  # a third of three nodes is one


def postpone(node: Node, event: InstanceEvent, seconds: float, reason: str, cluster: Cluster) -> Node:
    """Return the changed record of a node in service, whose evacuation waits for its turn."""
    until = max(event.time + cluster.timeouts.recommendation_s, cluster.now + HANDLER_S)
    waits = Postponed(event.time, cluster.now + HANDLER_S, until, seconds, reason, event.drill)
    return replace(node, postponed=(waits,))


def on_turn_asked(_: TurnAsked, node: Node, cluster: Cluster) -> Plan:
    """Begin the evacuation if no other node is out gently or waits, else leave it to the tick."""
    disruption = find_disruption(node, cluster)
    if disruption is None:
        return Plan(f"nothing waits: the node is {node.state}")
    others = [one for one in cluster.nodes if one.instance != node.instance]
    if ahead := [one for one in others if one.is_out_gently or find_disruption(one, cluster)]:
        return Plan(f"it waits for its turn, as {ahead[0].instance} is out or waits too: {disruption.reason}")
    after = evacuate.begin(node, cluster.now, disruption)
    return Plan(disruption.reason, (ReplaceRecord(node, after), Dispatch(node.instance)))


def begin_next(waiting: Sequence[Node], cluster: Cluster) -> list[Action]:
    """Return what the tick does about nodes in service that are due; the cluster has all of its nodes."""
    known = [(node, find_disruption(node, cluster)) for node in waiting]
    actions: list[Action] = [
        ReplaceRecord(node, node.revise(postponed=())) for node, why in known if why is None
    ]
    ready = [(node, why) for node, why in known if why]
    ready.sort(key=lambda one: (one[1].since, one[0].instance))
    free = _count_free(cluster)
    begun, left = ready[:free], ready[free:]
    actions += [ReplaceRecord(node, evacuate.begin(node, cluster.now, why)) for node, why in begun]
    if left:
        out = [one.instance for one in cluster.nodes if one.is_out_gently] + [
            node.instance for node, _ in begun
        ]
        actions.append(Notify(incidents.nodes_wait(left[0][0], len(left), left[0][1].reason, out, cluster)))
    return actions


def next_due(node: Node, cluster: Cluster) -> float | None:
    """Return when the tick has to look at a node in service; None if nothing is planned for it."""
    dues = [one.due for one in node.postponed]
    change = scheduled_change.next_due(node, cluster)
    return min(dues if change is None else [*dues, change], default=None)


def find_disruption(node: Node, cluster: Cluster) -> evacuate.Disruption | None:
    """Find why a node in service has to be evacuated by now; None if it has not."""
    if node.state is not NodeState.IN_SERVICE:
        return None
    if change := scheduled_change.find_disruption(node, cluster):
        return change
    return next((_disrupt(one, cluster) for one in node.postponed if _counts(one, cluster)), None)


def _counts(waits: Postponed, cluster: Cluster) -> bool:
    """Whether it is still wanted, also by the cluster's settings."""
    settings = cluster.settings
    wanted = settings.drills if waits.drill else settings.recommendations is Recommendations.EVACUATE
    return wanted and cluster.now < waits.until


def _disrupt(waits: Postponed, cluster: Cluster) -> evacuate.Disruption:
    """Make the disruption as it is now: what waited has its whole time from now on."""
    deadline = evacuate.deadline(waits.since, waits.seconds, cluster.now)
    if not waits.drill:
        back = waits.since + cluster.timeouts.recommendation_s
        until = cluster.now + waits.seconds
        return evacuate.Disruption(waits.since, until, waits.reason, back, gentle=True)
    reason = f"a drill: {max(deadline - cluster.now, 0):.0f} s to empty it, then it is given back"
    back = deadline + cluster.timeouts.drill_s
    return evacuate.Disruption(waits.since, deadline, reason, back, drill=True, gentle=True)


def _count_free(cluster: Cluster) -> int:
    """Count the turns that are free; those are taken that a handler is about to begin."""
    nodes = [node for node in cluster.nodes if node.state in {*IN_SWARM, *UNDER_EVACUATION}]
    most = max(int(len(nodes) * cluster.settings.out_share + ROUNDING), 1)
    fresh = [node for node in nodes if any(one.due > cluster.now for one in node.postponed)]
    return max(most - sum(node.is_out_gently for node in nodes) - len(fresh), 0)
