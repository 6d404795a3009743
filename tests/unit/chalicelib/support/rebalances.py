"""Rebalances in stories: what agents answer to them, and the return of a node that one follows."""

from __future__ import annotations

from chalicelib.admin.calls import call
from chalicelib.protocol.messages import AgentTask, Balance, Result, SpreadReport
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import Lab
from tests.unit.chalicelib.support.stories import end, state, tick

BLUE = {"cluster": "blue"}
SPREAD = SpreadReport(
    "web",
    Balance.MOVED,
    moves=2,
    restarted=2,
    reason="5/4/0 is 3/3/3",
    warnings=("it has no health check",),
    before={"a": 5, "b": 4},
    plan={"a": 3, "b": 3, "c": 3},
    after={"a": 3, "b": 3, "c": 3},
)
MOVED = Result(AgentTask.REBALANCE, ok=True, spreads=(SPREAD,))
FAILED = Result(
    AgentTask.REBALANCE,
    ok=False,
    spreads=(SpreadReport("web", Balance.FAILED, reason="its tasks do not start"),),
)
LATER = Result(AgentTask.REBALANCE, ok=True, facts={"reason": "the last one ended 30 s ago"}, wait=270)
RAISED = Result(
    AgentTask.REBALANCE,
    ok=False,
    spreads=(SpreadReport("web", Balance.FAILED, reason="its own update is paused"),),
    wait=300,
)


def given_back(lab: Lab, name: str) -> None:
    """Return a node to service that was out for a while, by events alone."""
    call("evacuate", {**BLUE, "instance": name, "seconds": 10, "give_back": 1}, lab.world())
    end(lab, lab.hosts.sent[-1])
    tick(lab)
    assert state(lab, name) is NodeState.RETURNING
    end(lab, next(sent for sent in reversed(lab.hosts.sent) if sent.task is AgentTask.GIVE_BACK))
    assert state(lab, name) is NodeState.IN_SERVICE
