"""A node whose evacuation was ordered, and the ends of its command."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.events import CommandFinished
from chalicelib.protocol.messages import AgentTask, NodeReport, Result
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import MANAGERS, START, a_node

NOW = START + 20
EVACUATING = a_node(
    state=NodeState.EVACUATING,
    since=START,
    deadline=START + 120,
    due=START + 30,
    command="c-1",
    manager=MANAGERS[0],
    attempts=1,
)


def ended(task: AgentTask, *reports: NodeReport, **changes: object) -> CommandFinished:
    result = Result(task, ok=True, nodes=reports)
    event = CommandFinished(START + 10, "c-1", MANAGERS[0], task, "Success", result)
    return replace(event, **changes)  # type: ignore[arg-type]


UNFETCHED: dict[str, object] = {"result": None, "status": "Failed", "failure": "no agent", "unfetched": True}
