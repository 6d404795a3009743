"""The end of a cluster: EC2 shows none of its instances running.

    every instance                             records                plan
    ended or gone for two minutes              leaving                gone, people are notified once
    ... and none is merely stopped             jobs                   ended: a new cluster begins clean

Stopped instances keep their swarm on their disks: started again they are its members.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Notify, Plan, RecordManagers, ReplaceJob, ReplaceRecord
from chalicelib.rules import swarm_incidents
from chalicelib.rules.nodes.leave import KEEP_GONE_S
from chalicelib.state.instance import InstanceState
from chalicelib.state.job import Job, JobStage
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import InstancesDiscovered
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

ENDED_AFTER_S = 120.0  # that no instance runs; a fleet that replaces the last one is quicker
OVER = frozenset({InstanceState.STOPPED, InstanceState.TERMINATED})


def plan_end(event: InstancesDiscovered, cluster: Cluster) -> Plan | None:
    """Return what ends the records of a cluster without instances; None where there is none to end."""
    left = [node for node in cluster.nodes if node.state is not NodeState.GONE]
    is_over = all(one.state in OVER for one in event.instances) and all(
        _may_end(node, event) for node in left
    )
    if event.hurried or not left or not is_over:
        return None
    actions: list[Action] = [ReplaceRecord(node, _end(node, event)) for node in left]
    if not any(one.state is InstanceState.STOPPED for one in event.instances):
        actions += [ReplaceJob(job, _end_job(job)) for job in cluster.jobs if job.stage is not JobStage.ENDED]
    actions += [RecordManagers(())] if cluster.managers else []
    incident = swarm_incidents.cluster_ended(left, cluster)
    return Plan(incident.what, (*actions, Notify(incident)))


def _may_end(node: Node, event: InstancesDiscovered) -> bool:
    """Whether a node waits to be removed for long enough, and no group for it."""
    return node.state is NodeState.LEAVING and not node.hooks and event.time > node.since + ENDED_AFTER_S


def _end(node: Node, event: InstancesDiscovered) -> Node:
    expires, reason = event.time + KEEP_GONE_S, "its cluster has no instance any more"
    return node.enter(NodeState.GONE, since=event.time, reason=reason, expires=expires)


def _end_job(job: Job) -> Job:
    """Forget what was learnt of the swarm that is gone; what was wanted of it is wanted no more."""
    ended = job.revise(stage=JobStage.ENDED, due=None, command="", manager="", result="", source="")
    return replace(ended, wanted=False, reason="the cluster has ended")
