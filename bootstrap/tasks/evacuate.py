"""Empty the nodes of interrupted instances: make before break, inside one time budget."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine, EngineError, NotManagerError, RefusedError
from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL, Node
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task_cache import TaskCache
from bootstrap.evacuation import deadline_label
from bootstrap.evacuation.plan import (
    Action,
    DemoteNode,
    DrainNode,
    PauseNode,
    UpdateService,
    empty,
    next_actions,
)
from bootstrap.evacuation.report import EvacuationReport
from bootstrap.membership.node_lookup import explain_absence, nodes_of
from chalicelib.protocol.messages import DONE, AgentTask, Arguments, Fate, NodeReport, Result, Target

POLL_S = 0.25  # seconds between two looks at the swarm
ENGINE_SILENCE_TIMEOUT_S = 9.0  # seconds without any answer after which another manager shall do the work
OVERTIME_S = 5.0  # seconds past the deadline that a run still watches: notices are best effort


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Evacuate the targets' nodes; ends when they are empty and every service is as it was, or out of time.

    Targets that are no node are reported as absent and fail the task; nothing is changed for them. Raises
    EngineError where the engine does not answer at the start or for 9 s, or its swarm not until the deadline.
    """
    self_id, began, report = engine.node_id(), clock.now(), EvacuationReport()
    heard = began
    task_cache = TaskCache(engine, clock)
    while True:
        try:
            snapshot = _look(engine, arguments.targets, report, task_cache)
            heard = now = clock.now()
            report = report.seen(snapshot, _mine(arguments.targets, snapshot), now - began)
            acts = (*_pauses(arguments, snapshot, now), *next_actions(snapshot, now, self_id))
            if _finished(arguments.targets, snapshot, acts) or now > arguments.deadline + OVERTIME_S:
                return _result(arguments.targets, snapshot, report)
            done = [perform(engine, act) for act in acts]
            if done and all(done):
                continue
        except NotManagerError:
            raise
        except EngineError:
            # An election or a busy engine: the budget, not the first refusal, decides when to give up. But
            # what an engine that is dead cannot do, another manager can, as long as there is time.
            now = clock.now()
            if now > arguments.deadline or (now > heard + ENGINE_SILENCE_TIMEOUT_S and not engine.is_alive()):
                raise
        clock.sleep(POLL_S)


def _look(
    engine: Engine, targets: Collection[Target], report: EvacuationReport, task_cache: TaskCache
) -> Snapshot:
    nodes = engine.nodes()
    mine = [node.id for target in targets for node in nodes_of(target, nodes)]
    left = {entry.task.service for entry in report.tasks.values()}
    return engine.snapshot(mine, left, task_cache.tasks)


def _mine(targets: Collection[Target], snapshot: Snapshot) -> tuple[Node, ...]:
    """The living nodes of the targets."""
    return tuple(
        node for target in targets for node in nodes_of(target, snapshot.nodes)[:1] if not node.is_down
    )


def _pauses(arguments: Arguments, snapshot: Snapshot, now: float) -> tuple[PauseNode, ...]:
    return tuple(
        PauseNode(node, deadline, "its instance is going", max(target.version, deadline_label.version(node)))
        for target in arguments.targets
        for node in _mine([target], snapshot)
        if (deadline := deadline_label.news(target.version, arguments.deadline, node, now)) is not None
    )


def _finished(targets: Collection[Target], snapshot: Snapshot, acts: Collection[Action]) -> bool:
    return not acts and all(empty(node, snapshot) for node in _mine(targets, snapshot))


def perform(engine: Engine, act: Action) -> bool:
    """Do one act and say so; False where it is refused or somebody else was first: that stops no other act.

    Raises EngineError where the engine does not answer.
    """
    try:
        match act:
            case PauseNode(node, deadline, reason, version):
                availability = "drain" if node.availability == "drain" else "pause"
                labels = {**node.labels, EVACUATION_DEADLINE_LABEL: deadline_label.label(deadline, version)}
                say(f"pause node {node.hostname} ({node.id}): {reason}")
                engine.update_node(node, Availability=availability, Labels=labels)
            case DrainNode(node, reason):
                say(f"drain node {node.hostname} ({node.id}): {reason}")
                engine.update_node(node, Availability="drain")
            case DemoteNode(node, reason):
                say(f"demote manager {node.hostname} ({node.id}): {reason}")
                engine.update_node(node, Role="worker")
            case UpdateService(service, spec, reason):
                say(f"update service {service.name} ({service.id}): {reason}")
                engine.update_service(service, spec)
    except RefusedError as refusal:
        say(f"{refusal}; looking again")
        return False
    return True


def say(line: str) -> None:
    """Tell a person what is being done, and why, on stderr."""
    print(line, file=sys.stderr, flush=True)


def _result(targets: Collection[Target], snapshot: Snapshot, report: EvacuationReport) -> Result:
    nodes = tuple(_report(target, snapshot, report) for target in targets)
    ok = all(report.fate in DONE - {Fate.ABSENT} for report in nodes)
    return Result(AgentTask.EVACUATE, ok, nodes, report.services(snapshot))


def _report(target: Target, snapshot: Snapshot, report: EvacuationReport) -> NodeReport:
    found = nodes_of(target, snapshot.nodes)
    if not found:
        return NodeReport(target.instance, "", Fate.ABSENT, explain_absence(target))
    node = found[0]
    row = NodeReport(target.instance, node.id, Fate.SAFE, seconds=report.emptied(node.id))
    if node.is_down:
        return replace(row, fate=Fate.DOWN, detail="it was down: Swarm itself replaces its tasks")
    if not empty(node, snapshot):
        left = sum(task.is_present for task in snapshot.tasks_on([node.id]))
        return replace(row, fate=Fate.UNFINISHED, detail=f"{left} tasks are left on it")
    if broken := report.broken(node.id):
        return replace(row, fate=Fate.DRAINED, detail=f"stopped before they were replaced: {broken}")
    return row
