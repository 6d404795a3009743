"""Events that empty a node, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.actions import AskForTurn, ReplaceRecord
from chalicelib.events import (
    RebalanceRecommended,
    SpotInterruptionWarning,
    TurnAsked,
)
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.rules import decide
from chalicelib.state.cluster import Cluster
from chalicelib.state.node import Node
from chalicelib.state.settings import ClusterSettings
from tests.unit.chalicelib.support.fakes import START, WORKER, a_cluster

RECOMMENDATION = RebalanceRecommended(START, WORKER)
WARNING = SpotInterruptionWarning(START, WORKER)
ACTIVE = Result(AgentTask.ACTIVATE, ok=True, nodes=(NodeReport(WORKER, "abc", Fate.ACTIVE),))


def with_settings(node: Node, now: float = START, **settings: Any) -> Cluster:
    return replace(a_cluster(node, now=now), settings=ClusterSettings(**settings))


def after(event: Any, cluster: Cluster) -> Node | None:
    """Return the node after the event; None for no change."""
    moves = [action for action in decide(event, cluster).actions if isinstance(action, ReplaceRecord)]
    return moves[0].after if moves else None


def after_turn(event: Any, cluster: Cluster) -> Node | None:
    """Return the node after the event, and after the turn that the plan asks for."""
    node = after(event, cluster)
    if node and AskForTurn(node.instance) in decide(event, cluster).actions:
        others = tuple(one for one in cluster.nodes if one.instance != node.instance)
        asked = TurnAsked(cluster.now, node.instance)
        return after(asked, replace(cluster, nodes=(node, *others))) or node
    return node
