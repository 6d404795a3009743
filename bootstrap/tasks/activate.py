"""Let joined nodes have tasks, each once it is complete: labelled, Ready, known to the managers."""

from __future__ import annotations

from dataclasses import replace

from bootstrap.actions import ChangeNode, RemoveNode, perform
from bootstrap.clock import Clock
from bootstrap.engine.client import ConflictError, Engine
from bootstrap.engine.node import CLUSTER_LABEL
from bootstrap.log import say
from bootstrap.membership.activation import (
    Absent,
    ManagerView,
    Ready,
    Refused,
    Step,
    Wait,
    differences,
    next_activation,
)
from bootstrap.membership.kept_settings import explain_availability
from bootstrap.tasks.polling import until_deadline
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result, Target

POLL_S = 0.25
TIMEOUT_S = 45.0  # engines that missed each other compare their lists every 30


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Activate the targets' nodes, and remove what they were before under other node ids.

    One that is not ready stays drained, one that is another instance's as it is; they are reported as
    unfinished. A target that is no node of the swarm is reported as absent. Both fail the task. Raises
    EngineError where the engine does not answer at the start, or not until the deadline (0: after 45 s).
    """
    engine.node_id()
    started, cluster = clock.now(), arguments.labels.get(CLUSTER_LABEL, "")
    deadline = arguments.deadline or started + TIMEOUT_S
    ready_after: dict[Target, float] = {}

    def poll() -> Result | None:
        view = _manager_view(engine, clock.now(), started)
        steps = {target: next_activation(target, view, cluster) for target in arguments.targets}
        for target, step in steps.items():
            perform_step(engine, step)
            if isinstance(step, Ready):
                ready_after.setdefault(target, clock.now() - started)
        is_done = all(isinstance(step, (Ready, Absent, Refused)) for step in steps.values())
        return _result(steps, ready_after, cluster) if is_done or clock.now() > deadline else None

    return until_deadline(poll, clock, deadline, POLL_S)


def perform_step(engine: Engine, step: Step) -> None:
    """Do what a step says; where somebody else was first, nothing is done. Raises EngineError."""
    if isinstance(step, (ChangeNode, RemoveNode)):
        try:
            perform(engine, step)
        except ConflictError as conflict:
            say(f"{conflict}; polling again")


def _manager_view(engine: Engine, now: float, started: float) -> ManagerView:
    return ManagerView(engine.nodes(), engine.peers(), engine.membership().managers, now, now - started)


def _result(steps: dict[Target, Step], ready_after: dict[Target, float], cluster: str) -> Result:
    reports = tuple(
        _node_report(target, step, ready_after.get(target, 0.0), cluster) for target, step in steps.items()
    )
    return Result(AgentTask.ACTIVATE, all(report.fate is Fate.ACTIVE for report in reports), reports)


def _node_report(target: Target, step: Step, seconds: float, cluster: str) -> NodeReport:
    match step:
        case Ready(node):
            claims = differences(target, node, cluster)
            said = "; ".join(filter(None, (claims, explain_availability(node))))
            active = NodeReport(target.instance, node.id, Fate.ACTIVE, said, round(seconds, 2))
            return replace(active, differs=bool(claims))
        case Refused(reason, is_labelled):
            fate, said = Fate.ANOTHERS if is_labelled else Fate.UNFINISHED, f"refused: {reason}"
            return NodeReport(target.instance, target.node, fate, said, differs=True)
        case Absent(reason):
            return NodeReport(target.instance, target.node, Fate.ABSENT, reason)
        case Wait(reason) | ChangeNode(_, _, reason) | RemoveNode(_, reason):
            return NodeReport(target.instance, target.node, Fate.UNFINISHED, f"not yet: {reason}")
