"""Rebalances by hand as whole stories: dry, answered with what was done, bounded, and never in silence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from chalicelib.admin.calls import call
from chalicelib.errors import CallError
from chalicelib.protocol.messages import AgentTask, Balance, Rebalance, Result, SpreadReport
from chalicelib.state.job import JobStage
from tests.unit.chalicelib.support.fakes import MANAGERS, WORKER, Lab
from tests.unit.chalicelib.support.rebalances import BLUE, FAILED, LATER, MOVED, RAISED, SPREAD, given_back
from tests.unit.chalicelib.support.stories import commands, end, job, tick


def test_a_rebalance_by_hand_answers_before_plan_and_after() -> None:
    lab = Lab()
    lab.hosts.answers[AgentTask.REBALANCE] = MOVED
    wanted = {"services": ["web"], "mode": "surge", "max_moves": 3}
    answer = call("rebalance", BLUE | wanted, lab.world())
    (sent,) = lab.hosts.sent
    assert sent.arguments.rebalance == Rebalance(("web",), "surge", max_moves=3)
    assert sent.at < sent.arguments.deadline < sent.at + sent.seconds
    assert answer["services"][0]["plan"] == {"a": 3, "b": 3, "c": 3}
    assert answer["table"][1].split()[3:8] == ["2", "2", "5/4/0", "3/3/3", "3/3/3"]
    assert answer["table"][2] == "web: it has no health check"
    assert answer["picture"][3].split() == ["a", "#####", "5", "###", "3"]
    (shown,) = call("status", BLUE, lab.world())["clusters"]["blue"]["errands"]
    assert shown["result"]["table"] == answer["table"]
    assert json.dumps(answer)


def test_a_dry_rebalance_asks_the_agent_and_records_nothing() -> None:
    lab = Lab()
    lab.hosts.answers[AgentTask.REBALANCE] = MOVED
    answer = call("rebalance", BLUE | {"dry_run": True}, lab.world())
    assert lab.hosts.sent[0].arguments.rebalance == Rebalance(dry_run=True)
    assert (answer["dry_run"], answer["services"][0]["service"]) == (True, "web")
    assert lab.jobs.records == {}
    assert end(lab, lab.hosts.sent[0])[0].endswith("(nothing waits for it)")
    lab.hosts.answers[AgentTask.REBALANCE] = Result(
        AgentTask.REBALANCE, ok=False, error="nothing was changed: why"
    )
    with pytest.raises(CallError, match=r"says: nothing was changed: why$"):
        call("rebalance", BLUE | {"dry_run": True}, lab.world())
    lab.hosts.broken = set(MANAGERS)
    with pytest.raises(CallError, match="the engine does not answer; nothing was changed"):
        call("rebalance", BLUE | {"dry_run": True}, lab.world())


def test_a_rebalance_that_stops_says_what_is_done_and_what_is_not() -> None:
    lab = Lab()
    failed = SpreadReport("api", Balance.FAILED, reason="its tasks do not start")
    left = SpreadReport("db", Balance.LEFT, reason="api failed")
    lab.hosts.answers[AgentTask.REBALANCE] = Result(
        AgentTask.REBALANCE, ok=False, spreads=(SPREAD, failed, left)
    )
    said = r"moved: web \(5/4/0 is 3/3/3\); failed: api \(its tasks do not start\); left: db \(api failed\)"
    with pytest.raises(CallError, match=said):
        call("rebalance", BLUE, lab.world())
    (shown,) = call("status", BLUE, lab.world())["clusters"]["blue"]["errands"]
    assert [row["service"] for row in shown["result"]["services"]] == ["web", "api", "db"]


def test_an_order_that_fails_says_why_also_where_another_rebalance_follows_it() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[AgentTask.REBALANCE] = Result(AgentTask.REBALANCE, ok=True, wait=270)
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    lab.hosts.answers[AgentTask.REBALANCE] = Result(
        AgentTask.REBALANCE, ok=False, error="no service is called nope"
    )
    with pytest.raises(CallError, match=f"failed on {MANAGERS[0]}: no service is called nope$"):
        call("rebalance", BLUE | {"services": ["nope"]}, lab.world())
    assert job(lab, AgentTask.REBALANCE).automatic


def test_a_rebalance_that_still_runs_is_followed_in_status() -> None:
    lab = Lab()
    lab.hosts.answers[AgentTask.REBALANCE] = MOVED
    lab.hosts.takes = 200
    answer = call("rebalance", BLUE, lab.world())
    assert (answer["errand"]["state"], answer["errand"]["command"]) == ("open", "command-1")
    assert "table" not in answer
    with pytest.raises(CallError, match="rebalance is under way, ordered 50 s ago, command-1 on"):
        call("rebalance", BLUE | {"max_moves": 1}, lab.world())
    for _ in range(3):
        tick(lab)
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.DONE
    assert len(lab.hosts.sent) == 1


def test_a_person_need_not_wait_for_what_cools_down() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[AgentTask.REBALANCE] = LATER
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    lab.hosts.answers[AgentTask.REBALANCE] = MOVED
    answer = call("rebalance", BLUE | {"services": ["web"]}, lab.world())
    assert answer["services"][0]["balance"] == "moved"
    assert "errand" not in answer
    assert answer["next"]["automatic"], "the other services still want theirs"
    assert answer["next"]["state"] == "open"


def test_a_person_hears_at_once_of_a_surge_that_had_to_be_left() -> None:
    lab = Lab()
    lab.hosts.answers[AgentTask.REBALANCE] = RAISED
    with pytest.raises(CallError, match="its own update is paused"):
        call("rebalance", BLUE, lab.world())
    assert job(lab, AgentTask.REBALANCE).is_open, "it is still to be ended"


def test_a_rebalance_that_has_nothing_to_move_says_so() -> None:
    lab = Lab()
    lab.hosts.answers[AgentTask.REBALANCE] = Result(AgentTask.REBALANCE, ok=True, facts={"balanced": 60})
    answer = call("rebalance", BLUE, lab.world())
    assert answer["errand"]["reason"] == "nothing to move, 60 services are balanced already"


def test_the_message_of_a_failed_rebalance_orders_the_same_again() -> None:
    lab = Lab()
    lab.hosts.takes, lab.hosts.answers[AgentTask.REBALANCE] = 80, FAILED
    call("rebalance", BLUE | {"services": ["web"], "mode": "rolling", "max_moves": 2}, lab.world())
    end(lab, lab.hosts.sent[0])
    ((_, text),) = lab.messages.published
    assert json.dumps(BLUE | {"services": ["web"], "mode": "rolling", "max_moves": 2}) in text


def test_an_order_with_a_bound_is_not_repeated_once_tasks_were_moved() -> None:
    """Nobody knows how many were moved before: a second run would be allowed as many again."""
    lab = Lab()
    lab.hosts.answers[AgentTask.REBALANCE] = replace(MOVED, wait=60)
    answer = call("rebalance", BLUE | {"max_moves": 2}, lab.world())
    assert (answer["errand"]["state"], answer["errand"]["reason"]) == ("done", "web moved: 5/4/0 is 3/3/3")
    for _ in range(10):
        tick(lab)
    assert len(commands(lab, AgentTask.REBALANCE)) == 1
    call("rebalance", BLUE, lab.world())
    for _ in range(2):
        tick(lab)
    assert len(commands(lab, AgentTask.REBALANCE)) == 3, "one without a bound goes on"


def test_an_unanswered_order_with_a_bound_notifies_people_and_is_not_repeated() -> None:
    lab = Lab()
    lab.hosts.frozen = set(MANAGERS)
    call("rebalance", BLUE | {"max_moves": 2}, lab.world())
    lab.hosts.frozen, lab.hosts.broken = set(), set(MANAGERS)
    end(lab, lab.hosts.sent[0])
    for _ in range(10):
        tick(lab)
    assert len(commands(lab, AgentTask.REBALANCE)) == 1
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.FAILED
    assert len(lab.messages.published) == 1


@pytest.mark.parametrize(("wait", "minutes"), [(60, 3), (400, 9)])
def test_an_order_with_a_bound_waits_for_its_turn(wait: float, minutes: int) -> None:
    lab = Lab()
    lab.hosts.answers[AgentTask.REBALANCE] = replace(LATER, wait=wait)
    call("rebalance", BLUE | {"max_moves": 2}, lab.world())
    lab.hosts.answers[AgentTask.REBALANCE] = MOVED
    for _ in range(minutes):
        tick(lab)
    assert len(commands(lab, AgentTask.REBALANCE)) == 2
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.DONE
