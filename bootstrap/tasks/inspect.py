"""Tell what this manager sees of the swarm; changes nothing."""

from __future__ import annotations

from typing import Any

from bootstrap.clock import Clock
from bootstrap.swarm import Engine
from bootstrap.view import Node, Task
from chalicelib.protocol import Arguments, Result
from chalicelib.protocol import Task as TaskName


def run(engine: Engine, arguments: Arguments, clock: Clock) -> Result:  # noqa: ARG001 every task is called alike
    """One row per node, of the subjects alone where there are any. Raises EngineError."""
    wanted = {subject.instance for subject in arguments.subjects}
    nodes = [node for node in engine.nodes() if not wanted or node.instance in wanted]
    tasks = engine.tasks(**{"desired-state": ["running"]})
    facts = {
        "self": engine.node_id(),
        "engine": engine.info().get("ServerVersion", ""),
        "nodes": [_row(node, tasks) for node in nodes],
        "moving": [service.name for service in engine.services() if service.before is not None],
    }
    return Result(TaskName.INSPECT, ok=True, facts=facts)


def _row(node: Node, tasks: tuple[Task, ...]) -> dict[str, Any]:
    return {
        "node": node.id,
        "hostname": node.hostname,
        "instance": node.instance,
        "address": node.address,
        "role": node.role,
        "leader": node.leader,
        "state": node.state,
        "availability": node.availability,
        "doomed": node.doom,
        "running": sum(task.node == node.id and task.running for task in tasks),
    }
