"""What people order with the manual calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Forget, Plan, ReplaceJob, ReplaceRecord, Send, UpdateSettings
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules import finalize
from chalicelib.rules.cluster import jobs
from chalicelib.state.job import NEVER_REPEATED, Job, JobStage

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import RedriveOrdered, SettingsOrdered
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

BY_HAND = "ordered again by hand"


def on_settings_ordered(event: SettingsOrdered, cluster: Cluster) -> Plan:
    """Treat the cluster otherwise. Who resumes catches up with a tick of its own (calls.py)."""
    now = {name: getattr(cluster.settings, name) for name in event.changes}
    if now == dict(event.changes):
        return Plan("nothing to change: " + _describe(event.changes))
    return Plan("set: " + _describe(event.changes), (UpdateSettings(event.changes),))


def on_redrive_ordered(event: RedriveOrdered, cluster: Cluster) -> Plan:
    """Open given up work again. The letter goes first: if the work fails again, that is a new incident."""
    nodes = [node for node in cluster.nodes if node.is_given_up and event.instance in ("", node.instance)]
    failed = [job for job in cluster.jobs if _can_redrive(job) and event.instance in ("", job.instance)]
    if not nodes and not failed:
        return Plan("nothing was given up" + (f" for {event.instance}" if event.instance else ""))
    actions: list[Action] = [Forget(finalize.dead_letter_key(node)) for node in nodes]
    actions += [ReplaceRecord(node, _reopen(node, cluster)) for node in nodes]
    actions += [Dispatch(nodes[0].instance)] if nodes else []
    for job in failed:
        after = job.revise(stage=JobStage.OPEN, attempts=0, command="", due=cluster.now, reason=BY_HAND)
        actions += [Forget(jobs.dead_letter_key(job)), ReplaceJob(job, after), Send(after)]
    names = ", ".join([node.instance for node in nodes[:10]] + [job.task.value for job in failed])
    return Plan(f"{len(nodes) + len(failed)} to do again: {names}", tuple(actions))


def _can_redrive(job: Job) -> bool:
    """It came to nothing; what throws state away is ordered anew, with its confirmation, a look by nobody."""
    return job.stage is JobStage.FAILED and job.task not in (*NEVER_REPEATED, AgentTask.INSPECT)


def _reopen(node: Node, cluster: Cluster) -> Node:
    until = cluster.now + cluster.timeouts.evacuation_s if node.task is AgentTask.EVACUATE else node.deadline
    return node.revise(attempts=0, due=cluster.now, deadline=until, reason=BY_HAND)


def _describe(changes: object) -> str:
    return ", ".join(f"{name}={value}" for name, value in dict(changes).items())  # type: ignore[call-overload]
