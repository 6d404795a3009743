"""What people order for records and settings; jobs are in rules/cluster/jobs.py.

Order, what is known -> plan:
    settings   they are set already          nothing
    settings   any other                     set them
    redrive    work on nodes was given up    open again, from the first attempt on, and sent
    redrive    jobs have failed              open again and sent; not what only people repeat
    redrive    nothing was given up          nothing
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Forget, Plan, ReplaceJob, ReplaceRecord, Send, UpdateSettings
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules import incidents
from chalicelib.state.job import NEVER_REPEATED, Job, JobStage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.actions import Action
    from chalicelib.events import RedriveOrdered, SettingsOrdered
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

BY_HAND = "ordered again by hand"
NAMED_NODES = 10  # in a plan's reason


def on_settings_ordered(event: SettingsOrdered, cluster: Cluster) -> Plan:
    """Change the cluster's settings; the call resume follows it with a tick."""
    now = {name: getattr(cluster.settings, name) for name in event.changes}
    if now == dict(event.changes):
        return Plan("nothing to change: " + _describe(event.changes))
    return Plan("set: " + _describe(event.changes), (UpdateSettings(event.changes),))


def on_redrive_ordered(event: RedriveOrdered, cluster: Cluster) -> Plan:
    """Open what was given up again. Remove its dead letter first: a new failure is a new incident."""
    nodes = [node for node in cluster.nodes if node.is_given_up and event.instance in ("", node.instance)]
    failed = [job for job in cluster.jobs if _can_redrive(job) and event.instance in ("", job.instance)]
    if not nodes and not failed:
        return Plan("nothing was given up" + (f" for {event.instance}" if event.instance else ""))
    actions: list[Action] = [Forget(incidents.node_key(node)) for node in nodes]
    actions += [ReplaceRecord(node, _reopen(node, cluster)) for node in nodes]
    actions += [Dispatch(nodes[0].instance)] if nodes else []
    for job in failed:
        after = job.revise(stage=JobStage.OPEN, attempts=0, command="", due=cluster.now, reason=BY_HAND)
        actions += [Forget(incidents.job_key(job)), ReplaceJob(job, after), Send(after)]
    names = ", ".join([node.instance for node in nodes[:NAMED_NODES]] + [job.task.value for job in failed])
    return Plan(f"{len(nodes) + len(failed)} to do again: {names}", tuple(actions))


def _can_redrive(job: Job) -> bool:
    """Whether it has failed, and is neither destructive (ordered with a confirmation) nor an inspection."""
    return job.stage is JobStage.FAILED and job.task not in (*NEVER_REPEATED, AgentTask.INSPECT)


def _reopen(node: Node, cluster: Cluster) -> Node:
    until = cluster.now + cluster.timeouts.evacuation_s if node.task is AgentTask.EVACUATE else node.deadline
    return node.revise(attempts=0, due=cluster.now, deadline=until, reason=BY_HAND)


def _describe(changes: Mapping[str, str | bool | float]) -> str:
    return ", ".join(f"{name}={value}" for name, value in changes.items())
