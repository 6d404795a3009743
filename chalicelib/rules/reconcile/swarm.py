"""The look at the swarm: what a manager lists, against what is recorded; it finds what no event told of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

from chalicelib.actions import Notify, Plan, Register, ReplaceJob, ReplaceRecord, Send
from chalicelib.protocol.codec import ProtocolError, decode_arguments, decode_result, encode_arguments
from chalicelib.protocol.messages import AgentTask, Arguments, Target
from chalicelib.rules.cluster import jobs
from chalicelib.state.incident import Incident
from chalicelib.state.instance import Role
from chalicelib.state.job import Job, JobStage
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import CommandFinished
    from chalicelib.protocol.messages import Listing
    from chalicelib.state.cluster import Cluster

TICK = 60.0  # seconds
SETTLED = 60.0  # seconds; a leader that has lost its followers goes on listing what it knows for some 15
DAY = 86_400.0  # seconds after which people are told again
MESSAGES = 20  # of one look: each may take seconds where the topic does not answer
NAMED = 5  # nodes in a reason


def start(cluster: Cluster) -> tuple[Action, ...]:
    """What the tick does to have a manager look at its swarm, one look at a time."""
    before = cluster.job(AgentTask.INSPECT)
    if (before and before.is_open) or not _is_due(before, cluster):
        return ()
    look = decode_arguments(before.arguments).inspection + 1 if before else 1
    given: dict[str, Any] = {"arguments": encode_arguments(Arguments(inspection=look)), "automatic": True}
    opened = {"since": cluster.now, "due": cluster.now, "stage": JobStage.OPEN, "reason": "a look is due"}
    unsent = {"command": "", "attempts": 0}  # the manager stays: each look asks another one
    changes = given | opened | unsent
    after = before.revise(**changes) if before else Job(task=AgentTask.INSPECT, **changes)
    return (ReplaceJob(before, after), Send(after))


def _is_due(before: Job | None, cluster: Cluster) -> bool:
    """Its time has come, and no evacuation needs the managers.

    The clusters look one after the other in a period, also after a time in which none could.
    """
    period, now = cluster.timeouts.inspection_period_s, cluster.now
    if not period or not cluster.managers or cluster.settings.paused:
        return False
    last = before.since if before else now - TICK
    soon = before is not None and now < last + period / 2
    moving = any(node.task is AgentTask.EVACUATE for node in cluster.nodes)
    return not soon and not moving and _turn(last, cluster) < _turn(now, cluster)


def _turn(time: float, cluster: Cluster) -> int:
    offset = crc32(cluster.name.encode()) % cluster.timeouts.inspection_period_s
    return int((time + offset) // cluster.timeouts.inspection_period_s)


def on_swarm_inspected(event: CommandFinished, cluster: Cluster) -> Plan:
    """The end of a look; without an answer it is an job like any other."""
    before, plan = cluster.job(AgentTask.INSPECT), jobs.on_job_finished(event, cluster)
    if before is None or not plan.actions or event.result is None or event.result.listing is None:
        return plan
    found = compare(event.result.listing, before, event, cluster)
    steps = (_explain(step, found.reason) for step in plan.actions)
    return Plan(f"inspect: {found.reason}", (*found.actions, *steps), plan.measures)


def _explain(step: Action, reason: str) -> Action:
    """The job keeps what was found, for status."""
    return replace(step, after=replace(step.after, reason=reason)) if isinstance(step, ReplaceJob) else step


def compare(listing: Listing, job: Job, event: CommandFinished, cluster: Cluster) -> Plan:
    """What a listing says of the records; those that have changed since its look began stay as they are.

    To miss a node one listing is enough: it is what the managers agree on. That a node is down counts only
    where the listing before, the job's, says so too.
    """
    said = f"{listing.nodes} nodes listed, {len(listing.down)} down"
    quiet = {node.instance: node for node in cluster.nodes if node.since + SETTLED < job.since}
    served = (node for node in quiet.values() if node.state is NodeState.IN_SERVICE and node.node)
    covered = [node for node in served if listing.covers(node.node)]
    missed = {node.instance: node for node in covered if not listing.lists(node.node)}
    if len(missed) * 2 > len(covered):
        incident = _stranger(len(missed), len(covered), event.manager, cluster)
        return Plan(f"{said}; {incident.what}", (Notify(incident),))
    steps: list[Action] = [
        ReplaceRecord(node, _rejoin_missing(node, event, cluster)) for node in missed.values()
    ]
    fresh = {node.instance for node in cluster.nodes if node.instance not in quiet}
    down = [one for one in _list_lasting(listing, job) if one.instance not in fresh | set(missed)]
    steps += [step for one in down if (step := _act_on_down(one, quiet.get(one.instance), event, cluster))]
    messages = [step for step in steps if isinstance(step, Notify)]
    moves = [step for step in steps if step not in messages]
    return Plan(_describe(said, steps), (*moves, *messages[:MESSAGES]))


def _list_lasting(listing: Listing, job: Job) -> list[Target]:
    """What is down in this listing and the one before, one node for each instance."""
    try:
        before = decode_result(job.result).listing if job.result else None
    except ProtocolError:
        before = None  # of another version
    known = frozenset(before.down if before else ())
    return list({one.instance: one for one in listing.down if one in known}.values())


def _rejoin_missing(node: Node, event: CommandFinished, cluster: Cluster) -> Node:
    """With its node id: in a join that tells the host that its managers do not list it, and it leaves."""
    reason = f"the swarm lists no node {node.node}: it joins anew"
    return node.enter(NodeState.JOINING, since=event.time, due=cluster.now, reason=reason)


def _act_on_down(one: Target, node: Node | None, event: CommandFinished, cluster: Cluster) -> Action | None:
    """What to do about a node that stays down, by its instance's record; None where that is at work already.

    A join finds whatever is there: an engine that left, one that was given another node id, one that hangs.
    Nothing that EC2 shows as running is removed: its host alone knows why it is down.
    """
    phase = {"since": event.time, "due": cluster.now}
    if node is None or node.state is NodeState.GONE:
        known = node or _unknown_node(one, cluster)
        after = known.enter(NodeState.LEAVING, node=one.node, reason="its dead node is still listed", **phase)
        after = replace(after, address=known.address or one.address)
        return ReplaceRecord(node, after) if node else Register((replace(after, version=1),), owned=False)
    if node.state in (NodeState.IN_SERVICE, NodeState.RETURNING) and not node.command:
        reason = f"node {one.node} stays down, and the instance runs: it joins again"
        return ReplaceRecord(node, node.enter(NodeState.JOINING, node="", reason=reason, **phase))
    if node.state is NodeState.LEAVING and node.is_given_up:
        return ReplaceRecord(
            node, node.revise(attempts=0, due=cluster.now, reason="its dead node is still listed")
        )
    if node.state in (NodeState.JOINING, NodeState.ACTIVATING) and not node.is_given_up:
        return Notify(_lifeless(one, node, cluster))
    return None


def _unknown_node(one: Target, cluster: Cluster) -> Node:
    """No discovery has shown it here: it had ended before, or its record has, or it works elsewhere.

    If so, its own cluster goes on to hear of it.
    """
    return Node(cluster=cluster.name, instance=one.instance, role=Role.WORKER, state=NodeState.GONE)


def _lifeless(one: Target, node: Node, cluster: Cluster) -> Incident:
    return Incident(
        key=f"down#{one.instance}",
        at=cluster.now,
        what=f"node {one.node} stays down though its instance runs and was to join again: {node.reason}",
        left="Swarm runs its tasks elsewhere; the node stays listed, and its join is tried again",
        remedy="see to dockerd on the host (systemctl status docker), or terminate the instance",
        instance=one.instance,
        node=one.node,
        expires=cluster.now + DAY,
    )


def _stranger(missed: int, covered: int, manager: str, cluster: Cluster) -> Incident:
    """It may manage a swarm of its own: on its word the hosts would leave theirs."""
    return Incident(
        key=f"listing#{manager}",
        at=cluster.now,
        what=f"{manager} does not list {missed} of {covered} nodes that are in service",
        left="everything: no node leaves its swarm on such a word",
        remedy="compare docker node ls there and elsewhere; docker swarm leave --force where it is wrong",
        instance=manager,
        expires=cluster.now + DAY,
    )


def _describe(said: str, steps: list[Action]) -> str:
    rows = [f"{node.instance} {node.state.value}: {node.reason}" for step in steps if (node := _after(step))]
    rows += [step.incident.what for step in steps if isinstance(step, Notify)]
    return "; ".join([said, *rows[:NAMED], *([f"and {len(rows) - NAMED} more"] if rows[NAMED:] else [])])


def _after(step: Action) -> Node | None:
    match step:
        case ReplaceRecord(_, after):
            return after
        case Register((node,)):
            return node
        case _:
            return None
