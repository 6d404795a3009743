"""When managers fail: the back-off, and the incident that says what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Dispatch, Notify, RecordHostHealth, ReplaceRecord
from chalicelib.protocol.messages import AgentTask, Result
from chalicelib.rules import decide
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.rules.support.evacuating import EVACUATING, NOW, UNFETCHED, ended
from tests.unit.chalicelib.support.fakes import MANAGERS, a_cluster


@pytest.mark.parametrize(("attempts", "longest"), [(4, 120), (5, 240), (6, 300), (11, 300)])
def test_after_four_failures_a_back_off_begins_and_people_are_notified(attempts: int, longest: float) -> None:
    node = replace(EVACUATING, attempts=attempts, deadline=NOW)
    event = ended(AgentTask.EVACUATE, result=None, status="Failed", failure="Failed: broken")
    plan = decide(event, a_cluster(node, now=NOW))
    move = plan.actions[0]
    assert isinstance(move, ReplaceRecord)
    assert NOW + longest * 0.7 <= (move.after.due or 0) <= NOW + longest
    alarm, noted = plan.actions[1:]
    assert isinstance(alarm, Notify)
    assert (alarm.incident.key, "could evacuate: Failed: broken" in alarm.incident.what) == ("hosts", True)
    assert noted == RecordHostHealth(MANAGERS[0], healthy=False)


def test_an_agent_that_cannot_be_fetched_blames_no_manager() -> None:
    event = ended(AgentTask.EVACUATE, **UNFETCHED)
    first = decide(event, a_cluster(EVACUATING, now=NOW))
    assert [type(action) for action in first.actions] == [ReplaceRecord, Dispatch]
    fourth = decide(event, a_cluster(replace(EVACUATING, attempts=4), now=NOW))
    (alarm,) = (action.incident for action in fourth.actions if isinstance(action, Notify))
    assert (alarm.key, "make deploy" in alarm.fix) == ("agent", True)
    assert not any(isinstance(action, RecordHostHealth) for action in fourth.actions)


@pytest.mark.parametrize(
    "changes", [UNFETCHED, {"result": None, "status": "TimedOut", "failure": "TimedOut"}]
)
def test_only_an_answer_of_the_swarm_leads_to_recover(changes: dict[str, object]) -> None:
    node = replace(EVACUATING, attempts=4)
    spoken: dict[str, object] = {"result": Result(AgentTask.EVACUATE, ok=False, error="no quorum")}
    fixes = [
        action.incident.fix
        for event in (ended(AgentTask.EVACUATE, **changes), ended(AgentTask.EVACUATE, **spoken))
        for action in decide(event, a_cluster(node, now=NOW)).actions
        if isinstance(action, Notify)
    ]
    assert ["recover" in fix for fix in fixes] == [False, True]


LEADERLESS = "the engine refused to list nodes: The swarm does not have a leader"


@pytest.mark.parametrize(
    ("task", "error", "notified"),
    [
        (AgentTask.LEAVE, LEADERLESS, True),
        (AgentTask.EVACUATE, LEADERLESS, True),
        (AgentTask.ACTIVATE, LEADERLESS, False),
        (AgentTask.LEAVE, "the engine did not list nodes within 5 s", False),
    ],
)
def test_a_missing_leader_notifies_people_after_one_attempt_of_a_waiting_agent(
    task: AgentTask, error: str, *, notified: bool
) -> None:
    states = {AgentTask.LEAVE: NodeState.LEAVING, AgentTask.ACTIVATE: NodeState.ACTIVATING}
    node = replace(EVACUATING, state=states.get(task, NodeState.EVACUATING))
    event = ended(task, result=Result(task, ok=False, error=error))
    keys = [
        action.incident.key
        for action in decide(event, a_cluster(node, now=NOW)).actions
        if isinstance(action, Notify)
    ]
    assert keys == (["managers"] if notified else [])
