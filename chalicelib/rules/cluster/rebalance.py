"""Rebalance: a node that enters service wants the services spread evenly again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib.actions import ReplaceJob, ReplaceRecord, Send
from chalicelib.protocol.codec import encode_arguments
from chalicelib.protocol.messages import AgentTask, Arguments, Rebalance
from chalicelib.state.job import Job, JobStage
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.actions import Plan
    from chalicelib.state.cluster import Cluster


def extend(plan: Plan, cluster: Cluster) -> Plan:
    """The plan, and the rebalance that the nodes entering service by it want.

    It is wanted before they enter: after a crash in between they enter again, and want it again. While one is
    under way, however many join, one more is wanted after it.
    """
    joined = [
        action for action in plan.actions if isinstance(action, ReplaceRecord) and _enters_service(action)
    ]
    if not joined or not cluster.settings.rebalance:
        return plan
    before = cluster.job(AgentTask.REBALANCE)
    if before and before.is_open:
        if before.wanted or (before.automatic and before.is_waiting):
            return plan
        return replace(plan, actions=(ReplaceJob(before, before.revise(wanted=True)), *plan.actions))
    names = joined[0].after.instance + (f" and {len(joined) - 1} more" if joined[1:] else "")
    drilled = " after a drill" if all(move.before.drill for move in joined) else ""
    changes = fresh_fields(cluster, f"{names} in service{drilled}") | {
        "manager": before.avoided if before else ""
    }
    after = before.revise(**changes) if before else Job(task=AgentTask.REBALANCE, **changes)
    return replace(plan, actions=(ReplaceJob(before, after), *plan.actions, Send(after)))


def fresh_fields(cluster: Cluster, reason: str) -> dict[str, Any]:
    """How an automatic rebalance begins; the agent itself waits until joins have settled."""
    wanted = Rebalance(settle=cluster.settings.settle, cooldown=cluster.settings.cooldown)
    arguments = Arguments(labels={"swarmkeeper.cluster": cluster.name}, rebalance=wanted)
    begun = {"since": cluster.now, "due": cluster.now, "stage": JobStage.OPEN, "reason": reason}
    unsent = {"command": "", "manager": "", "attempts": 0, "automatic": True, "wanted": False}
    return begun | unsent | {"arguments": encode_arguments(arguments)}


def _enters_service(move: ReplaceRecord) -> bool:
    return move.after.state is NodeState.IN_SERVICE and move.before.state is not NodeState.IN_SERVICE
