"""Jobs as whole stories: ordered, sent, answered, repeated where that is safe, or given up."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from chalicelib.admin.calls import call
from chalicelib.errors import CallError
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.state.instance import Role
from chalicelib.state.job import JobStage
from tests.unit.chalicelib.support.fakes import MANAGERS, WORKER, Lab
from tests.unit.chalicelib.support.stories import commands, end, job, tick

M1, M2, M3 = MANAGERS
BLUE = {"cluster": "blue"}
FIRST = {"cluster": "blue", "instance": M1}


def test_an_order_is_sent_and_its_end_is_answered() -> None:
    lab = Lab()
    answer = call("init", {**BLUE, "instance": M2}, lab.world())
    (sent,) = lab.hosts.sent
    assert (sent.manager, sent.task, sent.arguments.deadline) == (M2, AgentTask.INIT, 0)
    assert sent.arguments.labels == {"swarmkeeper.cluster": "blue", "swarmkeeper.role": "manager"}
    assert answer["done"] == [f"init of {M2} is ordered", f"init: Success: {M2} joined"]
    shown = answer["errand"]
    assert (shown["state"], shown["command"], shown["reason"]) == ("done", "command-1", f"{M2} joined")
    assert json.dumps(answer)


def test_the_end_of_what_nobody_waited_for_is_heard_of_once() -> None:
    lab = Lab()
    lab.hosts.takes = 80
    assert call("rotate_tokens", BLUE, lab.world())["errand"]["state"] == "open"
    assert end(lab, lab.hosts.sent[0]) == ["rotate-tokens: Success: done"]
    done = job(lab, AgentTask.ROTATE_TOKENS)
    assert (done.stage, done.due) == (JobStage.DONE, None)
    assert end(lab, lab.hosts.sent[0]) == ["rotate-tokens: Success: done (nothing waits for it)"]
    tick(lab)
    assert job(lab, AgentTask.ROTATE_TOKENS) == done
    assert len(lab.hosts.sent) == 1


def test_the_tick_asks_for_a_command_without_an_event() -> None:
    lab = Lab()
    lab.hosts.takes = 80
    call("rotate_tokens", BLUE, lab.world())
    tick(lab)
    assert job(lab, AgentTask.ROTATE_TOKENS).stage is JobStage.DONE
    (shown,) = call("status", BLUE, lab.world())["clusters"]["blue"]["errands"]
    assert (shown["task"], shown["state"], shown["reason"]) == ("rotate-tokens", "done", "done")


def test_what_a_host_refuses_is_an_error_and_not_tried_again() -> None:
    lab = Lab()
    lab.hosts.answers[AgentTask.INIT] = Result(AgentTask.INIT, ok=False, error="blue has join tokens")
    with pytest.raises(CallError, match=f"init failed on {M1}: blue has join tokens"):
        call("init", FIRST, lab.world())
    for _ in range(10):
        tick(lab)
    assert len(commands(lab, AgentTask.INIT)) == 1
    assert lab.messages.published == [], "who ordered it has read it"


def test_a_failure_when_nobody_waits_any_more_notifies_people() -> None:
    lab = Lab()
    lab.hosts.takes = 80
    lab.hosts.answers[AgentTask.INIT] = Result(AgentTask.INIT, ok=False, error="blue has join tokens")
    call("init", FIRST, lab.world())
    end(lab, lab.hosts.sent[0])
    ((_, text),) = lab.messages.published
    assert f"init of {M1} failed: blue has join tokens" in text
    assert json.dumps(FIRST) in text
    assert "chalice invoke -n init" in text


def test_without_an_answer_another_manager_is_sent_and_at_last_people_notified() -> None:
    lab = Lab()
    lab.hosts.broken = set(MANAGERS)
    call("rotate_tokens", BLUE, lab.world())
    for _ in range(10):
        tick(lab)
    sent = commands(lab, AgentTask.ROTATE_TOKENS)
    assert len(sent) == 4
    assert all(before[0] != after[0] for before, after in pairwise(sent))
    assert job(lab, AgentTask.ROTATE_TOKENS).stage is JobStage.FAILED
    ((_, text),) = lab.messages.published
    assert "rotate-tokens failed: Failed: swarmkeeper: the engine does not answer" in text


def test_a_host_that_is_not_reached_is_sent_to_again_by_the_tick() -> None:
    lab = Lab()
    lab.hosts.unreachable = {M1}
    answer = call("init", FIRST, lab.world())
    assert answer["errand"]["reason"] == f"not sent: Run Command cannot reach {M1}"
    lab.hosts.unreachable = set()
    tick(lab)
    tick(lab)
    assert job(lab, AgentTask.INIT).stage is JobStage.DONE
    assert [manager for manager, _ in commands(lab, AgentTask.INIT)] == [M1]


@pytest.mark.parametrize("state", ["unreachable", "broken"])
def test_a_recovery_is_never_repeated(state: str) -> None:
    lab = Lab()
    getattr(lab.hosts, state).add(M1)
    with_confirm = FIRST | {"confirm": "blue"}
    if state == "broken":
        with pytest.raises(CallError, match="the engine does not answer"):
            call("recover", with_confirm, lab.world())
    else:
        call("recover", with_confirm, lab.world())
    getattr(lab.hosts, state).clear()
    for _ in range(20):
        tick(lab)
    assert len(commands(lab, AgentTask.RECOVER)) == (state == "broken")
    assert job(lab, AgentTask.RECOVER).stage is JobStage.FAILED
    assert len(lab.messages.published) == (state == "unreachable")


def test_two_inits_at_once_make_one_swarm() -> None:
    lab = Lab()
    lab.hosts.takes = 80
    world, move = lab.world(), lab.jobs.replace

    def late(*order: Any) -> bool:
        """Between what this call has read and its write, another person's call gets through."""
        lab.jobs.replace = move  # type: ignore[method-assign]
        call("init", {**BLUE, "instance": M2}, lab.world())
        return move(*order)

    lab.jobs.replace = late  # type: ignore[method-assign, assignment]
    with pytest.raises(
        CallError, match=rf"^init of {M2} is under way, .*command-1 on {M2}: status shows how"
    ):
        call("init", FIRST, world)
    assert commands(lab, AgentTask.INIT) == [(M2, lab.hosts.sent[0].at)]


def test_an_init_on_another_host_is_refused_while_one_is_open_or_has_succeeded() -> None:
    lab = Lab()
    lab.hosts.takes = 120
    call("init", FIRST, lab.world())
    assert call("init", FIRST, lab.world())["done"][0].startswith(f"init of {M1} is ordered already")
    for dry_run in (True, False):
        with pytest.raises(CallError, match=f"init of {M1} is under way"):
            call("init", {**BLUE, "instance": M2, "dry_run": dry_run}, lab.world())
    tick(lab)
    assert job(lab, AgentTask.INIT).stage is JobStage.DONE
    with pytest.raises(CallError, match=f"blue has its swarm since init on {M1}: {M2} joins that one"):
        call("init", {**BLUE, "instance": M2}, lab.world())
    lab.hosts.takes = 5
    assert call("init", FIRST, lab.world())["errand"]["state"] == "done", "it is idempotent"
    assert [manager for manager, _ in commands(lab, AgentTask.INIT)] == [M1, M1]


def test_an_init_on_another_host_is_done_after_the_first_failed() -> None:
    lab = Lab()
    lab.hosts.answers[AgentTask.INIT] = Result(AgentTask.INIT, ok=False, error="the store does not answer")
    with pytest.raises(CallError):
        call("init", FIRST, lab.world())
    del lab.hosts.answers[AgentTask.INIT]
    assert call("init", {**BLUE, "instance": M2}, lab.world())["errand"]["state"] == "done"


@pytest.mark.parametrize(
    ("which", "instance", "role"), [("promote", WORKER, "worker"), ("demote", M1, "manager")]
)
def test_a_node_is_promoted_or_demoted_by_another_manager_and_its_tag_is_warned_of(
    which: str, instance: str, role: str
) -> None:
    lab = Lab()
    answer = call(which, {**BLUE, "instance": instance}, lab.world())
    (sent,) = lab.hosts.sent
    assert sent.manager in set(MANAGERS) - {instance}
    assert [target.instance for target in sent.arguments.targets] == [instance]
    assert answer["errand"]["state"] == "done"
    assert answer["warning"].startswith(f"{instance} is tagged swarmkeeper:role={role}: it is that again")
    assert lab.node(instance).role is Role(role), "the record follows the tag"


def test_a_manager_is_not_demoted_by_itself_and_what_the_quorum_forbids_is_an_error() -> None:
    lab = Lab()
    kept = NodeReport(M1, "n1", Fate.KEPT, "2 of 3 managers answer")
    lab.hosts.answers[AgentTask.DEMOTE] = Result(AgentTask.DEMOTE, ok=False, nodes=(kept,))
    with pytest.raises(CallError, match=f"demote failed on {M2}: {M1} kept: 2 of 3 managers answer"):
        call("demote", FIRST, lab.world())
    lab.managers.record("blue", [M1])
    with pytest.raises(CallError, match=f"blue has no other manager that could demote {M1}"):
        call("demote", FIRST, lab.world())


def test_a_job_that_the_tick_sent_and_that_fails_notifies_people_however_soon() -> None:
    lab = Lab()
    lab.hosts.unreachable = {M1}
    lab.hosts.answers[AgentTask.INIT] = Result(AgentTask.INIT, ok=False, error="blue has join tokens")
    assert call("init", FIRST, lab.world())["errand"]["state"] == "open"
    lab.hosts.unreachable = set()
    lab.clock.sleep(20)
    call("resume", BLUE, lab.world())
    end(lab, lab.hosts.sent[0])
    assert lab.clock.time - job(lab, AgentTask.INIT).since < 45
    ((_, text),) = lab.messages.published
    assert "blue has join tokens" in text


def test_what_came_to_nothing_is_driven_again_as_it_was_ordered_but_never_a_recovery() -> None:
    lab = Lab()
    lab.hosts.broken = set(MANAGERS)
    for which, order in (("rotate_tokens", BLUE), ("recover", FIRST | {"confirm": "blue"})):
        with suppress(CallError):  # a recovery's failure is the caller's answer, the other's comes later
            call(which, order, lab.world())
    for _ in range(60):
        tick(lab)
    assert {one.stage for one in lab.jobs.list_all("blue")} == {JobStage.FAILED}
    lab.hosts.broken = set()
    assert call("redrive", BLUE, lab.world())["done"] == ["1 to do again: rotate-tokens"]
    end(lab, lab.hosts.sent[-1])
    assert job(lab, AgentTask.ROTATE_TOKENS).stage is JobStage.DONE
    assert job(lab, AgentTask.RECOVER).stage is JobStage.FAILED
    assert not [one.key for one in lab.incidents.list_all("blue") if "rotate" in one.key]
