"""The inspection: nodes as a manager lists them against the records; it finds what no event reports.

    the manager's list                          record                        plan
    it has no node of the id                    in service                    joining, with its node id
    it has none for most nodes                                                notify people, change nothing
    the node is down, twice in a row            none, or gone                 leaving
                                                in service, returning         joining
                                                leaving, but given up         leaving, from attempt one on
                                                joining, activating           notify people
                                                any other                     nothing

The tick starts an inspection; its command is a job (rules/cluster/jobs.py). Records that changed since the
inspection began are left alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

from chalicelib.actions import Notify, Plan, Register, ReplaceJob, ReplaceRecord, Send
from chalicelib.protocol.codec import decode_arguments, decode_result, encode_arguments
from chalicelib.protocol.messages import AgentTask, Arguments, Target
from chalicelib.protocol.strict_json import ProtocolError
from chalicelib.rules import incidents
from chalicelib.rules.cluster import jobs
from chalicelib.state.instance import Role
from chalicelib.state.job import Job, JobStage
from chalicelib.state.lifecycle import ENTERING, NodeState
from chalicelib.state.node import Node

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import CommandFinished
    from chalicelib.protocol.messages import Listing
    from chalicelib.state.cluster import Cluster

TICK_S = 60.0
SETTLED_S = 60.0  # a leader that has lost its followers goes on listing what it knows for about 15 s
MAX_MESSAGES = 20  # of one inspection: each may take seconds if the topic does not answer
NAMED_NODES = 5  # in a plan's reason


def start_inspection(cluster: Cluster) -> tuple[Action, ...]:
    """Return what the tick does to have a manager list its swarm, one inspection at a time."""
    before = cluster.job(AgentTask.INSPECT)
    if (before and before.is_open) or not _is_due(before, cluster):
        return ()
    number = decode_arguments(before.arguments).inspection + 1 if before else 1
    given: dict[str, Any] = {"arguments": encode_arguments(Arguments(inspection=number)), "automatic": True}
    opened = {"since": cluster.now, "due": cluster.now, "stage": JobStage.OPEN}
    unsent = {"command": "", "attempts": 0}  # the manager stays: each inspection asks another one
    changes = given | opened | unsent | {"reason": "an inspection is due"}
    after = before.revise(**changes) if before else Job(task=AgentTask.INSPECT, **changes)
    return (ReplaceJob(before, after), Send(after))


def _is_due(before: Job | None, cluster: Cluster) -> bool:
    """Whether its time has come, and no evacuation needs the managers.

    The clusters take turns within a period, also after a time in which no inspection was possible.
    """
    period, now = cluster.timeouts.inspection_period_s, cluster.now
    if not period or not cluster.managers or cluster.settings.paused:
        return False
    last = before.since if before else now - TICK_S
    soon = before is not None and now < last + period / 2
    evacuating = any(node.task is AgentTask.EVACUATE for node in cluster.nodes)
    return not soon and not evacuating and _turn(last, cluster) < _turn(now, cluster)


def _turn(time: float, cluster: Cluster) -> int:
    offset = crc32(cluster.name.encode()) % cluster.timeouts.inspection_period_s
    return int((time + offset) // cluster.timeouts.inspection_period_s)


def on_swarm_inspected(event: CommandFinished, cluster: Cluster) -> Plan:
    """Compare the list with the records; without a list the inspection is a job like any other."""
    before, plan = cluster.job(AgentTask.INSPECT), jobs.on_job_finished(event, cluster)
    if before is None or not plan.actions or event.result is None or event.result.listing is None:
        return plan
    found = _compare(event.result.listing, before, event, cluster)
    steps = (_explain(step, found.reason) for step in plan.actions)
    return Plan(f"inspect: {found.reason}", (*found.actions, *steps), plan.measures)


def _explain(step: Action, reason: str) -> Action:
    """Record in the job what was found, for status."""
    return replace(step, after=replace(step.after, reason=reason)) if isinstance(step, ReplaceJob) else step


def _compare(listing: Listing, job: Job, event: CommandFinished, cluster: Cluster) -> Plan:
    """Plan for the differences between a list and the records.

    That a node is missing takes one list: it is what the managers agree on. That it is down takes two in a
    row; the job has the one before.
    """
    said = f"{listing.nodes} nodes listed, {len(listing.down)} down"
    quiet = {node.instance: node for node in cluster.nodes if node.since + SETTLED_S < job.since}
    served = (node for node in quiet.values() if node.state is NodeState.IN_SERVICE and node.node)
    covered = [node for node in served if listing.covers(node.node)]
    missing = {node.instance: node for node in covered if not listing.lists(node.node)}
    if len(missing) * 2 > len(covered):
        incident = incidents.listing_differs(len(missing), len(covered), event.manager, cluster)
        return Plan(f"{said}; {incident.what}", (Notify(incident),))
    steps: list[Action] = [
        ReplaceRecord(node, _rejoin_missing(node, event, cluster)) for node in missing.values()
    ]
    busy = {node.instance for node in cluster.nodes if node.instance not in quiet} | set(missing)
    down = [target for target in _list_down_twice(listing, job) if target.instance not in busy]
    afters = (_act_on_down(target, quiet.get(target.instance), event, cluster) for target in down)
    steps += [step for step in afters if step]
    messages = [step for step in steps if isinstance(step, Notify)]
    changes = [step for step in steps if step not in messages]
    return Plan(_describe(said, steps), (*changes, *messages[:MAX_MESSAGES]))


def _list_down_twice(listing: Listing, job: Job) -> list[Target]:
    """List what is down in this list and the one before, one node for each instance."""
    try:
        before = decode_result(job.result).listing if job.result else None
    except ProtocolError:
        before = None  # of another version
    known = frozenset(before.down if before else ())
    return list({target.instance: target for target in listing.down if target in known}.values())


def _rejoin_missing(node: Node, event: CommandFinished, cluster: Cluster) -> Node:
    """Join with the node id: the host then knows that its managers do not list it, and leaves first."""
    reason = f"the swarm lists no node {node.node}: it joins anew"
    return node.enter(NodeState.JOINING, since=event.time, due=cluster.now, reason=reason)


def _act_on_down(
    target: Target, node: Node | None, event: CommandFinished, cluster: Cluster
) -> Action | None:
    """Return what to do about a node that stays down; None if its record has work under way.

    A join copes with whatever it finds: an engine that left, that has another node id, or that hangs. Nothing
    that EC2 shows as running is removed: only its host knows why it is down.
    """
    phase = {"since": event.time, "due": cluster.now}
    still_listed = "its dead node is still listed"
    if node is None or node.state is NodeState.GONE:
        known = node or _make_record(target, cluster)
        after = known.enter(NodeState.LEAVING, node=target.node, reason=still_listed, **phase)
        after = replace(after, address=known.address or target.address)
        return ReplaceRecord(node, after) if node else Register((replace(after, version=1),), owned=False)
    if node.state in (NodeState.IN_SERVICE, NodeState.RETURNING) and not node.command:
        reason = f"node {target.node} stays down, and the instance runs: it joins again"
        return ReplaceRecord(node, node.enter(NodeState.JOINING, node="", reason=reason, **phase))
    if node.state is NodeState.LEAVING and node.is_given_up:
        return ReplaceRecord(node, node.revise(attempts=0, due=cluster.now, reason=still_listed))
    if node.state in ENTERING and not node.is_given_up:
        return Notify(incidents.node_stays_down(target, node, cluster))
    return None


def _make_record(target: Target, cluster: Cluster) -> Node:
    """Make a record for a node without one: its instance or its record has ended, or it moved cluster.

    Such an instance keeps the cluster that owns it, whose events go on.
    """
    return Node(cluster=cluster.name, instance=target.instance, role=Role.WORKER, state=NodeState.GONE)


def _describe(said: str, steps: list[Action]) -> str:
    rows = [f"{node.instance} {node.state.value}: {node.reason}" for step in steps if (node := _after(step))]
    rows += [step.incident.what for step in steps if isinstance(step, Notify)]
    more = [f"and {len(rows) - NAMED_NODES} more"] if rows[NAMED_NODES:] else []
    return "; ".join([said, *rows[:NAMED_NODES], *more])


def _after(step: Action) -> Node | None:
    """Return the record that a step leads to."""
    match step:
        case ReplaceRecord(_, after):
            return after
        case Register((node,)):
            return node
        case _:
            return None
