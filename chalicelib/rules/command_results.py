"""What becomes of nodes when a command for them has ended.

    task        agent's report on the node    node afterwards
    join        joined                        activating
                warm                          joining, asked again now and then
    activate    active                        in service
                absent, another's             open again (rules/second_word.py), then joining
    evacuate    safe, drained, down, absent   evacuated
    evacuate    unfinished, at the deadline   evacuated, with what is left on it
    give-back   active                        in service; a manager: activating
                absent                        open again, then joining
    leave       removed, absent               gone
    any         another one, or none          the same state, open again (rules/retry.py)

A report counts only for a command that the record names, from the host that it was sent to: the last one, or
an earlier one for the same work, whose good end is as good. One that is not recorded changes nothing. The
time of a result tells nothing: clocks differ.

The tasks of jobs are in rules/cluster/jobs.py, an inspection in rules/reconcile/swarm.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Notify, Plan, RecordHostHealth, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import AgentTask, Fate
from chalicelib.rules import fixes, incidents, second_word, swarm_incidents
from chalicelib.rules.cluster import jobs
from chalicelib.rules.nodes import evacuate, give_back, join, leave, twins
from chalicelib.rules.reconcile import swarm
from chalicelib.rules.retry import IMMEDIATE_ATTEMPTS
from chalicelib.state.lifecycle import ENTERING, PLACES, NodeState, Place
from chalicelib.state.node import SentCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from chalicelib.actions import Action
    from chalicelib.events import CommandFinished
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

CONCLUDE: dict[AgentTask, Callable[[Node, NodeReport | None, CommandFinished, float], Node]] = {
    AgentTask.JOIN: join.conclude,
    AgentTask.ACTIVATE: join.conclude_activation,
    AgentTask.EVACUATE: evacuate.conclude,
    AgentTask.GIVE_BACK: give_back.conclude,
    AgentTask.LEAVE: leave.conclude,
}
# What ends the work of a task, by whichever of its commands.
GOOD_ENDS: dict[AgentTask, frozenset[Fate]] = {
    AgentTask.JOIN: frozenset({Fate.JOINED}),
    AgentTask.ACTIVATE: frozenset({Fate.ACTIVE}),
    AgentTask.EVACUATE: evacuate.EMPTIED,
    AgentTask.GIVE_BACK: frozenset({Fate.ACTIVE}),
    AgentTask.LEAVE: leave.NOT_LISTED,
}
METRIC_OF_FATE = {  # what an evacuation that has ended counts as
    Fate.SAFE.value: Metric.NODES_EVACUATED,
    Fate.DRAINED.value: Metric.NODES_DRAINED,
    Fate.DOWN.value: Metric.NODES_DOWN,
    Fate.ABSENT.value: Metric.NODES_ABSENT,
    Fate.UNFINISHED.value: Metric.NODES_UNFINISHED,
}
WAIT_FOR_LEADER = frozenset({AgentTask.EVACUATE, AgentTask.LEAVE})  # their agents wait out an election
NO_LEADER = "does not have a leader"  # in the engine's error
NAMED_NODES = 5  # in a plan's reason


def on_command_finished(event: CommandFinished, cluster: Cluster) -> Plan:
    """Conclude the work on each node by its own report; a node that failed stays open."""
    if event.task not in CONCLUDE:
        if event.task is AgentTask.INSPECT:
            return swarm.on_swarm_inspected(event, cluster)
        return jobs.on_job_finished(event, cluster)
    event = _disbelieve_worker(event, cluster)
    reports = {report.instance: report for report in event.result.nodes} if event.result else {}
    changes = tuple(
        ReplaceRecord(node, _conclude(node, reports.get(node.instance), event, cluster))
        for node in cluster.nodes
        if _concerns(event, node, reports.get(node.instance))
    )
    if not changes:
        return Plan(f"{event.command}: nothing waits for this {event.task.value} any more, or yet")
    actions: list[Action] = [*changes, *_notify_people(event, changes, reports, cluster)]
    if PLACES[event.task] is Place.MANAGER and (event.host_failed or event.result):
        actions.append(RecordHostHealth(event.manager, healthy=not event.host_failed))
    actions += _dispatch_ready([change.after for change in changes], cluster.now)
    after = [change.after for change in changes[:NAMED_NODES]]
    reason = "; ".join(f"{node.instance} {node.state}: {node.reason}" for node in after)
    measures = tuple(measure for change in changes for measure in _list_measures(change))
    return Plan(f"{event.status}: {reason}", tuple(actions), measures)


def _disbelieve_worker(event: CommandFinished, cluster: Cluster) -> CommandFinished:
    """Return the event as the host's failure where its swarm has the host as a worker."""
    host, inspection = cluster.node(event.manager), cluster.job(AgentTask.INSPECT)
    listing = inspection.listing if inspection else None
    others = set(cluster.managers) - {event.manager}
    if host is None or not host.only_tagged or listing is None or not others:
        return event
    if PLACES[event.task] is Place.INSTANCE or listing.names_manager(host.node):
        return event
    failure = f"the swarm does not list {event.manager} as a manager, so its answer does not count"
    return replace(event, status="Failed", result=None, failure=failure)


def _conclude(node: Node, report: NodeReport | None, event: CommandFinished, cluster: Cluster) -> Node:
    """Return the record after its command; the node id of another record is only remembered as a claim."""
    if report and second_word.needs_second(node, report, event, cluster):
        return second_word.ask_again(node, report, event, cluster)
    after = CONCLUDE[event.task](node, report, event, cluster.now)
    is_anothers = after.state in ENTERING and twins.find_holder(after, cluster.nodes)
    return replace(after, node="", claimed=after.node) if is_anothers else after


def _notify_people(
    event: CommandFinished,
    changes: tuple[ReplaceRecord, ...],
    reports: Mapping[str, NodeReport],
    cluster: Cluster,
) -> Iterator[Action]:
    """Notify of all that people should hear of, kind by kind."""
    yield from _notify_of_failed_managers(event, changes, cluster)
    for change in changes:
        if _has_vanished(change):
            yield Notify(incidents.node_absent(change.before, change.after, cluster))
    for change in changes:
        if _keeps_tasks(change.after):
            yield Notify(incidents.tasks_stay(change.after, cluster))
    for change in changes:
        claimed = replace(change.after, node=change.after.claimed)
        if event.task is AgentTask.JOIN and (holder := twins.find_holder(claimed, cluster.nodes)):
            yield Notify(swarm_incidents.node_id_twice(holder, change.after, cluster))
        if (report := reports.get(change.after.instance)) and report.differs:
            yield Notify(incidents.host_differs(change.before, report.detail, cluster))
    for report in reports.values():
        if event.task is AgentTask.EVACUATE and report.fate is Fate.PROMOTED:
            yield Notify(swarm_incidents.worker_promoted(report, cluster))


def _dispatch_ready(nodes: list[Node], now: float) -> tuple[Dispatch, ...]:
    ready = [node for node in nodes if node.is_unsent and (node.due or 0) <= now]
    return (Dispatch(ready[0].instance),) if ready else ()


def _notify_of_failed_managers(
    event: CommandFinished, changes: tuple[ReplaceRecord, ...], cluster: Cluster
) -> tuple[Action, ...]:
    """Notify once every manager has failed; for a missing leader the word of one agent is enough."""
    attempts = max((change.after.attempts for change in changes), default=0)
    said = event.result.error if event.result else event.failure
    enough = 1 if event.task in WAIT_FOR_LEADER and NO_LEADER in said else IMMEDIATE_ATTEMPTS
    failed = event.host_failed or event.unfetched
    if not failed or PLACES[event.task] is Place.INSTANCE or attempts < enough:
        return ()
    cause = fixes.explain_host_failure(event, cluster)
    return (Notify(incidents.no_manager_could(cluster, event.task, said, event.manager, cause)),)


def _has_vanished(change: ReplaceRecord) -> bool:
    """Whether the swarm lists no node of an instance that had one."""
    node = change.after
    return node.state is NodeState.EVACUATED and node.fate == Fate.ABSENT.value and bool(change.before.node)


def _keeps_tasks(node: Node) -> bool:
    """Whether its evacuation has ended with tasks on it, as no end of the instance is announced."""
    return node.is_left_unfinished and node.gentle


def _concerns(event: CommandFinished, node: Node, report: NodeReport | None) -> bool:
    """Whether the node waits for this command, or its work was done by an earlier one of its own."""
    if node.task is not event.task:
        return False
    if PLACES[event.task] is Place.INSTANCE and event.manager != node.instance:
        return False  # one join command runs on many hosts: each end speaks for its own host only
    sent = SentCommand(event.command, event.manager)
    if sent == SentCommand(node.command, node.manager):
        return True
    return sent in node.earlier and report is not None and report.fate in GOOD_ENDS[event.task]


def _list_measures(change: ReplaceRecord) -> tuple[Measure, ...]:
    node = change.after
    if node.state is NodeState.EVACUATED:
        ended = Measure(METRIC_OF_FATE.get(node.fate, Metric.NODES_DRAINED), instance=node.instance)
        seconds = max(node.since - change.before.since, 0.0)
        safe = Measure(Metric.SECONDS_TO_SAFE, seconds, node.instance)
        return (ended, safe) if node.fate == Fate.SAFE.value else (ended,)
    if node.state is NodeState.GONE:
        return (Measure(Metric.NODES_GONE, instance=node.instance),)
    if node.state is NodeState.IN_SERVICE:
        return (Measure(Metric.NODES_JOINED, instance=node.instance),)
    if node.state is not change.before.state:
        return ()
    return (Measure(Metric.COMMAND_FAILURES, instance=node.instance),)
