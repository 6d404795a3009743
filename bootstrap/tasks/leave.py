"""Remove the nodes of instances that are gone: wait until they are down, demote, remove by exact id."""

from __future__ import annotations

from collections.abc import Collection

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine, EngineError, NotManagerError, RefusedError
from bootstrap.engine.node import Node
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task_cache import TaskCache
from bootstrap.evacuation.plan import leaving_tasks, next_actions
from bootstrap.membership.node_lookup import nodes_of
from bootstrap.membership.quorum import next_demotion
from bootstrap.tasks.evacuate import perform, say
from chalicelib.protocol.messages import DONE, AgentTask, Arguments, Fate, NodeReport, Result, Target

POLL_S = 1.0  # seconds
TIMEOUT_S = 60.0  # seconds; measured: Swarm calls a host without power down after 12 s


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Remove the targets' nodes. A node that still answers is not removed, nor one that the quorum needs.

    A target that is no node counts as removed: leaving twice is leaving once. Ends when what an evacuation
    that died has left behind is mended too. Raises EngineError where the engine does not answer at the start,
    or not until the deadline (0: after 60 s).
    """
    self_id, deadline = engine.node_id(), arguments.deadline or clock.now() + TIMEOUT_S
    began, kept, task_cache = clock.now(), "", TaskCache(engine, clock)
    while True:
        try:
            nodes = engine.nodes()
            mine = [node for target in arguments.targets for node in _departed(target, nodes)]
            snapshot = engine.snapshot(task_cache=task_cache.tasks)
            if not (mine or _left_behind(snapshot)) or clock.now() > deadline:
                return _result(arguments.targets, nodes, kept, clock.now() - began)
            kept = _remove(engine, [node for node in mine if node.is_down], nodes)
            for act in next_actions(snapshot, clock.now(), self_id):
                perform(engine, act)
        except NotManagerError:
            raise
        except EngineError as error:
            if clock.now() > deadline:
                raise
            say(f"{error}; trying again")
        clock.sleep(POLL_S)


def _left_behind(snapshot: Snapshot) -> bool:
    """Some service is still as an evacuation made it that has nothing more to move."""
    return any(
        service.before is not None and not leaving_tasks(service, snapshot) for service in snapshot.services
    )


def _departed(target: Target, nodes: Collection[Node]) -> tuple[Node, ...]:
    """The nodes of an instance, but not the living one where it has come back under another node id."""
    found = nodes_of(target, nodes)
    dead = tuple(node for node in found if node.is_down)
    return found if len(dead) in (0, len(found)) else dead


def _remove(engine: Engine, dead: Collection[Node], nodes: Collection[Node]) -> str:
    """Remove the dead without a vote, demote one who has it; answers why one was kept, "" if none was."""
    for node in dead:
        if not node.has_vote:
            _remove_dead(engine, node)
    managers = [node for node in nodes if node.role == "manager"]
    manager, reason = next_demotion(managers, [node.id for node in dead])
    if manager:
        say(f"demote manager {manager.hostname} ({manager.id}): {reason}")
        engine.update_node(manager, Role="worker")
        return ""
    return reason


def _remove_dead(engine: Engine, node: Node) -> None:
    say(f"remove node {node.hostname} ({node.id}): it is down and its instance is gone")
    try:
        engine.remove_node(node)
    except RefusedError as refusal:
        say(f"{refusal}; looking again")  # one just demoted is a manager for a moment more


def _result(targets: Collection[Target], nodes: Collection[Node], kept: str, seconds: float) -> Result:
    reports = tuple(_report(target, nodes, kept, seconds) for target in targets)
    return Result(AgentTask.LEAVE, all(report.fate in DONE for report in reports), reports)


def _report(target: Target, nodes: Collection[Node], kept: str, seconds: float) -> NodeReport:
    left = _departed(target, nodes)
    if not left:
        return NodeReport(target.instance, target.node, Fate.REMOVED, seconds=round(seconds, 2))
    node = left[0]
    if node.is_down:
        return NodeReport(target.instance, node.id, Fate.KEPT, kept, round(seconds, 2))
    detail = f"node {node.hostname} still answers, so it was not removed; if its instance lives, leave it"
    return NodeReport(target.instance, node.id, Fate.ALIVE, detail, round(seconds, 2))
