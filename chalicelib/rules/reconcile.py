"""The backstop: whatever no event finished is found overdue, asked for, and sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Ask, Dispatch, Measure, Metric, Move, Plan
from chalicelib.protocol import Task
from chalicelib.rules import again

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.cluster import Cluster, Node
    from chalicelib.events import CommandRunning, Tick


def on_tick(_: Tick, cluster: Cluster) -> Plan:
    """Ask for the commands that are out too long, send what is not out."""
    overdue = [node for node in cluster.nodes if node.due is not None and node.due <= cluster.now]
    if not overdue:
        return Plan("nothing is overdue")
    out = sorted({(node.command, node.manager, node.task) for node in overdue if node.command and node.task})
    actions: list[Action] = [Ask(*command) for command in out]
    unsent = sum(node.unsent for node in overdue)
    if unsent:
        actions.append(Dispatch(seconds=0))
    reason = f"{len(overdue)} overdue: {unsent} to send, {len(out)} commands to ask for"
    return Plan(reason, tuple(actions), (Measure(Metric.OVERDUE_INTENTS, len(overdue)),))


def on_command_running(event: CommandRunning, cluster: Cluster) -> Plan:
    """Send an evacuation that takes too long through another manager too: the agents join the running one."""
    waiting = [node for node in cluster.nodes if node.command == event.command]
    others = set(cluster.managers) - {event.manager}
    moves = tuple(Move(node, _after(node, cluster, elsewhere=bool(others))) for node in waiting)
    if not moves:
        return Plan(f"{event.command} runs, but nothing waits for it")
    resent = sum(move.after.unsent for move in moves)
    reason = f"{event.command} still runs: {resent} of {len(moves)} nodes are sent again, the others wait"
    return Plan(reason, moves + ((Dispatch(seconds=0),) if resent else ()))


def _after(node: Node, cluster: Cluster, *, elsewhere: bool) -> Node:
    if node.task is Task.EVACUATE and elsewhere and node.attempts < again.AT_ONCE:
        return node.reopened(due=cluster.now, reason="no result yet: sent through another manager")
    return node.but(due=cluster.now + cluster.policy.patience)
