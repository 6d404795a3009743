"""Give evacuated nodes whose interruption never came back as their admin had them, mostly active."""

from __future__ import annotations

from bootstrap.actions import ChangeNode, perform, try_action
from bootstrap.clock import Clock
from bootstrap.engine.client import ConflictError, Engine
from bootstrap.engine.node import AVAILABILITY_LABEL, EVACUATION_DEADLINE_LABEL, Node
from bootstrap.evacuation import deadline_label
from bootstrap.evacuation.scene import Scene
from bootstrap.evacuation.take_away import endings, has_leftovers
from bootstrap.log import say
from bootstrap.membership.kept_settings import explain_availability
from bootstrap.membership.node_lookup import explain_absence, nodes_of
from bootstrap.tasks.polling import until_deadline
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result, Target

POLL_S = 0.5
TIMEOUT_S = 30.0


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Take the evacuation deadline off the targets' living nodes and restore their availability.

    Twice is once. One that its admin had drained or paused, before or meanwhile, ends as he has it.

    What the evacuation has changed in services, and could not end, ends as it was.
    A node whose label a newer order has set stays as it is, and is reported as unfinished.
    Raises EngineError where the engine does not answer at the start, or not until the deadline (0: after
    30 s).
    """
    engine.node_id()
    deadline = arguments.deadline or clock.now() + TIMEOUT_S

    def poll() -> Result | None:
        while True:
            nodes = engine.nodes()
            scene = Scene(engine.snapshot(), clock.now())
            kept = [node for target in arguments.targets for node in _returning_nodes(target, nodes)]
            ended = [try_action(engine, action) for action in endings(scene)] if not kept else []
            if not (kept or has_leftovers(scene)) or clock.now() > deadline:
                reports = tuple(_node_report(target, nodes) for target in arguments.targets)
                return Result(AgentTask.GIVE_BACK, all(row.fate is Fate.ACTIVE for row in reports), reports)
            if not (kept or any(ended)):
                return None
            for node in kept:
                _give_back(engine, node)

    return until_deadline(poll, clock, deadline, POLL_S)


def _returning_nodes(target: Target, nodes: tuple[Node, ...]) -> list[Node]:
    """Find the target's node, where it is to be given back and is not yet."""
    version, found = target.version, nodes_of(target, nodes)[:1]
    return [node for node in found if _is_kept_away(node) and not deadline_label.is_outdated(version, node)]


def _is_kept_away(node: Node) -> bool:
    is_marked = not {EVACUATION_DEADLINE_LABEL, AVAILABILITY_LABEL}.isdisjoint(node.labels)
    return not node.is_down and (is_marked or node.availability != node.wanted_availability)


def _give_back(engine: Engine, node: Node) -> None:
    marks = (EVACUATION_DEADLINE_LABEL, AVAILABILITY_LABEL)
    labels = {key: value for key, value in node.labels.items() if key not in marks}
    changes = {"Availability": node.wanted_availability, "Labels": labels}
    try:
        perform(engine, ChangeNode(node, changes, "its instance lives on"))
    except ConflictError as conflict:
        say(f"{conflict}; polling again")


def _node_report(target: Target, nodes: tuple[Node, ...]) -> NodeReport:
    found = nodes_of(target, nodes)
    if not found:
        return NodeReport(target.instance, "", Fate.ABSENT, explain_absence(target))
    node = found[0]
    if node.is_down:
        return NodeReport(target.instance, node.id, Fate.DOWN, f"node {node.hostname} does not answer")
    if deadline_label.is_outdated(target.version, node):
        why = f"node {node.hostname} is being evacuated anew"
        return NodeReport(target.instance, node.id, Fate.UNFINISHED, why)
    fate = Fate.UNFINISHED if _is_kept_away(node) else Fate.ACTIVE
    return NodeReport(target.instance, node.id, fate, explain_availability(node))
