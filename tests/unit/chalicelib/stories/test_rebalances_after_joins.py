"""Rebalances after joins as whole stories: one at a time, put off, held back by a pause, switched off."""

from __future__ import annotations

from chalicelib.admin.calls import call
from chalicelib.events import SpotInterruptionWarning
from chalicelib.protocol.messages import AgentTask, Rebalance, Result
from chalicelib.routing import handle
from chalicelib.state.job import JobStage
from tests.unit.chalicelib.support.fakes import START, WORKER, WORKER_2, Lab, Sent
from tests.unit.chalicelib.support.rebalances import BLUE, LATER, MOVED, given_back
from tests.unit.chalicelib.support.samples import sample
from tests.unit.chalicelib.support.stories import commands, end, job, tick


def test_a_node_in_service_is_followed_by_a_rebalance_that_lets_others_settle() -> None:
    lab = Lab(rebalance=True)
    lab.settings.update("blue", {"settle": 7.0, "cooldown": 60.0})
    given_back(lab, WORKER)
    sent = lab.hosts.sent[-1]
    assert (sent.task, sent.arguments.rebalance) == (
        AgentTask.REBALANCE,
        Rebalance(settle=7.0, cooldown=60.0),
    )
    assert job(lab, AgentTask.REBALANCE).automatic
    end(lab, sent)
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.DONE


def joined_during_one() -> tuple[Lab, Sent]:
    """Have a node enter service while a rebalance runs that another one has brought about."""
    lab = Lab(workers=4, rebalance=True)
    lab.hosts.answers[AgentTask.REBALANCE] = MOVED
    given_back(lab, WORKER)
    running = lab.hosts.sent[-1]
    lab.hosts.frozen = {running.manager}
    given_back(lab, WORKER_2)
    return lab, running


def test_joins_during_a_rebalance_want_one_more_after_it_and_no_second_command() -> None:
    lab, running = joined_during_one()
    assert len(commands(lab, AgentTask.REBALANCE)) == 1
    assert job(lab, AgentTask.REBALANCE).wanted
    lab.hosts.frozen = set()
    end(lab, running)
    again = job(lab, AgentTask.REBALANCE)
    assert (again.stage, again.wanted, again.reason) == (JobStage.OPEN, False, "a node joined meanwhile")
    tick(lab)
    assert len(commands(lab, AgentTask.REBALANCE)) == 2
    tick(lab)
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.DONE


def test_what_the_agent_puts_off_is_sent_again_when_it_is_time() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[AgentTask.REBALANCE] = LATER
    given_back(lab, WORKER)
    first = lab.hosts.sent[-1]
    end(lab, first)
    waiting = job(lab, AgentTask.REBALANCE)
    assert (waiting.stage, waiting.due, waiting.attempts) == (JobStage.OPEN, lab.clock.time + 270, 0)
    assert waiting.reason == "put off for 270 s: the last one ended 30 s ago"
    given_back(lab, WORKER_2)
    assert job(lab, AgentTask.REBALANCE) == waiting, "what waits sees the later ones too"
    lab.hosts.answers[AgentTask.REBALANCE] = MOVED
    for _ in range(6):
        tick(lab)
    (_, second) = commands(lab, AgentTask.REBALANCE)
    assert second[1] >= first.at + 270
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.DONE


def test_a_paused_cluster_records_the_rebalance_and_sends_it_when_it_is_resumed() -> None:
    lab = Lab(rebalance=True)
    call("evacuate", {**BLUE, "instance": WORKER, "seconds": 10, "give_back": 1}, lab.world())
    end(lab, lab.hosts.sent[-1])
    tick(lab)
    call("pause", BLUE, lab.world())
    end(lab, lab.hosts.sent[-1])
    assert job(lab, AgentTask.REBALANCE).is_waiting
    tick(lab)
    assert commands(lab, AgentTask.REBALANCE) == []
    call("resume", BLUE, lab.world())
    assert len(commands(lab, AgentTask.REBALANCE)) == 1


def test_where_it_is_switched_off_joins_are_not_followed_by_a_rebalance() -> None:
    lab = Lab()
    given_back(lab, WORKER)
    assert lab.jobs.records == {}


def test_what_waits_when_it_is_switched_off_is_not_begun() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[AgentTask.REBALANCE] = Result(AgentTask.REBALANCE, ok=True, wait=270)
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    call("configure", BLUE | {"rebalance": False}, lab.world())
    for _ in range(6):
        tick(lab)
    assert len(commands(lab, AgentTask.REBALANCE)) == 1
    off = job(lab, AgentTask.REBALANCE)
    assert (off.stage, off.reason) == (JobStage.DONE, "not begun: automatic rebalances are switched off")


def test_one_that_runs_when_it_is_switched_off_is_not_followed_by_another() -> None:
    lab, running = joined_during_one()
    call("configure", BLUE | {"rebalance": False}, lab.world())
    lab.hosts.frozen = set()
    end(lab, running)
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.DONE


def test_a_rebalance_that_follows_a_drill_says_so() -> None:
    lab = Lab(rebalance=True)
    lab.settings.update("blue", {"drills": True})
    warning = sample("spot_interruption_warning", START, instance_id=WORKER) | {"source": "swarmkeeper.drill"}
    handle(SpotInterruptionWarning, warning, lab.world())
    end(lab, lab.hosts.sent[-1])
    while AgentTask.GIVE_BACK not in {sent.task for sent in lab.hosts.sent}:
        tick(lab)
    end(lab, lab.hosts.sent[-1])
    assert job(lab, AgentTask.REBALANCE).reason == f"{WORKER} in service after a drill"
