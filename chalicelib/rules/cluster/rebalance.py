"""Rebalance: nodes that enter service want the services spread evenly again.

Nodes enter service, and the last rebalance -> plan:
    has ended, or there was none                a new automatic one
    is automatic and not begun                  nothing: it sees these nodes too
    is under way                                wanted once more after it, however many nodes join
    (automatic rebalances are switched off)     nothing
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib.actions import ReplaceJob, Send
from chalicelib.protocol.codec import encode_arguments
from chalicelib.protocol.messages import AgentTask, Arguments, Rebalance
from chalicelib.state.job import Job, JobStage

if TYPE_CHECKING:
    from chalicelib.actions import Plan
    from chalicelib.state.cluster import Cluster


def extend(plan: Plan, cluster: Cluster) -> Plan:
    """Return the plan with the rebalance that the nodes call for which enter service by it.

    It is recorded before they enter: after a crash in between they enter again, and call for it again.
    """
    entering = plan.entering
    if not cluster.settings.rebalance:
        return plan
    before = cluster.job(AgentTask.REBALANCE)
    if before and before.is_open:
        if before.wanted or (before.automatic and before.is_waiting):
            return plan
        return replace(plan, actions=(ReplaceJob(before, before.revise(wanted=True)), *plan.actions))
    names = entering[0].after.instance + (f" and {len(entering) - 1} more" if entering[1:] else "")
    drilled = " after a drill" if all(change.before.drill for change in entering) else ""
    fields = fresh_fields(cluster, f"{names} in service{drilled}")
    fields["manager"] = before.avoided if before else ""
    after = before.revise(**fields) if before else Job(task=AgentTask.REBALANCE, **fields)
    return replace(plan, actions=(ReplaceJob(before, after), *plan.actions, Send(after)))


def fresh_fields(cluster: Cluster, reason: str) -> dict[str, Any]:
    """Return the fields of a new automatic rebalance; the agent itself waits until joins have settled."""
    wanted = Rebalance(settle=cluster.settings.settle, cooldown=cluster.settings.cooldown)
    arguments = Arguments(labels={"swarmkeeper.cluster": cluster.name}, rebalance=wanted)
    opened = {"since": cluster.now, "due": cluster.now, "stage": JobStage.OPEN, "reason": reason}
    unsent = {"command": "", "manager": "", "attempts": 0, "automatic": True, "wanted": False}
    return opened | unsent | {"arguments": encode_arguments(arguments)}
