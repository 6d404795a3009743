"""Incidents about a swarm as a whole: who its managers are, which node an instance is, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.rules.incidents import REPEAT_AFTER_S, REPEAT_DAILY_S
from chalicelib.state.incident import Incident

if TYPE_CHECKING:
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node


def worker_promoted(report: NodeReport, cluster: Cluster) -> Incident:
    """Describe a node that was promoted because the managers that stay had no majority."""
    tag = cluster.deployment.write_manager_tag(report.instance)
    order = cluster.deployment.write_call("demote", {"cluster": cluster.name, "instance": report.instance})
    return Incident(
        key=f"promoted#{report.instance}",
        at=cluster.now,
        what=f"most managers of {cluster.name} end, so {report.instance} was made a manager: {report.detail}",
        left="its swarm lives on; commands and joiners go to instances only that are tagged as manager",
        fix=f"unless other managers stay, tag it: {tag}\nonce others are managers, demote it:{order}",
        instance=report.instance,
        node=report.node,
        expires=cluster.now + REPEAT_DAILY_S,
    )


def cluster_ended(nodes: list[Node], cluster: Cluster) -> Incident:
    """Describe a cluster of which no instance runs any more."""
    return Incident(
        key="ended",
        at=cluster.now,
        what=f"no instance of {cluster.name} runs any more: the last {len(nodes)} nodes are recorded as gone",
        left="its settings stay; its join tokens stay in Parameter Store until a new swarm replaces them",
        fix="nothing, if that was meant; else launch instances, tag a manager among them, and init it",
        instance=nodes[0].instance,
        expires=cluster.now + REPEAT_AFTER_S,
    )


def node_id_twice(first: Node, second: Node, cluster: Cluster) -> Incident:
    """Describe two instances that say to be the same node: an image of the other one, or a lie."""
    return Incident(
        key=f"twice#{second.instance}",
        at=cluster.now,
        what=f"{first.instance} and {second.instance} both say that they are node {first.node}",
        left=f"the record of {first.instance}; {second.instance} goes on without that node id",
        fix=f"take images only of hosts that are in no swarm; if {second.instance} was booted from none, "
        "see who is root on it, and replace it",
        instance=second.instance,
        node=first.node,
        expires=cluster.now + REPEAT_DAILY_S,
    )
