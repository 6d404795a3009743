"""Incidents that rules make: key, what happened, what was left, what to do (swarms: swarm_incidents.py)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalicelib.protocol.codec import decode_arguments
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules.fixes import LEFT_BY_JOB, LEFT_BY_NODE_TASK, NO_QUORUM, RECOVER, find_fix
from chalicelib.state.incident import Incident
from chalicelib.state.stored_names import as_stored

if TYPE_CHECKING:
    from chalicelib.events import DiscoveryFailed, FleetEvent
    from chalicelib.protocol.messages import Target
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.job import Job
    from chalicelib.state.node import Node
    from chalicelib.state.scheduled_change import ScheduledChange

NAMED_NODES = 5  # in a message
STUCK_AFTER_S = 300.0  # that something may fail, or wait for a host, before people are notified
REPEAT_AFTER_S = 3600.0  # an incident that lasts is reported again
REPEAT_DAILY_S = 86_400.0
KEEP_DEAD_LETTER_S = 30 * 86_400.0


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
        fix=f"{find_fix(node.reason)}, then:{order}",
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
        fix=f"{find_fix(job.reason)}{automatic}, then:{order}",
        instance=job.instance or job.manager,
        record=json.dumps(as_stored(job), sort_keys=True),
        expires=cluster.now + (REPEAT_AFTER_S if job.automatic else KEEP_DEAD_LETTER_S),
    )


def no_manager_could(
    cluster: Cluster, task: AgentTask, said: str, manager: str, cause: tuple[str, str] = NO_QUORUM
) -> Incident:
    """Describe a task that no manager could do; ``cause`` has the key and the fix."""
    key, fix = cause
    return Incident(
        key=key,
        at=cluster.now,
        what=f"no manager of {cluster.name} could {task.value}: {said}",
        left="nothing destructive is done; the work is tried again with a growing back-off",
        fix=fix,
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
        fix="check on the instance: docker info; and on a manager: docker node ls",
        instance=after.instance,
        node=before.node,
        drill=after.drill,
        expires=cluster.now + REPEAT_AFTER_S,
    )


def change_is_long(change: ScheduledChange, node: Node, cluster: Cluster) -> Incident:
    """Describe a scheduled change whose window is longer than a node is kept empty for."""
    begin, end = (
        datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC") for at in (change.start, change.end)
    )
    until = change.empty_until(cluster.timeouts) - change.start
    return Incident(
        key=f"change#{node.instance}#{change.arn}",
        at=cluster.now,
        what=f"AWS Health announces {change.code} for {node.instance}, at any time from {begin} to {end}",
        left=f"the node is evacuated before {begin}, and given back {until / 3600:.0f} hours after that time",
        fix="choose the time yourself: replace the instance, or stop and start it",
        instance=node.instance,
        node=node.node,
        expires=change.end,
    )


def nodes_wait(first: Node, number: int, reason: str, out: list[str], cluster: Cluster) -> Incident:
    """Describe nodes whose evacuation waits, as no end is announced and enough nodes are out."""
    settings = {"cluster": cluster.name, "out_share": 0.5}
    return Incident(
        key="turns",
        at=cluster.now,
        what=f"{number} nodes of {cluster.name} wait for their turn, {first.instance} first: {reason}",
        left=f"they serve on; out, though no end is announced, are {', '.join(out[:NAMED_NODES])}"
        + (f" and {len(out) - NAMED_NODES} more" if out[NAMED_NODES:] else ""),
        fix="nothing, the tick evacuates them in turn; to let more nodes out at once:"
        + cluster.deployment.write_call("configure", settings),
        instance=first.instance,
        node=first.node,
        expires=cluster.now + REPEAT_AFTER_S,
    )


def tasks_stay(node: Node, cluster: Cluster) -> Incident:
    """Describe an evacuation without an announced end that was ended with tasks on the node."""
    back = cluster.deployment.write_call("give_back", {"cluster": cluster.name, "instance": node.instance})
    return Incident(
        key=f"stayed#{node.instance}#{node.since:.0f}",
        at=cluster.now,
        what=f"{node.instance} is not empty: {node.reason}",
        left="these tasks serve on, as the end of the instance is not announced; the node gets no new ones",
        fix="give these services room elsewhere, then evacuate it again; stop them with"
        f" docker node update --availability drain {node.node}; or give the node back:{back}",
        instance=node.instance,
        node=node.node,
        drill=node.drill,
        expires=cluster.now + REPEAT_DAILY_S,
    )


def host_differs(node: Node, detail: str, cluster: Cluster) -> Incident:
    """Describe a host that says of itself, or of which node it is, what EC2 does not."""
    return Incident(
        key=f"differs#{node.instance}",
        at=cluster.now,
        what=f"{node.instance} is not what it says it is: {detail}",
        left="role and labels of its node are EC2's; what the host says changed nothing",
        fix="if it was booted from an image of another node, nothing: it leaves that and joins anew; "
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
        fix="check dockerd on the host (systemctl status docker), or terminate the instance",
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
        fix="compare docker node ls there and elsewhere; docker swarm leave --force where it is wrong",
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
        fix="compare docker node ls there and elsewhere; docker swarm leave --force where it is wrong",
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
        fix=find_fix(first.reason, wait),
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
        fix=f"{tag}make the swarm on its first manager:{order}",
        expires=cluster.now + REPEAT_AFTER_S,
    )


def lifecycle_action_open(group: str, node: Node, cluster: Cluster) -> Incident:
    """Describe lifecycle actions of a group that Auto Scaling does not let us complete."""
    return Incident(
        key=f"hook#{group}",
        at=cluster.now,
        what=f"lifecycle actions of {group} could not be completed for {STUCK_AFTER_S / 60:.0f} min",
        left=f"{node.instance} is {node.state}, its group still waits for it; every tick tries again",
        fix=f"see its error: {cluster.deployment.write_log('tick')}"
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
        fix=f"see its error, and the permissions: {cluster.deployment.write_log('tick')}",
        expires=cluster.now + REPEAT_AFTER_S,
    )


def fleet_failed(event: FleetEvent, cluster: Cluster) -> Incident:
    """Describe what a fleet could not do."""
    return Incident(
        key=f"fleet#{event.fleet}#{event.kind}" + ("#drill" if event.drill else ""),
        at=event.time,
        what=event.text,
        left="no node was touched; no capacity comes from this fleet meanwhile",
        fix="check the fleet in EC2: its limits, prices, instance types and zones",
        drill=event.drill,
        expires=cluster.now + REPEAT_AFTER_S,
    )


def _payload(job: Job, cluster: Cluster) -> dict[str, Any]:
    """Return the payload of the manual call that orders the job again."""
    asked = decode_arguments(job.arguments).rebalance
    given = {"services": asked.services, "mode": asked.mode, "max_moves": asked.max_moves}
    known = {"cluster": cluster.name, "instance": job.instance} | given
    if job.task is AgentTask.RECOVER:
        known["confirm"] = cluster.name
    return {name: value for name, value in known.items() if value}
