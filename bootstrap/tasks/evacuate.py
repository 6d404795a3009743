"""Empty the nodes of interrupted instances: make before break, inside one time budget."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine, EngineError, NotManagerError, RefusedError
from bootstrap.engine.node import DOOMED_LABEL, Node
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task_cache import Elsewhere
from bootstrap.evacuation import deadline_label
from bootstrap.evacuation.plan import Act, Demote, Drain, Pause, Update, empty, next_acts
from bootstrap.evacuation.report import Tally
from bootstrap.membership.node_lookup import nodes_of, unknown
from chalicelib.protocol.messages import DONE, AgentTask, Arguments, Fate, NodeReport, Result, Target

LOOK_AGAIN = 0.25  # seconds between two looks at the swarm
SILENCE = 9.0  # seconds without any answer after which another manager shall do the work
OVERTIME = 5.0  # seconds past the deadline that a run still watches: notices are best effort


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Evacuate the targets' nodes; ends when they are empty and every service is as it was, or out of time.

    Targets that are no node are reported as absent and fail the task; nothing is changed for them. Raises
    EngineError where the engine does not answer at the start or for 9 s, or its swarm not until the deadline.
    """
    self_id, began, tally = engine.node_id(), clock.now(), Tally()
    heard = began
    elsewhere = Elsewhere(engine, clock)
    while True:
        try:
            snapshot = _look(engine, arguments.targets, tally, elsewhere)
            heard = now = clock.now()
            tally = tally.seen(snapshot, _mine(arguments.targets, snapshot), now - began)
            acts = (*_pauses(arguments, snapshot, now), *next_acts(snapshot, now, self_id))
            if _finished(arguments.targets, snapshot, acts) or now > arguments.deadline + OVERTIME:
                return _result(arguments.targets, snapshot, tally)
            done = [perform(engine, act) for act in acts]
            if done and all(done):
                continue
        except NotManagerError:
            raise
        except EngineError:
            # An election or a busy engine: the budget, not the first refusal, decides when to give up. But
            # what an engine that is dead cannot do, another manager can, as long as there is time.
            now = clock.now()
            if now > arguments.deadline or (now > heard + SILENCE and not engine.answers()):
                raise
        clock.sleep(LOOK_AGAIN)


def _look(engine: Engine, targets: Collection[Target], tally: Tally, elsewhere: Elsewhere) -> Snapshot:
    nodes = engine.nodes()
    mine = [node.id for target in targets for node in nodes_of(target, nodes)]
    left = {entry.task.service for entry in tally.tasks.values()}
    return engine.snapshot(mine, left, elsewhere.tasks)


def _mine(targets: Collection[Target], snapshot: Snapshot) -> tuple[Node, ...]:
    """The living nodes of the targets."""
    return tuple(node for target in targets for node in nodes_of(target, snapshot.nodes)[:1] if not node.down)


def _pauses(arguments: Arguments, snapshot: Snapshot, now: float) -> tuple[Pause, ...]:
    return tuple(
        Pause(node, deadline, "its instance is going", max(target.version, deadline_label.version(node)))
        for target in arguments.targets
        for node in _mine([target], snapshot)
        if (deadline := deadline_label.news(target.version, arguments.deadline, node, now)) is not None
    )


def _finished(targets: Collection[Target], snapshot: Snapshot, acts: Collection[Act]) -> bool:
    return not acts and all(empty(node, snapshot) for node in _mine(targets, snapshot))


def perform(engine: Engine, act: Act) -> bool:
    """Do one act and say so; False where it is refused or somebody else was first: that stops no other act.

    Raises EngineError where the engine does not answer.
    """
    try:
        match act:
            case Pause(node, deadline, reason, version):
                availability = "drain" if node.availability == "drain" else "pause"
                labels = {**node.labels, DOOMED_LABEL: deadline_label.label(deadline, version)}
                say(f"pause node {node.hostname} ({node.id}): {reason}")
                engine.update_node(node, Availability=availability, Labels=labels)
            case Drain(node, reason):
                say(f"drain node {node.hostname} ({node.id}): {reason}")
                engine.update_node(node, Availability="drain")
            case Demote(node, reason):
                say(f"demote manager {node.hostname} ({node.id}): {reason}")
                engine.update_node(node, Role="worker")
            case Update(service, spec, reason):
                say(f"update service {service.name} ({service.id}): {reason}")
                engine.update_service(service, spec)
    except RefusedError as refusal:
        say(f"{refusal}; looking again")
        return False
    return True


def say(line: str) -> None:
    """Tell a person what is being done, and why, on stderr."""
    print(line, file=sys.stderr, flush=True)


def _result(targets: Collection[Target], snapshot: Snapshot, tally: Tally) -> Result:
    nodes = tuple(_report(target, snapshot, tally) for target in targets)
    ok = all(report.fate in DONE - {Fate.ABSENT} for report in nodes)
    return Result(AgentTask.EVACUATE, ok, nodes, tally.services(snapshot))


def _report(target: Target, snapshot: Snapshot, tally: Tally) -> NodeReport:
    found = nodes_of(target, snapshot.nodes)
    if not found:
        return NodeReport(target.instance, "", Fate.ABSENT, unknown(target))
    node = found[0]
    report = NodeReport(target.instance, node.id, Fate.SAFE, seconds=tally.emptied(node.id))
    if node.down:
        return replace(report, fate=Fate.DOWN, detail="it was down: Swarm itself replaces its tasks")
    if not empty(node, snapshot):
        left = sum(task.present for task in snapshot.tasks_on([node.id]))
        return replace(report, fate=Fate.UNFINISHED, detail=f"{left} tasks are left on it")
    if broken := tally.broken(node.id):
        return replace(report, fate=Fate.DRAINED, detail=f"stopped before they were replaced: {broken}")
    return report
