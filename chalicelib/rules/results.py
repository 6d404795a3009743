"""What becomes of nodes when a command on their behalf has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Measure, Metric, Move, NoteHost, Plan, Raise
from chalicelib.protocol import DONE, Task
from chalicelib.rules import drain, errands, inspect, join, leave, managers
from chalicelib.rules.again import AT_ONCE
from chalicelib.states import PLACES, NodeState, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.actions import Action
    from chalicelib.cluster import Cluster, Node
    from chalicelib.events import CommandFinished
    from chalicelib.protocol import NodeReport

CONCLUDE: dict[Task, Callable[[Node, NodeReport | None, CommandFinished, float], Node]] = {
    Task.JOIN: join.joined,
    Task.ACTIVATE: join.activated,
    Task.EVACUATE: drain.concluded,
    Task.GIVE_BACK: drain.returned,
    Task.LEAVE: leave.concluded,
}
RESOLUTION = 1.0  # seconds; EventBridge cuts its times to whole ones


def on_command_finished(event: CommandFinished, cluster: Cluster) -> Plan:
    """Each node by its own report: one that failed stays open, whatever became of the others."""
    if event.task not in CONCLUDE:
        if event.task is Task.INSPECT:
            return inspect.on_swarm_inspected(event, cluster)
        return errands.on_errand_finished(event, cluster)
    reports = {report.instance: report for report in event.result.nodes} if event.result else {}
    moves = tuple(
        Move(node, _after(node, reports.get(node.instance), event, cluster.now))
        for node in cluster.nodes
        if _concerns(event, node, reports.get(node.instance))
    )
    if not moves:
        return Plan(f"{event.command}: nothing waits for this {event.task.value} any more, or yet")
    actions: list[Action] = [*moves, *_alarm(event, moves, cluster)]
    if PLACES[event.task] is Place.MANAGER and (event.host_failed or event.result):
        actions.append(NoteHost(event.manager, healthy=not event.host_failed))
    ready = [move.after for move in moves if move.after.unsent and (move.after.due or 0) <= cluster.now]
    if ready:
        actions.append(Dispatch(ready[0].instance))
    reason = "; ".join(f"{move.after.instance} {move.after.state}: {move.after.reason}" for move in moves[:5])
    measures = tuple(measure for move in moves for measure in _measures(move))
    return Plan(f"{event.status}: {reason}", tuple(actions), measures)


def _alarm(event: CommandFinished, moves: tuple[Move, ...], cluster: Cluster) -> tuple[Action, ...]:
    tried = max((move.after.attempts for move in moves), default=0)
    if not event.host_failed or PLACES[event.task] is Place.INSTANCE or tried < AT_ONCE:
        return ()
    said = event.result.error if event.result else event.failure
    return (Raise(managers.silent(cluster, event.task, said, event.manager)),)


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


def _measures(move: Move) -> tuple[Measure, ...]:
    node = move.after
    if node.state is NodeState.EVACUATED:
        seconds = max(node.since - move.before.since, 0.0)
        return (
            Measure(Metric.NODES_EVACUATED, instance=node.instance),
            Measure(Metric.SECONDS_TO_SAFE, seconds, node.instance),
        )
    if node.state is NodeState.GONE:
        return (leave.gone(node),)
    if node.state is NodeState.IN_SERVICE:
        return (Measure(Metric.NODES_JOINED, instance=node.instance),)
    if node.state is not move.before.state:
        return ()
    return (Measure(Metric.COMMAND_FAILURES, instance=node.instance),)
