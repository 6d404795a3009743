"""Every incident that rules make: its key, what happened, what was left as it was, what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chalicelib.protocol.codec import decode_arguments
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.incident import Incident
from chalicelib.state.stored_names import as_stored

if TYPE_CHECKING:
    from chalicelib.events import CommandFinished, DiscoveryFailed, FleetEvent
    from chalicelib.protocol.messages import Target
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.job import Job
    from chalicelib.state.node import Node

STUCK_AFTER_S = 300.0  # that something may fail, or wait for a host, before people are notified
REPEAT_AFTER_S = 3600.0  # an incident that lasts is reported again
REPEAT_DAILY_S = 86_400.0
KEEP_DEAD_LETTER_S = 30 * 86_400.0
RECOVER = "docs/operations.md#recover-from-a-lost-quorum"
NO_QUORUM = ("managers", f"bring managers back; if their quorum is lost for good, recover: {RECOVER}")
# What to do about a refusal, by AWS's code or the words for it in the reason.
REFUSALS = {
    "AccessDeniedException": "allow the role that AWS names the call that it names",
    "UnsupportedPlatformType": "replace the instance by one that runs Linux",
    "cannot reach": "see that the instance runs, and its SSM agent with a role that lets it register",
    "InvalidDocument": "allow the document AWS-RunShellScript in this account and region",
}
LEFT_BY_NODE_TASK = {
    AgentTask.JOIN: "the instance runs, but is no node of the swarm",
    AgentTask.ACTIVATE: "the node is in the swarm, but has no tasks: it stays drained",
    AgentTask.EVACUATE: "the node may still run tasks; Swarm replaces them when its instance ends",
    AgentTask.GIVE_BACK: "the node is empty and stays drained",
    AgentTask.LEAVE: "the node of the ended instance is still listed in the swarm",
}
LEFT_BY_JOB = {
    AgentTask.INIT: "the cluster may have no swarm yet, or one whose join tokens are not stored",
    AgentTask.ROTATE_TOKENS: "the tokens in Parameter Store may not be the swarm's: nothing can join then",
    AgentTask.RECOVER: "the host is as the command left it; the command is not sent again automatically",
    AgentTask.PROMOTE: "the node keeps the role that it has",
    AgentTask.DEMOTE: "the node keeps the role that it has",
    AgentTask.REBALANCE: "no replica is missing; a service that was begun may have more than it asks for",
}


def node_key(node: Node) -> str:
    """Name the dead letter of a node: its task, its instance, the start of its state."""
    return f"{node.task.value if node.task else node.state}#{node.instance}#{node.since:.0f}"


def job_key(job: Job) -> str:
    """Name the dead letter of a job; an automatic job has one for all its failures."""
    return f"errand#{job.task.value}" + ("" if job.automatic else f"#{job.since:.0f}")


def node_work_given_up(node: Node, cluster: Cluster) -> Incident:
    """Describe work on a node that is given up, with all that is needed to order it again."""
    assert node.task is not None  # noqa: S101 - only open work can be given up
    order = cluster.deployment.write_call("redrive", {"cluster": cluster.name, "instance": node.instance})
    return Incident(
        key=node_key(node),
        at=cluster.now,
        what=f"{node.task.value} was given up after {node.attempts} attempts: {node.reason}",
        left=LEFT_BY_NODE_TASK[node.task],
        remedy=f"{_find_remedy(node.reason)}, then:{order}",
        instance=node.instance,
        node=node.node,
        record=json.dumps(as_stored(node), sort_keys=True),
        drill=node.drill,
        expires=cluster.now + KEEP_DEAD_LETTER_S,
    )


def job_failed(job: Job, cluster: Cluster) -> Incident:
    """Describe a job that failed, with all that is needed to order it again."""
    if job.task is AgentTask.INSPECT:  # nobody orders it: it only shows that the managers do not answer
        return no_manager_could(cluster, job.task, job.reason, job.manager)
    call = job.task.value.replace("-", "_")
    order = cluster.deployment.write_call(call, _payload(job, cluster))
    automatic = " (the next node that joins does it too)" if job.automatic else ""
    return Incident(
        key=job_key(job),
        at=cluster.now,
        what=f"{job.name} failed: {job.reason}",
        left=LEFT_BY_JOB[job.task],
        remedy=f"{_find_remedy(job.reason)}{automatic}, then:{order}",
        instance=job.instance or job.manager,
        record=json.dumps(as_stored(job), sort_keys=True),
        expires=cluster.now + (REPEAT_AFTER_S if job.automatic else KEEP_DEAD_LETTER_S),
    )


def no_manager_could(
    cluster: Cluster, task: AgentTask, said: str, manager: str, cause: tuple[str, str] = NO_QUORUM
) -> Incident:
    """Describe a task that no manager could do; ``cause`` has the key and the remedy."""
    key, remedy = cause
    return Incident(
        key=key,
        at=cluster.now,
        what=f"no manager of {cluster.name} could {task.value}: {said}",
        left="nothing destructive is done; the work is tried again with a growing back-off",
        remedy=remedy,
        instance=manager,
        expires=cluster.now + REPEAT_AFTER_S,
    )


def node_absent(before: Node, after: Node, cluster: Cluster) -> Incident:
    """Describe a node that was to be evacuated, but that its swarm does not list."""
    return Incident(
        key=f"absent#{after.instance}#{before.since:.0f}",
        at=cluster.now,
        what=f"{after.instance} was to be evacuated, but the swarm does not list its node: {after.reason}",
        left="nothing was changed; containers that still run there are not Swarm's to move",
        remedy="check on the instance: docker info; and on a manager: docker node ls",
        instance=after.instance,
        node=before.node,
        drill=after.drill,
        expires=cluster.now + REPEAT_AFTER_S,
    )


def host_differs(node: Node, detail: str, cluster: Cluster) -> Incident:
    """Describe a host that says of itself, or of which node it is, what EC2 does not."""
    return Incident(
        key=f"differs#{node.instance}",
        at=cluster.now,
        what=f"{node.instance} is not what it says it is: {detail}",
        left="role and labels of its node are EC2's; what the host says changed nothing",
        remedy="if it was booted from an image of another node, nothing: it leaves that and joins anew; "
        "else find out who is root on it, and where in doubt terminate the instance",
        instance=node.instance,
        node=node.node,
        expires=cluster.now + REPEAT_DAILY_S,
    )


def node_stays_down(target: Target, node: Node, cluster: Cluster) -> Incident:
    """Describe a node that its swarm lists as down though its instance runs."""
    return Incident(
        key=f"down#{target.instance}",
        at=cluster.now,
        what=f"node {target.node} stays down though its instance runs and was to join again: {node.reason}",
        left="Swarm runs its tasks elsewhere; the node stays listed, and its join is tried again",
        remedy="check dockerd on the host (systemctl status docker), or terminate the instance",
        instance=target.instance,
        node=target.node,
        expires=cluster.now + REPEAT_DAILY_S,
    )


def listing_differs(missing: int, covered: int, manager: str, cluster: Cluster) -> Incident:
    """Describe a manager that does not list most nodes; it may manage a swarm of its own."""
    return Incident(
        key=f"listing#{manager}",
        at=cluster.now,
        what=f"{manager} does not list {missing} of {covered} nodes that are in service",
        left="everything: no node leaves its swarm because of such a list",
        remedy="compare docker node ls there and elsewhere; docker swarm leave --force where it is wrong",
        instance=manager,
        expires=cluster.now + REPEAT_DAILY_S,
    )


def manager_of_another_swarm(manager: str, node: str, cluster: Cluster) -> Incident:
    """Describe a manager whose swarm does not have it as the manager that its record names."""
    return Incident(
        key=f"listing#{manager}",
        at=cluster.now,
        what=f"{manager} lists a swarm that does not have its node {node} as a manager",
        left="everything: no node leaves its swarm because of such a list",
        remedy="compare docker node ls there and elsewhere; docker swarm leave --force where it is wrong",
        instance=manager,
        expires=cluster.now + REPEAT_DAILY_S,
    )


def no_host_takes_commands(waiting: list[Node], cluster: Cluster) -> Incident:
    """Describe work that has waited too long for a host."""
    first = waiting[0]
    wait = f"check the SSM agents of the managers; if the quorum is lost for good, recover: {RECOVER}"
    return Incident(
        key="stuck",
        at=cluster.now,
        what=f"no host of {cluster.name} has taken commands for {STUCK_AFTER_S / 60:.0f} min: {first.reason}",
        left=f"{len(waiting)} nodes wait, {first.instance} among them; every tick tries again",
        remedy=_find_remedy(first.reason, wait),
        instance=first.instance,
        expires=cluster.now + REPEAT_AFTER_S,
    )


def no_swarm(waiting: list[Node], joining: int, cluster: Cluster) -> Incident:
    """Describe instances that cannot join, as no manager of their cluster has a swarm."""
    manager = cluster.managers[0] if cluster.managers else waiting[0].instance
    order = cluster.deployment.write_call("init", {"cluster": cluster.name, "instance": manager})
    tag = "" if cluster.managers else f"tag {manager}, or another one, swarmkeeper:role=manager, then "
    return Incident(
        key="unsettled",
        at=cluster.now,
        what=f"{cluster.name} has no swarm that could be joined: {waiting[0].reason}",
        left=f"{joining} instances wait, {waiting[0].instance} among them; they go on trying",
        remedy=f"{tag}make the swarm on its first manager:{order}",
        expires=cluster.now + REPEAT_AFTER_S,
    )


def lifecycle_action_open(group: str, node: Node, cluster: Cluster) -> Incident:
    """Describe lifecycle actions of a group that Auto Scaling does not let us complete."""
    return Incident(
        key=f"hook#{group}",
        at=cluster.now,
        what=f"lifecycle actions of {group} could not be completed for {STUCK_AFTER_S / 60:.0f} min",
        left=f"{node.instance} is {node.state}, its group still waits for it; every tick tries again",
        remedy=f"see its error: {cluster.deployment.write_log('tick')}"
        "\nwhere it is AccessDenied, tag the group:"
        f"\n  {cluster.deployment.write_tag_group(group, cluster.name)}",
        instance=node.instance,
        expires=cluster.now + REPEAT_AFTER_S,
    )


def discovery_failed(event: DiscoveryFailed, cluster: Cluster) -> Incident:
    """Describe a discovery that has failed for minutes."""
    return Incident(
        key=f"census#{event.what}",
        at=cluster.now,
        what=event.text,
        left="events are still followed; what happens without an event is not noticed meanwhile",
        remedy=f"see its error, and the permissions: {cluster.deployment.write_log('tick')}",
        expires=cluster.now + REPEAT_AFTER_S,
    )


def fleet_failed(event: FleetEvent, cluster: Cluster) -> Incident:
    """Describe what a fleet could not do."""
    return Incident(
        key=f"fleet#{event.fleet}#{event.kind}" + ("#drill" if event.drill else ""),
        at=event.time,
        what=event.text,
        left="no node was touched; no capacity comes from this fleet meanwhile",
        remedy="check the fleet in EC2: its limits, prices, instance types and zones",
        drill=event.drill,
        expires=cluster.now + REPEAT_AFTER_S,
    )


def explain_host_failure(event: CommandFinished, cluster: Cluster) -> tuple[str, str]:
    """Return key and remedy where commands fail; only a swarm that answered can lead to recover."""
    if event.unfetched:
        again = f"{cluster.deployment.write_deploy()} again, and let the managers reach S3"
        return "agent", f"{again}; their swarm was not asked"
    if event.result is None:
        return "hosts", "fix on the managers what is named; their swarm was not asked"
    return NO_QUORUM


def _find_remedy(reason: str, otherwise: str = "fix the cause") -> str:
    """Return what to do about the reason for which something was not done."""
    return next((remedy for words, remedy in REFUSALS.items() if words in reason), otherwise)


def _payload(job: Job, cluster: Cluster) -> dict[str, Any]:
    """Return the payload of the manual call that orders the job again."""
    asked = decode_arguments(job.arguments).rebalance
    given = {"services": asked.services, "mode": asked.mode, "max_moves": asked.max_moves}
    known = {"cluster": cluster.name, "instance": job.instance} | given
    if job.task is AgentTask.RECOVER:
        known["confirm"] = cluster.name
    return {name: value for name, value in known.items() if value}
