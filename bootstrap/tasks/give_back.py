"""Let nodes have tasks again that were evacuated for an interruption which never came."""

from __future__ import annotations

from bootstrap.clock import Clock
from bootstrap.engine.client import ConflictError, Engine, EngineError, NotManagerError
from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL, Node
from bootstrap.evacuation import deadline_label
from bootstrap.membership.node_lookup import explain_absence, nodes_of
from bootstrap.tasks.evacuate import say
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result, Target

POLL_S = 0.5  # seconds
TIMEOUT_S = 30.0  # seconds


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:
    """Take the doom off the targets' living nodes and make them active; twice is once.

    A node that was doomed anew since the order was given stays as it is, and is reported as unfinished.
    Raises EngineError where the engine does not answer at the start, or not until the deadline (0: after
    30 s).
    """
    engine.node_id()
    deadline = arguments.deadline or clock.now() + TIMEOUT_S
    while True:
        try:
            nodes = engine.nodes()
            kept = [node for target in arguments.targets for node in _returning(target, nodes)]
            if not kept or clock.now() > deadline:
                reports = tuple(_report(target, nodes) for target in arguments.targets)
                return Result(AgentTask.GIVE_BACK, all(row.fate is Fate.ACTIVE for row in reports), reports)
            for node in kept:
                _give_back(engine, node)
        except NotManagerError:
            raise
        except EngineError as error:
            if clock.now() > deadline:
                raise
            say(f"{error}; trying again")
            clock.sleep(POLL_S)


def _returning(target: Target, nodes: tuple[Node, ...]) -> list[Node]:
    """The target's node, where it is to be given back and is not yet."""
    found = nodes_of(target, nodes)[:1]
    return [node for node in found if _kept_away(node) and not deadline_label.outdated(target.version, node)]


def _kept_away(node: Node) -> bool:
    return not node.is_down and (EVACUATION_DEADLINE_LABEL in node.labels or node.availability != "active")


def _give_back(engine: Engine, node: Node) -> None:
    labels = {key: value for key, value in node.labels.items() if key != EVACUATION_DEADLINE_LABEL}
    say(f"give back node {node.hostname} ({node.id}): its instance lives on")
    try:
        engine.update_node(node, Availability="active", Labels=labels)
    except ConflictError as conflict:
        say(f"{conflict}; looking again")


def _report(target: Target, nodes: tuple[Node, ...]) -> NodeReport:
    found = nodes_of(target, nodes)
    if not found:
        return NodeReport(target.instance, "", Fate.ABSENT, explain_absence(target))
    node = found[0]
    if node.is_down:
        return NodeReport(target.instance, node.id, Fate.DOWN, f"node {node.hostname} does not answer")
    if deadline_label.outdated(target.version, node):
        why = f"node {node.hostname} is being evacuated anew"
        return NodeReport(target.instance, node.id, Fate.UNFINISHED, why)
    fate = Fate.UNFINISHED if _kept_away(node) else Fate.ACTIVE
    return NodeReport(target.instance, node.id, fate)
