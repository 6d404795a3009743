"""Rebalance recommendations: EC2 sees a Spot instance at risk; mostly nothing follows.

Node, the cluster's setting -> plan:
    any                          ignore     nothing
    in service                   note       noted
    in service                   evacuate   evacuated gently for a while, once it is its turn
    any other, or soon after the last one   a duplicate
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import AskForTurn, Plan, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.rules.nodes import turns
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.settings import Recommendations

if TYPE_CHECKING:
    from chalicelib.events import RebalanceRecommended
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node


def on_rebalance_recommended(event: RebalanceRecommended, node: Node, cluster: Cluster) -> Plan:
    """Do as the cluster's settings say, once in a while for each node: most recommendations pass."""
    wanted = cluster.settings.recommendations
    if wanted is Recommendations.IGNORE:
        return Plan("a rebalance recommendation: this cluster ignores them")
    if why := _why_ignored(event, node, cluster):
        return Plan(f"a rebalance recommendation{why}", (), (_count(Metric.DUPLICATES, node),))
    counted = _count(Metric.RECOMMENDATIONS, node)
    noted = node.revise(hinted=event.time)
    if wanted is Recommendations.NOTE:
        return Plan("a rebalance recommendation: noted", (ReplaceRecord(node, noted),), (counted,))
    reason = "EC2 recommends to leave it: evacuated for a while"
    after = turns.postpone(noted, event, cluster.timeouts.evacuation_s, reason, cluster)
    return Plan(reason, (ReplaceRecord(node, after), AskForTurn(node.instance)), (counted,))


def _why_ignored(event: RebalanceRecommended, node: Node, cluster: Cluster) -> str:
    """Explain why it changes nothing; "" if it counts."""
    if node.state is not NodeState.IN_SERVICE or event.time < max(node.launched, node.hinted):
        return f": already {node.state}"
    if event.time + cluster.timeouts.recommendation_s <= cluster.now:
        return " of long ago: nothing followed"
    if node.hinted and event.time < node.hinted + cluster.timeouts.recommendation_s:
        return " soon after the last one"
    return ""


def _count(metric: Metric, node: Node) -> Measure:
    return Measure(metric, instance=node.instance)
