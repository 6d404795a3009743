"""Let joined nodes have tasks, each once it is complete: labelled, Ready, known to the managers."""

from __future__ import annotations

from bootstrap.clock import Clock
from bootstrap.engine.client import ConflictError, Engine, EngineError, NotManagerError
from bootstrap.membership.activation import (
    Absent,
    ChangeNode,
    ManagerView,
    Next,
    Ready,
    RemoveNode,
    Wait,
    next_activation,
)
from bootstrap.tasks.evacuate import say
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result, Target

POLL_S = 0.25  # seconds
TIMEOUT_S = 45.0  # seconds; engines that missed each other compare their lists every 30


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Activate the targets' nodes, and remove what they were before under other node ids.

    One that is not ready stays drained and is reported as unfinished. A target that is no node of the swarm
    is reported as absent; both fail the task. Raises EngineError where the engine does not answer at the
    start, or not until the deadline (0: after 45 s).
    """
    engine.node_id()
    began = clock.now()
    deadline = arguments.deadline or began + TIMEOUT_S
    steps: dict[Target, Next] = {}
    done: dict[Target, float] = {}
    while True:
        try:
            look = _look(engine, clock.now(), began)
            steps = {target: next_activation(target, look) for target in arguments.targets}
            for target, step in steps.items():
                perform(engine, step)
                if isinstance(step, Ready):
                    done.setdefault(target, clock.now() - began)
            if _settled(steps) or clock.now() > deadline:
                return _result(steps, done)
        except NotManagerError:
            raise
        except EngineError as error:
            if clock.now() > deadline:
                raise
            say(f"{error}; trying again")
        clock.sleep(POLL_S)


def perform(engine: Engine, step: Next) -> None:
    """Do what a step says; where somebody else was first, nothing is done. Raises EngineError."""
    try:
        match step:
            case ChangeNode(node, changes, reason):
                told = " ".join(f"{key}={value}" for key, value in changes.items() if key != "Labels")
                say(f"change node {node.hostname} ({node.id}) {told or 'labels'}: {reason}")
                engine.update_node(node, **changes)
            case RemoveNode(node, reason):
                say(f"remove node {node.hostname} ({node.id}): {reason}")
                engine.remove_node(node)
            case _:
                pass
    except ConflictError as conflict:
        say(f"{conflict}; looking again")


def _look(engine: Engine, now: float, began: float) -> ManagerView:
    return ManagerView(engine.nodes(), engine.peers(), engine.membership().managers, now, now - began)


def _settled(steps: dict[Target, Next]) -> bool:
    return all(isinstance(step, (Ready, Absent)) for step in steps.values())


def _result(steps: dict[Target, Next], done: dict[Target, float]) -> Result:
    reports = tuple(_report(target, step, done.get(target, 0.0)) for target, step in steps.items())
    return Result(AgentTask.ACTIVATE, all(report.fate is Fate.ACTIVE for report in reports), reports)


def _report(target: Target, step: Next, seconds: float) -> NodeReport:
    match step:
        case Ready(node):
            return NodeReport(target.instance, node.id, Fate.ACTIVE, seconds=round(seconds, 2))
        case Absent(reason):
            return NodeReport(target.instance, target.node, Fate.ABSENT, reason)
        case Wait(reason) | ChangeNode(_, _, reason) | RemoveNode(_, reason):
            return NodeReport(target.instance, target.node, Fate.UNFINISHED, f"not yet: {reason}")
