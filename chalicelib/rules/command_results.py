"""What becomes of nodes when a command on their behalf has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, NoteHost, Notify, Plan, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import DONE, AgentTask, Fate
from chalicelib.rules import incidents
from chalicelib.rules.cluster import jobs
from chalicelib.rules.nodes import evacuate, give_back, join, leave
from chalicelib.rules.reconcile import swarm
from chalicelib.rules.retry import IMMEDIATE_ATTEMPTS
from chalicelib.state.incident import AGAIN, Incident
from chalicelib.state.lifecycle import PLACES, NodeState, Place

if TYPE_CHECKING:
    from collections.abc import Callable

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
ENDED = {  # what an evacuation that is over counts as
    Fate.SAFE.value: Metric.NODES_EVACUATED,
    Fate.DRAINED.value: Metric.NODES_DRAINED,
    Fate.DOWN.value: Metric.NODES_DOWN,
    Fate.ABSENT.value: Metric.NODES_ABSENT,
}
PATIENT = frozenset(
    {AgentTask.EVACUATE, AgentTask.LEAVE}
)  # their agents wait themselves for the swarm to answer
LEADERLESS = "does not have a leader"  # the engine's own words
RESOLUTION = 1.0  # seconds; EventBridge cuts its times to whole ones


def on_command_finished(event: CommandFinished, cluster: Cluster) -> Plan:
    """Each node by its own report: one that failed stays open, whatever became of the others."""
    if event.task not in CONCLUDE:
        if event.task is AgentTask.INSPECT:
            return swarm.on_swarm_inspected(event, cluster)
        return jobs.on_job_finished(event, cluster)
    reports = {report.instance: report for report in event.result.nodes} if event.result else {}
    moves = tuple(
        ReplaceRecord(node, _after(node, reports.get(node.instance), event, cluster.now))
        for node in cluster.nodes
        if _concerns(event, node, reports.get(node.instance))
    )
    if not moves:
        return Plan(f"{event.command}: nothing waits for this {event.task.value} any more, or yet")
    actions: list[Action] = [*moves, *_alarm(event, moves, cluster)]
    actions += [Notify(_absent(move, cluster)) for move in moves if _has_vanished(move)]
    if PLACES[event.task] is Place.MANAGER and (event.host_failed or event.result):
        actions.append(NoteHost(event.manager, healthy=not event.host_failed))
    ready = [move.after for move in moves if move.after.is_unsent and (move.after.due or 0) <= cluster.now]
    if ready:
        actions.append(Dispatch(ready[0].instance))
    reason = "; ".join(f"{move.after.instance} {move.after.state}: {move.after.reason}" for move in moves[:5])
    measures = tuple(measure for move in moves for measure in _list_measures(move))
    return Plan(f"{event.status}: {reason}", tuple(actions), measures)


def _alarm(event: CommandFinished, moves: tuple[ReplaceRecord, ...], cluster: Cluster) -> tuple[Action, ...]:
    """Every manager was tried in vain; that there is no leader, one patient agent can tell alone."""
    tried = max((move.after.attempts for move in moves), default=0)
    said = event.result.error if event.result else event.failure
    enough = 1 if event.task in PATIENT and LEADERLESS in said else IMMEDIATE_ATTEMPTS
    failed = event.host_failed or event.unfetched
    if not failed or PLACES[event.task] is Place.INSTANCE or tried < enough:
        return ()
    return (Notify(incidents.silent(cluster, event.task, said, event.manager, _remedy(event))),)


def _remedy(event: CommandFinished) -> tuple[str, str]:
    """The name of an alarm and what to do. Only what an agent has heard of its swarm can lead to recover."""
    if event.unfetched:
        return "agent", "make deploy STAGE=… again, and let the managers reach S3; their swarm was not asked"
    if event.result is None:
        return "hosts", "mend on the managers what is named; their swarm was not asked"
    return incidents.LOST


def _has_vanished(move: ReplaceRecord) -> bool:
    """The swarm lists no node of an instance that was one."""
    node = move.after
    return node.state is NodeState.EVACUATED and node.fate == Fate.ABSENT.value and bool(move.before.node)


def _absent(move: ReplaceRecord, cluster: Cluster) -> Incident:
    node = move.after
    return Incident(
        key=f"absent#{node.instance}#{move.before.since:.0f}",
        at=cluster.now,
        what=f"{node.instance} was to be evacuated, but the swarm does not list its node: {node.reason}",
        left="nothing was changed; containers that still run there are not Swarm's to move",
        remedy="look on the instance: docker info; and on a manager: docker node ls",
        instance=node.instance,
        node=move.before.node,
        drill=node.drill,
        expires=cluster.now + AGAIN,
    )


def _concerns(event: CommandFinished, node: Node, report: NodeReport | None) -> bool:
    """The node waits for this command, or hears that its work is done from one that was given up on."""
    if node.task is not event.task or event.time + RESOLUTION < node.since:
        return False
    # One join command runs on many hosts: each end speaks for its own host only.
    return (node.command, node.manager) == (event.command, event.manager) or (
        report is not None and report.fate in DONE
    )


def _after(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    return CONCLUDE[event.task](node, report, event, now)


def _list_measures(move: ReplaceRecord) -> tuple[Measure, ...]:
    node = move.after
    if node.state is NodeState.EVACUATED:
        ended = Measure(ENDED.get(node.fate, Metric.NODES_DRAINED), instance=node.instance)
        seconds = max(node.since - move.before.since, 0.0)
        safe = Measure(Metric.SECONDS_TO_SAFE, seconds, node.instance)
        return (ended, safe) if node.fate == Fate.SAFE.value else (ended,)
    if node.state is NodeState.GONE:
        return (leave.measure_gone(node),)
    if node.state is NodeState.IN_SERVICE:
        return (Measure(Metric.NODES_JOINED, instance=node.instance),)
    if node.state is not move.before.state:
        return ()
    return (Measure(Metric.COMMAND_FAILURES, instance=node.instance),)
