"""Rebalances as whole stories: by hand, after joins, one at a time, put off, told when they fail."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from chalicelib.calls import call
from chalicelib.cluster import InstanceState
from chalicelib.errand import Stage
from chalicelib.errors import CallError
from chalicelib.events import SpotInterruptionWarning
from chalicelib.pipeline import handle
from chalicelib.protocol import Balance, Rebalance, Result, SpreadReport, Task
from chalicelib.states import NodeState
from tests.unit.chalicelib.fakes import MANAGERS, START, WORKER, WORKER_2, Lab
from tests.unit.chalicelib.samples import sample
from tests.unit.chalicelib.stories import commands, end, errand, state, tick

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
MOVED = Result(Task.REBALANCE, ok=True, spreads=(SPREAD,))
FAILED = Result(
    Task.REBALANCE, ok=False, spreads=(SpreadReport("web", Balance.FAILED, reason="its tasks do not start"),)
)
LATER = Result(Task.REBALANCE, ok=True, facts={"reason": "the last one ended 30 s ago"}, wait=270)


def given_back(lab: Lab, name: str) -> None:
    """A node that was out for a while enters service again, by events alone."""
    call("evacuate", {**BLUE, "instance": name, "seconds": 10, "give_back": 1}, lab.world())
    end(lab, lab.hosts.sent[-1])
    tick(lab)
    assert state(lab, name) is NodeState.RETURNING
    end(lab, next(sent for sent in reversed(lab.hosts.sent) if sent.task is Task.GIVE_BACK))
    assert state(lab, name) is NodeState.IN_SERVICE


def test_a_rebalance_by_hand_answers_before_plan_and_after() -> None:
    lab = Lab()
    lab.hosts.answers[Task.REBALANCE] = MOVED
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
    lab.hosts.answers[Task.REBALANCE] = MOVED
    answer = call("rebalance", BLUE | {"dry_run": True}, lab.world())
    assert lab.hosts.sent[0].arguments.rebalance == Rebalance(dry_run=True)
    assert (answer["dry_run"], answer["services"][0]["service"]) == (True, "web")
    assert lab.store.known_errands == {}
    assert end(lab, lab.hosts.sent[0])[0].endswith("(nothing waits for it)")
    lab.hosts.answers[Task.REBALANCE] = Result(Task.REBALANCE, ok=False, error="nothing was changed: why")
    with pytest.raises(CallError, match=r"says: nothing was changed: why$"):
        call("rebalance", BLUE | {"dry_run": True}, lab.world())
    lab.hosts.broken = set(MANAGERS)
    with pytest.raises(CallError, match="the engine does not answer; nothing was changed"):
        call("rebalance", BLUE | {"dry_run": True}, lab.world())


def test_a_rebalance_that_stops_says_what_is_done_and_what_is_not() -> None:
    lab = Lab()
    failed = SpreadReport("api", Balance.FAILED, reason="its tasks do not start")
    left = SpreadReport("db", Balance.LEFT, reason="api failed")
    lab.hosts.answers[Task.REBALANCE] = Result(Task.REBALANCE, ok=False, spreads=(SPREAD, failed, left))
    said = r"moved: web \(5/4/0 is 3/3/3\); failed: api \(its tasks do not start\); left: db \(api failed\)"
    with pytest.raises(CallError, match=said):
        call("rebalance", BLUE, lab.world())
    (shown,) = call("status", BLUE, lab.world())["clusters"]["blue"]["errands"]
    assert [row["service"] for row in shown["result"]["services"]] == ["web", "api", "db"]


def test_an_order_that_fails_says_why_also_where_another_rebalance_follows_it() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[Task.REBALANCE] = Result(Task.REBALANCE, ok=True, wait=270)
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    lab.hosts.answers[Task.REBALANCE] = Result(Task.REBALANCE, ok=False, error="no service is called nope")
    with pytest.raises(CallError, match=f"failed on {MANAGERS[0]}: no service is called nope$"):
        call("rebalance", BLUE | {"services": ["nope"]}, lab.world())
    assert errand(lab, Task.REBALANCE).automatic


def test_a_rebalance_that_still_runs_is_followed_in_status() -> None:
    lab = Lab()
    lab.hosts.answers[Task.REBALANCE] = MOVED
    lab.hosts.takes = 200
    answer = call("rebalance", BLUE, lab.world())
    assert (answer["errand"]["state"], answer["errand"]["command"]) == ("open", "command-1")
    assert "table" not in answer
    with pytest.raises(CallError, match="rebalance is under way, ordered 50 s ago, command-1 on"):
        call("rebalance", BLUE | {"max_moves": 1}, lab.world())
    for _ in range(3):
        tick(lab)
    assert errand(lab, Task.REBALANCE).stage is Stage.DONE
    assert len(lab.hosts.sent) == 1


def test_a_node_that_enters_service_is_followed_by_a_rebalance_that_lets_others_settle() -> None:
    lab = Lab(rebalance=True)
    lab.store.set_conduct("blue", {"settle": 7.0, "cooldown": 60.0})
    given_back(lab, WORKER)
    sent = lab.hosts.sent[-1]
    assert (sent.task, sent.arguments.rebalance) == (Task.REBALANCE, Rebalance(settle=7.0, cooldown=60.0))
    assert errand(lab, Task.REBALANCE).automatic
    end(lab, sent)
    assert errand(lab, Task.REBALANCE).stage is Stage.DONE


def test_joins_during_a_rebalance_want_one_more_after_it_and_no_second_command() -> None:
    lab = Lab(workers=4, rebalance=True)
    lab.hosts.answers[Task.REBALANCE] = MOVED
    given_back(lab, WORKER)
    running = lab.hosts.sent[-1]
    lab.hosts.frozen = {running.manager}
    given_back(lab, WORKER_2)
    assert len(commands(lab, Task.REBALANCE)) == 1
    assert errand(lab, Task.REBALANCE).wanted
    lab.hosts.frozen = set()
    end(lab, running)
    again = errand(lab, Task.REBALANCE)
    assert (again.stage, again.wanted, again.reason) == (Stage.OPEN, False, "a node joined meanwhile")
    tick(lab)
    assert len(commands(lab, Task.REBALANCE)) == 2
    tick(lab)
    assert errand(lab, Task.REBALANCE).stage is Stage.DONE


def test_what_the_agent_puts_off_is_sent_again_when_it_is_time() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[Task.REBALANCE] = LATER
    given_back(lab, WORKER)
    first = lab.hosts.sent[-1]
    end(lab, first)
    waiting = errand(lab, Task.REBALANCE)
    assert (waiting.stage, waiting.due, waiting.attempts) == (Stage.OPEN, lab.clock.time + 270, 0)
    assert waiting.reason == "put off for 270 s: the last one ended 30 s ago"
    given_back(lab, WORKER_2)
    assert errand(lab, Task.REBALANCE) == waiting, "what waits sees the later ones too"
    lab.hosts.answers[Task.REBALANCE] = MOVED
    for _ in range(6):
        tick(lab)
    (_, second) = commands(lab, Task.REBALANCE)
    assert second[1] >= first.at + 270
    assert errand(lab, Task.REBALANCE).stage is Stage.DONE


def test_a_person_need_not_wait_for_what_cools_down() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[Task.REBALANCE] = LATER
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    lab.hosts.answers[Task.REBALANCE] = MOVED
    answer = call("rebalance", BLUE | {"services": ["web"]}, lab.world())
    assert answer["services"][0]["balance"] == "moved"
    assert "errand" not in answer
    assert answer["next"]["automatic"], "the other services still want theirs"
    assert answer["next"]["state"] == "open"


def test_a_failed_automatic_rebalance_is_told_once_and_waits_for_the_next_join() -> None:
    lab = Lab(workers=4, rebalance=True)
    lab.hosts.answers[Task.REBALANCE] = FAILED
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    for _ in range(10):
        tick(lab)
    assert len(commands(lab, Task.REBALANCE)) == 1
    ((_, text),) = lab.messages.told
    assert "rebalance failed: web failed: its tasks do not start" in text
    given_back(lab, WORKER_2)
    assert len(commands(lab, Task.REBALANCE)) == 2


RAISED = Result(
    Task.REBALANCE,
    ok=False,
    spreads=(SpreadReport("web", Balance.FAILED, reason="its own update is paused"),),
    wait=300,
)


def test_a_surge_that_had_to_be_left_is_ended_later_and_told_after_an_hour_in_vain() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[Task.REBALANCE] = RAISED
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    assert errand(lab, Task.REBALANCE).open
    for _ in range(30):
        tick(lab)
    assert lab.messages.told == []
    for _ in range(60):
        tick(lab)
    assert errand(lab, Task.REBALANCE).stage is Stage.FAILED
    ((_, text),) = lab.messages.told
    assert "web failed: its own update is paused" in text


def test_a_person_hears_at_once_of_a_surge_that_had_to_be_left() -> None:
    lab = Lab()
    lab.hosts.answers[Task.REBALANCE] = RAISED
    with pytest.raises(CallError, match="its own update is paused"):
        call("rebalance", BLUE, lab.world())
    assert errand(lab, Task.REBALANCE).open, "it is still to be ended"


def test_a_paused_cluster_records_the_rebalance_and_sends_it_when_it_is_resumed() -> None:
    lab = Lab(rebalance=True)
    call("evacuate", {**BLUE, "instance": WORKER, "seconds": 10, "give_back": 1}, lab.world())
    end(lab, lab.hosts.sent[-1])
    tick(lab)
    call("pause", BLUE, lab.world())
    end(lab, lab.hosts.sent[-1])
    assert errand(lab, Task.REBALANCE).waiting
    tick(lab)
    assert commands(lab, Task.REBALANCE) == []
    call("resume", BLUE, lab.world())
    assert len(commands(lab, Task.REBALANCE)) == 1


def test_a_failure_in_a_paused_cluster_is_told_once_it_is_resumed() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[Task.REBALANCE] = FAILED
    given_back(lab, WORKER)
    call("pause", BLUE, lab.world())
    end(lab, lab.hosts.sent[-1])
    assert lab.messages.told == []
    (known,) = lab.store.incidents("blue")
    assert not known.told
    lab.clock.time += 60
    call("resume", BLUE, lab.world())
    assert len(lab.messages.told) == 1
    assert len(commands(lab, Task.REBALANCE)) == 1
    assert errand(lab, Task.REBALANCE).stage is Stage.FAILED


def test_where_it_is_switched_off_joins_are_not_followed_by_a_rebalance() -> None:
    lab = Lab()
    given_back(lab, WORKER)
    assert lab.store.known_errands == {}


def test_a_rebalance_that_has_nothing_to_move_says_so() -> None:
    lab = Lab()
    lab.hosts.answers[Task.REBALANCE] = Result(Task.REBALANCE, ok=True, facts={"balanced": 60})
    answer = call("rebalance", BLUE, lab.world())
    assert answer["errand"]["reason"] == "nothing to move, 60 services are balanced already"


def test_an_automatic_rebalance_that_meets_an_election_is_sent_again() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[Task.REBALANCE] = Result(Task.REBALANCE, ok=False, error="the swarm has no leader")
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    assert errand(lab, Task.REBALANCE).reason == "it is sent again: the swarm has no leader"
    lab.hosts.answers[Task.REBALANCE] = MOVED
    for _ in range(2):
        tick(lab)
    assert errand(lab, Task.REBALANCE).stage is Stage.DONE
    assert lab.messages.told == []


def test_what_is_put_off_again_and_again_is_sent_ever_more_rarely_and_told_after_a_day() -> None:
    lab = Lab(rebalance=True)
    busy = Result(Task.REBALANCE, ok=True, facts={"reason": "web is updated without end"}, wait=60)
    lab.hosts.answers[Task.REBALANCE] = busy
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    for _ in range(26 * 60):
        tick(lab)
    last = errand(lab, Task.REBALANCE)
    assert (last.stage, last.reason[:16]) == (Stage.FAILED, "put off for 24 h")
    assert len(commands(lab, Task.REBALANCE)) < 120
    ((_, text),) = lab.messages.told
    assert "web is updated without end" in text


def test_a_rebalance_whose_manager_ends_goes_on_at_another_one() -> None:
    lab = Lab(rebalance=True)
    given_back(lab, WORKER)
    first = lab.hosts.sent[-1]
    lab.hosts.frozen = {first.manager}
    lab.fleet.turn(first.manager, InstanceState.TERMINATED)
    for _ in range(4):
        tick(lab)
    assert errand(lab, Task.REBALANCE).stage is Stage.DONE
    assert [manager == first.manager for manager, _ in commands(lab, Task.REBALANCE)] == [True, False]


def test_what_waits_when_it_is_switched_off_is_not_begun() -> None:
    lab = Lab(rebalance=True)
    lab.hosts.answers[Task.REBALANCE] = Result(Task.REBALANCE, ok=True, wait=270)
    given_back(lab, WORKER)
    end(lab, lab.hosts.sent[-1])
    call("configure", BLUE | {"rebalance": False}, lab.world())
    for _ in range(6):
        tick(lab)
    assert len(commands(lab, Task.REBALANCE)) == 1
    off = errand(lab, Task.REBALANCE)
    assert (off.stage, off.reason) == (Stage.DONE, "not begun: automatic rebalances are switched off")


def test_one_that_runs_when_it_is_switched_off_is_not_followed_by_another() -> None:
    lab = Lab(workers=4, rebalance=True)
    lab.hosts.answers[Task.REBALANCE] = MOVED
    given_back(lab, WORKER)
    running = lab.hosts.sent[-1]
    lab.hosts.frozen = {running.manager}
    given_back(lab, WORKER_2)
    call("configure", BLUE | {"rebalance": False}, lab.world())
    lab.hosts.frozen = set()
    end(lab, running)
    assert errand(lab, Task.REBALANCE).stage is Stage.DONE


def test_the_message_of_a_failed_rebalance_orders_the_same_again() -> None:
    lab = Lab()
    lab.hosts.takes, lab.hosts.answers[Task.REBALANCE] = 80, FAILED
    call("rebalance", BLUE | {"services": ["web"], "mode": "rolling", "max_moves": 2}, lab.world())
    end(lab, lab.hosts.sent[0])
    ((_, text),) = lab.messages.told
    assert json.dumps(BLUE | {"services": ["web"], "mode": "rolling", "max_moves": 2}) in text


def test_an_order_with_a_bound_is_not_repeated_once_tasks_were_moved() -> None:
    """Nobody knows how many were moved before: a second run would be allowed as many again."""
    lab = Lab()
    lab.hosts.answers[Task.REBALANCE] = replace(MOVED, wait=60)
    answer = call("rebalance", BLUE | {"max_moves": 2}, lab.world())
    assert (answer["errand"]["state"], answer["errand"]["reason"]) == ("done", "web moved: 5/4/0 is 3/3/3")
    for _ in range(10):
        tick(lab)
    assert len(commands(lab, Task.REBALANCE)) == 1
    call("rebalance", BLUE, lab.world())
    for _ in range(2):
        tick(lab)
    assert len(commands(lab, Task.REBALANCE)) == 3, "one without a bound goes on"


def test_an_order_with_a_bound_that_is_not_answered_is_told_and_not_repeated() -> None:
    lab = Lab()
    lab.hosts.frozen = set(MANAGERS)
    call("rebalance", BLUE | {"max_moves": 2}, lab.world())
    lab.hosts.frozen, lab.hosts.broken = set(), set(MANAGERS)
    end(lab, lab.hosts.sent[0])
    for _ in range(10):
        tick(lab)
    assert len(commands(lab, Task.REBALANCE)) == 1
    assert errand(lab, Task.REBALANCE).stage is Stage.FAILED
    assert len(lab.messages.told) == 1


@pytest.mark.parametrize(("wait", "minutes"), [(60, 3), (400, 9)])
def test_an_order_with_a_bound_waits_for_its_turn(wait: float, minutes: int) -> None:
    lab = Lab()
    lab.hosts.answers[Task.REBALANCE] = replace(LATER, wait=wait)
    call("rebalance", BLUE | {"max_moves": 2}, lab.world())
    lab.hosts.answers[Task.REBALANCE] = MOVED
    for _ in range(minutes):
        tick(lab)
    assert len(commands(lab, Task.REBALANCE)) == 2
    assert errand(lab, Task.REBALANCE).stage is Stage.DONE


def test_a_rebalance_that_died_half_way_is_finished_also_after_it_is_switched_off() -> None:
    lab = Lab(rebalance=True)
    given_back(lab, WORKER)
    lab.hosts.broken = set(MANAGERS)
    end(lab, lab.hosts.sent[-1])
    call("configure", BLUE | {"rebalance": False}, lab.world())
    lab.hosts.broken = set()
    lab.hosts.answers[Task.REBALANCE] = MOVED
    for _ in range(3):
        tick(lab)
    assert len(commands(lab, Task.REBALANCE)) == 2
    assert errand(lab, Task.REBALANCE).reason == "web moved: 5/4/0 is 3/3/3"


def test_a_rebalance_that_follows_a_drill_says_so() -> None:
    lab = Lab(rebalance=True)
    lab.store.set_conduct("blue", {"drills": True})
    warning = sample("spot_interruption_warning", START, instance_id=WORKER) | {"source": "swarmkeeper.drill"}
    handle(SpotInterruptionWarning, warning, lab.world())
    end(lab, lab.hosts.sent[-1])
    while Task.GIVE_BACK not in {sent.task for sent in lab.hosts.sent}:
        tick(lab)
    end(lab, lab.hosts.sent[-1])
    assert errand(lab, Task.REBALANCE).reason == f"{WORKER} in service after a drill"


def test_a_manager_whose_engine_is_sick_is_not_the_one_that_is_asked_again() -> None:
    lab = Lab(workers=4, rebalance=True)
    hung = Result(Task.REBALANCE, ok=False, error="the engine did not say what it is within 5 s")
    lab.hosts.answers[Task.REBALANCE] = hung
    given_back(lab, WORKER)
    first = lab.hosts.sent[-1]
    end(lab, first)
    lab.hosts.answers[Task.REBALANCE] = MOVED
    tick(lab)
    tick(lab)
    assert errand(lab, Task.REBALANCE).stage is Stage.DONE, "nobody was asked to order it again"
    lab.hosts.answers[Task.REBALANCE] = hung
    for _ in range(2):
        with pytest.raises(CallError, match="the engine did not say what it is within 5 s"):
            call("rebalance", BLUE, lab.world())
    (_, second), (third, fourth) = (
        [to for to, _ in commands(lab, Task.REBALANCE)][i : i + 2] for i in (0, 2)
    )
    assert first.manager != second
    assert third != fourth
