"""Make nodes managers or workers, one after the other, never at the cost of the managers' quorum."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.engine.node import Node
from bootstrap.log import say
from bootstrap.membership.node_lookup import explain_absence, nodes_of
from bootstrap.membership.quorum import next_demotion, next_promotion
from bootstrap.tasks.polling import until_deadline
from chalicelib.protocol.messages import DONE, AgentTask, Arguments, Fate, NodeReport, Result, Target

POLL_S = 1.0
TIMEOUT_S = 30.0  # who calls by hand listens for fifty


def run(task: AgentTask, engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Promote or demote the targets' nodes; what the quorum forbids is reported as kept, with the reason.

    Raises EngineError where the engine does not answer at the start, or not until the deadline (0: after
    30 s).
    """
    self_id, deadline = engine.node_id(), arguments.deadline or clock.now() + TIMEOUT_S

    def poll() -> Result | None:
        nodes = engine.nodes()
        kept = _change_one(task, engine, _nodes_to_change(task, arguments.targets, nodes), nodes, self_id)
        is_done = all(_has_role(task, target, nodes) for target in arguments.targets)
        if not is_done and clock.now() <= deadline:
            return None
        reports = tuple(_node_report(task, one, nodes, kept) for one in arguments.targets)
        return Result(task, all(row.fate in DONE - {Fate.ABSENT} for row in reports), reports)

    return until_deadline(poll, clock, deadline, POLL_S)


promote = partial(run, AgentTask.PROMOTE)
demote = partial(run, AgentTask.DEMOTE)


def _nodes_to_change(task: AgentTask, targets: Collection[Target], nodes: Collection[Node]) -> list[Node]:
    """Find the nodes that do not have their role yet."""
    role = "manager" if task is AgentTask.PROMOTE else "worker"
    mine = [node for target in targets for node in nodes_of(target, nodes)[:1]]
    return [node for node in mine if node.role != role]


def _change_one(
    task: AgentTask, engine: Engine, left: list[Node], nodes: Collection[Node], self_id: str
) -> str:
    """Change one node's role if possible now; answer why not, "" if done or none is left."""
    managers = [node for node in nodes if node.role == "manager"]
    if task is AgentTask.DEMOTE:
        others = [node for node in left if node.id != self_id]
        node, reason = next_demotion(managers, [node.id for node in others])
        if left and not others:
            return "a manager does not demote itself: run this on another one"
    else:
        ready = [node for node in left if not node.is_down]
        may, reason = next_promotion(managers)
        node = ready[0] if ready and may else None
        reason = "it does not answer" if left and not ready else reason
    if node is None:
        return reason if left else ""
    role = "manager" if task is AgentTask.PROMOTE else "worker"
    say(f"{task.value} {node.hostname} ({node.id}): {reason}")
    engine.update_node(node, Role=role)
    return ""


def _has_role(task: AgentTask, target: Target, nodes: Collection[Node]) -> bool:
    found = nodes_of(target, nodes)
    return not found or _fate(task, found[0]) is not None


def _fate(task: AgentTask, node: Node) -> Fate | None:
    """Tell what became of a node; None while it has not become it."""
    if task is AgentTask.DEMOTE:
        return Fate.DEMOTED if node.role == "worker" else None
    return Fate.PROMOTED if node.role == "manager" and node.reachability == "reachable" else None


def _node_report(task: AgentTask, target: Target, nodes: Collection[Node], kept: str) -> NodeReport:
    found = nodes_of(target, nodes)
    if not found:
        return NodeReport(target.instance, "", Fate.ABSENT, explain_absence(target))
    node = found[0]
    if fate := _fate(task, node):
        return NodeReport(target.instance, node.id, fate)
    detail = kept or f"node {node.hostname} does not answer as a {node.role} yet"
    return NodeReport(target.instance, node.id, Fate.KEPT, detail)
