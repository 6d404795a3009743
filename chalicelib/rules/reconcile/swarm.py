"""The inspection: nodes as a manager lists them against the records; it finds what no event reports.

    the manager's list                          record                        plan
    the node is a manager                       tagged so as a worker         its commands may go there
    it has no node of the id, twice in a row    in service                    joining, with its node id
    it has none for most nodes                                                notify people, change nothing
    it does not have the manager itself                                       notify people, change nothing
    the node is down, twice in a row            none, or gone                 leaving
                                                in service, returning         joining
                                                leaving, but given up         leaving, from attempt one on
                                                joining, activating           notify people
                                                any other                     nothing

The tick starts an inspection; its command is a job (rules/cluster/jobs.py). Records that changed since the
inspection began are left alone. Twice in a row is by two different managers; where the swarm has only one, by
the same one in two inspections. Only managers in service are believed, and only if the swarm has
their node id as a manager's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

from chalicelib.actions import Notify, Plan, Register, ReplaceJob, ReplaceRecord, Send
from chalicelib.protocol.codec import decode_arguments, encode_arguments
from chalicelib.protocol.messages import AgentTask, Arguments, Target
from chalicelib.rules import incidents
from chalicelib.rules.cluster import jobs
from chalicelib.rules.second_word import bears_out
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
LISTED_FOR_S = 60.0  # a leader that has lost its followers goes on listing what it knows for about 15 s
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
    """Compare the list with the records; without a list the inspection is a job like any other.

    A list that is not believed is not kept either: the next one is compared with the last that was.
    """
    before, plan = cluster.job(AgentTask.INSPECT), jobs.on_job_finished(event, cluster)
    if before is None or not plan.actions or event.result is None:
        return plan
    last = {"result": before.result, "source": before.source, "ended": before.ended}
    if event.result.listing is None:
        steps = (_explain(step, last if before.listing else {}) for step in plan.actions)
        return replace(plan, actions=tuple(steps))
    listing = event.result.listing
    doubt = _doubt_manager(listing, before, event, cluster) or _doubt_list(listing, before, event, cluster)
    found = doubt or _compare(listing, before, event, cluster)
    shown = [] if doubt else _list_shown_managers(listing, cluster)
    kept: dict[str, Any] = last if doubt else {"source": event.manager}
    steps = (_explain(step, {"reason": found.reason, **kept}) for step in plan.actions)
    return Plan(f"inspect: {found.reason}", (*shown, *found.actions, *steps), plan.measures)


def _list_shown_managers(listing: Listing, cluster: Cluster) -> list[Action]:
    """List what becomes of nodes that were tagged as manager in service, and are named as one by now."""
    down = {target.instance for target in listing.down}
    tagged = [node for node in cluster.nodes if node.only_tagged and node.state is NodeState.IN_SERVICE]
    named = [node for node in tagged if listing.names_manager(node.node) and node.instance not in down]
    return [ReplaceRecord(node, node.revise(only_tagged=False)) for node in named]


def _explain(step: Action, changes: dict[str, Any]) -> Action:
    """Record in the job what was found, for status."""
    return replace(step, after=replace(step.after, **changes)) if isinstance(step, ReplaceJob) else step


def _doubt_manager(listing: Listing, job: Job, event: CommandFinished, cluster: Cluster) -> Plan | None:
    """Return why this manager's word does not count; None if it does."""
    node = cluster.node(event.manager)
    if node is None or node.state is not NodeState.IN_SERVICE or not node.node:
        return Plan(f"not believed: {event.manager} is not in service")
    if not listing.managers:
        return Plan(f"not believed: {event.manager} names no managers, its agent is of another version")
    if not listing.names_manager(node.node):
        incident = incidents.manager_of_another_swarm(event.manager, node.node, cluster)
        return Plan(f"not believed: {incident.what}", (Notify(incident),))
    if (last := job.listing) and _voters(last, cluster) and not last.names_manager(node.node):
        return Plan(f"not believed: {event.manager} was no manager in the last list")
    return None


def _voters(listing: Listing, cluster: Cluster) -> list[Node]:
    """List the managers in service that a list names as managers."""
    serving = (node for node in cluster.nodes if node.state is NodeState.IN_SERVICE)
    return [node for node in serving if node.role is Role.MANAGER and listing.names_manager(node.node)]


def _doubt_list(listing: Listing, job: Job, event: CommandFinished, cluster: Cluster) -> Plan | None:
    """Return what to do where a list has none of most nodes; None where it can be believed."""
    covered, missing = _find_missing(listing, job, cluster)
    if len(missing) * 2 <= len(covered):
        return None
    incident = incidents.listing_differs(len(missing), len(covered), event.manager, cluster)
    return Plan(f"{_count(listing)}; {incident.what}", (Notify(incident),))


def _find_missing(listing: Listing, job: Job, cluster: Cluster) -> tuple[list[Node], dict[str, Node]]:
    """Find the nodes in service that the list should have, and those among them that it has not."""
    served = (node for node in _quiet(job, cluster).values() if node.state is NodeState.IN_SERVICE)
    covered = [node for node in served if node.node and listing.covers(node.node)]
    return covered, {node.instance: node for node in covered if not listing.lists(node.node)}


def _quiet(job: Job, cluster: Cluster) -> dict[str, Node]:
    return {node.instance: node for node in cluster.nodes if node.since + LISTED_FOR_S < job.since}


def _count(listing: Listing) -> str:
    return f"{listing.nodes} nodes listed, {len(listing.down)} down"


def _second_opinion(listing: Listing, job: Job, event: CommandFinished, cluster: Cluster) -> Listing | None:
    """Return the list before, if it bears this one out: another manager's, or that of the only manager."""
    is_only = len(_voters(listing, cluster)) == 1
    only_after_s = cluster.timeouts.inspection_period_s / 2 if is_only else None
    counts = bears_out(job.source, job.ended, event.manager, event.time, only_after_s=only_after_s)
    return job.listing if counts else None


def _compare(listing: Listing, job: Job, event: CommandFinished, cluster: Cluster) -> Plan:
    """Plan for the differences between a list and the records, as far as the list before has them too."""
    said, before = _count(listing), _second_opinion(listing, job, event, cluster)
    if before is None:
        return Plan(said)
    quiet, (_, absent) = _quiet(job, cluster), _find_missing(listing, job, cluster)
    missing = {name: node for name, node in absent.items() if before.misses(node.node)}
    steps: list[Action] = [
        ReplaceRecord(node, _rejoin_missing(node, event, cluster)) for node in missing.values()
    ]
    busy = {node.instance for node in cluster.nodes if node.instance not in quiet} | set(missing)
    down = [target for target in _list_down_twice(listing, before) if target.instance not in busy]
    afters = (_act_on_down(target, quiet.get(target.instance), event, cluster) for target in down)
    steps += [step for step in afters if step]
    messages = [step for step in steps if isinstance(step, Notify)]
    changes = [step for step in steps if step not in messages]
    return Plan(_describe(said, steps), (*changes, *messages[:MAX_MESSAGES]))


def _list_down_twice(listing: Listing, before: Listing) -> list[Target]:
    """List what is down in this list and the one before, one node for each instance."""
    known = frozenset(before.down)
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
