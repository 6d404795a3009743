"""Remove the nodes of instances that are gone: wait until they are down, demote, remove by exact id."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from bootstrap.actions import DemoteNode, RemoveNode, perform, try_action
from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.engine.node import Node
from bootstrap.engine.task_cache import TaskCache
from bootstrap.evacuation.plan import next_actions
from bootstrap.evacuation.scene import Scene
from bootstrap.evacuation.take_away import has_leftovers
from bootstrap.membership.kept_settings import write_settings
from bootstrap.membership.node_lookup import nodes_of
from bootstrap.membership.orphans import Orphans
from bootstrap.membership.quorum import next_demotion
from bootstrap.specs.steadiness import Steadiness
from bootstrap.tasks.polling import until_deadline
from chalicelib.protocol.messages import DONE, AgentTask, Arguments, Fate, NodeReport, Result, Target

POLL_S = 1.0
TIMEOUT_S = 60.0  # measured: Swarm calls a host without power down after 12 s


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Remove the targets' nodes. A node that still answers is not removed, nor one that the quorum needs.

    A target that is no node counts as removed: leaving twice is leaving once. Ends when what an evacuation
    that died has left behind is fixed too, and nodes that are nobody's are removed. Raises EngineError where
    the engine does not answer at the start, or not until the deadline (0: after 60 s).
    """
    self_id, deadline = engine.node_id(), arguments.deadline or clock.now() + TIMEOUT_S
    started, kept, task_cache, steadiness = clock.now(), "", TaskCache(engine, clock), Steadiness()
    orphans = Orphans()
    settings: dict[str, str] = {}  # of the nodes that were removed, by instance: they are their users'

    def poll() -> Result | None:
        nonlocal kept, steadiness
        nodes = engine.nodes()
        mine = [node for target in arguments.targets for node in _departed_nodes(target, nodes)]
        for target in arguments.targets:
            for node in _departed_nodes(target, nodes)[:1]:
                settings[target.instance] = write_settings(node)
        snapshot = engine.snapshot(other_tasks=task_cache.tasks)
        steadiness = steadiness.with_poll(snapshot, clock.now())
        scene = Scene(snapshot, clock.now(), steadiness.sure_tasks(snapshot, clock.now()))
        removals = orphans.removals(nodes, clock.now())
        if not (mine or removals is not None or has_leftovers(scene)) or clock.now() > deadline:
            result = _result(arguments.targets, nodes, kept, clock.now() - started)
            rows = (replace(row, labels=settings.get(row.instance, "")) for row in result.nodes)
            return replace(result, nodes=tuple(rows))
        kept = _remove_nodes(engine, [node for node in mine if node.is_down], nodes)
        for action in (*(removals or ()), *next_actions(scene, self_id)):
            try_action(engine, action)
        return None

    return until_deadline(poll, clock, deadline, POLL_S)


def _departed_nodes(target: Target, nodes: Collection[Node]) -> tuple[Node, ...]:
    """Find the nodes of an instance, without the living one where it came back under another node id."""
    found = nodes_of(target, nodes)
    dead = tuple(node for node in found if node.is_down)
    return found if len(dead) in (0, len(found)) else dead


def _remove_nodes(engine: Engine, dead: Collection[Node], nodes: Collection[Node]) -> str:
    """Remove the dead without a vote, demote those with one; answer why one was kept, "" if none."""
    for node in dead:
        if not node.has_vote:  # one just demoted is a manager for a moment more: that is refused
            try_action(engine, RemoveNode(node, "it is down and its instance is gone"))
    managers = [node for node in nodes if node.role == "manager"]
    manager, reason = next_demotion(managers, [node.id for node in dead])
    if manager:
        perform(engine, DemoteNode(manager, reason))
        return ""
    return reason


def _result(targets: Collection[Target], nodes: Collection[Node], kept: str, seconds: float) -> Result:
    reports = tuple(_node_report(target, nodes, kept, seconds) for target in targets)
    return Result(AgentTask.LEAVE, all(report.fate in DONE for report in reports), reports)


def _node_report(target: Target, nodes: Collection[Node], kept: str, seconds: float) -> NodeReport:
    left = _departed_nodes(target, nodes)
    if not left:
        return NodeReport(target.instance, target.node, Fate.REMOVED, seconds=round(seconds, 2))
    node = left[0]
    if node.is_down:
        return NodeReport(target.instance, node.id, Fate.KEPT, kept, round(seconds, 2))
    detail = f"node {node.hostname} still answers, so it was not removed; if its instance lives, leave it"
    return NodeReport(target.instance, node.id, Fate.ALIVE, detail, round(seconds, 2))
