"""Rebalances after joins that fail, as whole stories: sent again where that helps, told once where not."""

from __future__ import annotations

import pytest

from chalicelib.admin.calls import call
from chalicelib.errors import CallError
from chalicelib.protocol.messages import AgentTask, Result
from chalicelib.state.instance import InstanceState
from chalicelib.state.job import JobStage
from tests.unit.chalicelib.support.fakes import MANAGERS, WORKER, WORKER_2, Lab
from tests.unit.chalicelib.support.rebalances import BLUE, FAILED, MOVED, RAISED, given_back
from tests.unit.chalicelib.support.stories import commands, end, job, tick


def test_a_failed_automatic_rebalance_notifies_once_and_waits_for_the_next_join() -> None:
    lab = Lab(workers=4, rebalance=True)
    lab.hosts.answers[AgentTask.REBALANCE] = FAILED
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    for _ in range(10):
        tick(lab)
    assert len(commands(lab, AgentTask.REBALANCE)) == 1
    ((_, text),) = lab.messages.published
    assert "rebalance failed: web failed: its tasks do not start" in text
    given_back(lab, WORKER_2)
    assert len(commands(lab, AgentTask.REBALANCE)) == 2


def test_a_surge_that_was_left_is_ended_later_and_notifies_after_an_hour_in_vain() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[AgentTask.REBALANCE] = RAISED
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    assert job(lab, AgentTask.REBALANCE).is_open
    for _ in range(30):
        tick(lab)
    assert lab.messages.published == []
    for _ in range(60):
        tick(lab)
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.FAILED
    ((_, text),) = lab.messages.published
    assert "web failed: its own update is paused" in text


def test_a_failure_in_a_paused_cluster_notifies_people_once_it_is_resumed() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[AgentTask.REBALANCE] = FAILED
    given_back(lab, WORKER)
    call("pause", BLUE, lab.world())
    end(lab, lab.hosts.sent[-1])
    assert lab.messages.published == []
    (known,) = lab.incidents.list_all("blue")
    assert not known.notified
    lab.clock.time += 60
    call("resume", BLUE, lab.world())
    assert len(lab.messages.published) == 1
    assert len(commands(lab, AgentTask.REBALANCE)) == 1
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.FAILED


def test_an_automatic_rebalance_that_meets_an_election_is_sent_again() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[AgentTask.REBALANCE] = Result(
        AgentTask.REBALANCE, ok=False, error="the swarm has no leader"
    )
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    assert job(lab, AgentTask.REBALANCE).reason == "it is sent again: the swarm has no leader"
    lab.hosts.answers[AgentTask.REBALANCE] = MOVED
    for _ in range(2):
        tick(lab)
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.DONE
    assert lab.messages.published == []


def test_a_rebalance_put_off_often_is_sent_more_rarely_and_notifies_after_a_day() -> None:
    lab = Lab(rebalance=True)
    busy = Result(AgentTask.REBALANCE, ok=True, facts={"reason": "web is updated without end"}, wait=60)
    lab.hosts.answers[AgentTask.REBALANCE] = busy
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    for _ in range(26 * 60):
        tick(lab)
    last = job(lab, AgentTask.REBALANCE)
    assert (last.stage, last.reason[:16]) == (JobStage.FAILED, "put off for 24 h")
    assert len(commands(lab, AgentTask.REBALANCE)) < 120
    ((_, text),) = lab.messages.published
    assert "web is updated without end" in text


def test_a_rebalance_whose_manager_ends_goes_on_at_another_one() -> None:
    lab = Lab(rebalance=True)
    given_back(lab, WORKER)
    first = lab.hosts.sent[-1]
    lab.hosts.frozen = {first.manager}
    lab.ec2.turn(first.manager, InstanceState.TERMINATED)
    for _ in range(4):
        tick(lab)
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.DONE
    assert [manager == first.manager for manager, _ in commands(lab, AgentTask.REBALANCE)] == [True, False]


def test_a_rebalance_that_died_half_way_is_finished_also_after_it_is_switched_off() -> None:
    lab = Lab(rebalance=True)
    given_back(lab, WORKER)
    lab.hosts.broken = set(MANAGERS)
    end(lab, lab.hosts.sent[-1])
    call("configure", BLUE | {"rebalance": False}, lab.world())
    lab.hosts.broken = set()
    lab.hosts.answers[AgentTask.REBALANCE] = MOVED
    for _ in range(3):
        tick(lab)
    assert len(commands(lab, AgentTask.REBALANCE)) == 2
    assert job(lab, AgentTask.REBALANCE).reason == "web moved: 5/4/0 is 3/3/3"


def test_a_manager_whose_engine_is_sick_is_not_the_one_that_is_asked_again() -> None:
    lab = Lab(workers=4, rebalance=True)
    hung = Result(AgentTask.REBALANCE, ok=False, error="the engine did not say what it is within 5 s")
    lab.hosts.answers[AgentTask.REBALANCE] = hung
    given_back(lab, WORKER)
    first = lab.hosts.sent[-1]
    end(lab, first)
    lab.hosts.answers[AgentTask.REBALANCE] = MOVED
    tick(lab)
    tick(lab)
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.DONE, "nobody was asked to order it again"
    lab.hosts.answers[AgentTask.REBALANCE] = hung
    for _ in range(2):
        with pytest.raises(CallError, match="the engine did not say what it is within 5 s"):
            call("rebalance", BLUE, lab.world())
    (_, second), (third, fourth) = (
        [to for to, _ in commands(lab, AgentTask.REBALANCE)][i : i + 2] for i in (0, 2)
    )
    assert first.manager != second
    assert third != fourth
