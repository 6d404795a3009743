"""AWS refuses to send a command to one host, or to all: the others get theirs, and people are told."""

from __future__ import annotations

import json

import pytest

from chalicelib.actions import Code, Dispatch
from chalicelib.admin.calls import call
from chalicelib.delivery.dispatcher import dispatch
from chalicelib.delivery.join_command import MAX_CALLS
from chalicelib.errors import CallError, RefusedError, UnreachableError
from chalicelib.events import Answer
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.job import JobStage
from chalicelib.state.lifecycle import MAX_ATTEMPTS, NodeState
from tests.unit.chalicelib.support.dispatching import open_work, sent_to, three_managers
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, WORKER_2, Lab, a_node, instance
from tests.unit.chalicelib.support.stories import end, job, state, tick, warn

M1, M2, M3 = MANAGERS
DENIED = "AccessDeniedException: User: role/swarmkeeper-prod is not authorized to perform: ssm:SendCommand"
PLATFORM = "UnsupportedPlatformType: the document does not support this platform"
NEW = tuple(instance(number) for number in range(100, 110))


def join(lab: Lab, *names: str) -> None:
    lab.nodes.register([a_node(instance=name, state=NodeState.JOINING, due=START) for name in names])


@pytest.mark.parametrize("words", [DENIED, PLATFORM, "SomethingNew: never heard of"])
def test_a_manager_that_is_refused_is_followed_by_the_next_at_once(words: str) -> None:
    lab = three_managers()
    open_work(lab, WORKER)
    lab.hosts.refused = {M1: words}
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert sent_to(lab) == [M2]
    assert lab.clock.time - START < 1
    assert lab.managers.get_breaker("blue", M1).failures == 1


def test_with_one_manager_refused_for_good_the_story_goes_on_with_the_others() -> None:
    lab = Lab()
    lab.hosts.refused = {M1: DENIED}
    warn(lab)
    end(lab, lab.hosts.sent[-1])
    warn(lab, WORKER_2)
    end(lab, lab.hosts.sent[-1])
    assert {state(lab), state(lab, WORKER_2)} == {NodeState.EVACUATED}
    assert lab.hosts.refusals == 1, "the one that did well is asked first"
    assert lab.messages.published == []


def test_what_is_refused_for_all_managers_holds_up_no_join() -> None:
    lab = three_managers()
    open_work(lab, WORKER)
    join(lab, WORKER_2)
    lab.hosts.refused = dict.fromkeys(MANAGERS, DENIED)
    assert dispatch("blue", Dispatch(seconds=0), lab.world()).code is Code.DONE
    assert sent_to(lab) == [WORKER_2]
    node = lab.node()
    assert (node.is_unsent, node.attempts) == (True, 1)
    assert node.reason.endswith(DENIED)
    assert node.due
    assert node.due > START


def test_inside_a_notice_managers_that_are_refused_are_asked_again_and_again() -> None:
    lab = three_managers()
    open_work(lab, WORKER)
    lab.hosts.refused = dict.fromkeys(MANAGERS, DENIED)

    def mend() -> None:
        if lab.clock.time > START + 20:
            lab.hosts.refused = {}

    lab.hosts.pause = mend
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert len(sent_to(lab)) == 1
    assert lab.node().attempts == 1


def test_people_hear_soon_that_all_are_refused_and_later_that_work_is_given_up() -> None:
    lab = Lab()
    lab.hosts.refused = dict.fromkeys(MANAGERS, DENIED)
    warn(lab)
    for _ in range(8):
        tick(lab)
    ((subject, text),) = lab.messages.published
    assert subject == f"Swarmkeeper blue: {WORKER}"
    assert f"no host of blue has taken commands for 5 min: Run Command refuses {M1}: {DENIED}" in text
    assert "allow the role that AWS names the call that it names" in text
    for _ in range(60):
        tick(lab)
    assert lab.node().is_given_up
    assert lab.node().attempts == MAX_ATTEMPTS[AgentTask.EVACUATE]
    subject, text = lab.messages.published[-1]
    assert subject == f"Swarmkeeper blue: {WORKER}"
    assert DENIED in text
    assert "evacuate was given up after 12 attempts" in text
    assert lab.hosts.sent == []
    lab.hosts.refused = {}
    call("redrive", {"cluster": "blue", "instance": WORKER}, lab.world())
    assert [sent.task for sent in lab.hosts.sent] == [AgentTask.EVACUATE]


def test_managers_that_are_only_out_of_reach_use_up_no_attempts() -> None:
    lab = Lab()
    lab.hosts.refused, lab.hosts.unreachable = {M1: DENIED}, {M2, M3}
    warn(lab)
    assert lab.node().attempts == 0
    assert lab.node().due == START


def test_one_of_ten_joining_instances_is_refused_and_nine_get_their_command() -> None:
    lab = three_managers()
    join(lab, *NEW)
    lab.hosts.refused = {NEW[4]: PLATFORM}
    assert dispatch("blue", Dispatch(seconds=0), lab.world()).code is Code.DONE
    assert sorted(sent_to(lab)) == sorted(set(NEW) - {NEW[4]})
    assert lab.hosts.refusals <= 5
    refused = lab.node(NEW[4])
    assert (refused.attempts, refused.reason) == (1, f"Run Command refuses {NEW[4]}: {PLATFORM}")


def test_the_refused_one_is_given_up_with_the_words_of_aws_and_what_to_do() -> None:
    lab = Lab()
    join(lab, NEW[0])
    lab.hosts.refused = {NEW[0]: PLATFORM}
    lab.ec2.instances[NEW[0]] = lab.ec2.instances[WORKER].__class__(
        "blue", NEW[0], lab.node().role, "10.0.0.99", lab.ec2.instances[WORKER].state, START
    )
    for _ in range(60):
        tick(lab)
    assert lab.node(NEW[0]).is_given_up
    ((_, text),) = lab.messages.published
    assert PLATFORM in text
    assert "replace the instance by one that runs Linux" in text
    assert json.dumps({"cluster": "blue", "instance": NEW[0]}) in text


@pytest.mark.parametrize("number", [1, 2, 10, 50])
def test_where_all_joining_instances_are_refused_aws_is_asked_a_few_times_only(number: int) -> None:
    lab = three_managers()
    names = [instance(100 + each) for each in range(number)]
    join(lab, *names)
    lab.hosts.refused = dict.fromkeys(names, DENIED)
    assert dispatch("blue", Dispatch(seconds=0), lab.world()).code is Code.DONE
    assert lab.hosts.refusals <= MAX_CALLS
    assert {lab.node(name).attempts for name in names} == {1}


def test_who_is_refused_among_fifty_is_found_and_all_others_are_sent_to() -> None:
    lab = three_managers()
    names = [instance(100 + each) for each in range(50)]
    join(lab, *names)
    bad = {names[3], names[20], names[49]}
    lab.hosts.refused = dict.fromkeys(bad, PLATFORM)
    assert dispatch("blue", Dispatch(seconds=0), lab.world()).code is Code.DONE
    assert sorted(sent_to(lab)) == sorted(set(names) - bad)


@pytest.mark.parametrize("refusal", [RefusedError, UnreachableError])
def test_a_handler_that_may_not_ask_whom_it_reaches_counts_an_attempt_and_goes_on(
    refusal: type[RefusedError],
) -> None:
    lab = three_managers()
    join(lab, WORKER)

    def deny(instances: tuple[str, ...]) -> frozenset[str]:
        raise refusal(f"Run Command refuses {len(instances)} instances: AccessDeniedException: no")

    lab.hosts.find_reachable = deny  # type: ignore[method-assign]
    assert dispatch("blue", Dispatch(seconds=0), lab.world()).code is Code.DONE
    assert (lab.node().attempts, lab.node().reason[-25:]) == (1, "AccessDeniedException: no"[-25:])


@pytest.mark.parametrize("refusal", [RefusedError, UnreachableError])
def test_one_instance_that_cannot_be_asked_about_stops_no_join_of_the_others(
    refusal: type[RefusedError],
) -> None:
    lab = three_managers()
    join(lab, *NEW)

    def deny(instances: tuple[str, ...]) -> frozenset[str]:
        if NEW[4] in instances:
            raise refusal("InvalidInstanceId: an instance of the list")
        return frozenset(instances)

    lab.hosts.find_reachable = deny  # type: ignore[method-assign]
    assert dispatch("blue", Dispatch(seconds=0), lab.world()).code is Code.DONE
    assert sorted(sent_to(lab)) == sorted(set(NEW) - {NEW[4]})
    assert (lab.node(NEW[4]).attempts, lab.node(NEW[4]).reason[:17]) == (1, "InvalidInstanceId")


def test_an_answer_or_a_cancellation_that_is_refused_stops_no_sending() -> None:
    lab = three_managers()
    open_work(lab, WORKER)
    lab.hosts.frozen = {M1}

    def deny(command: str, manager: str) -> None:
        raise RefusedError(f"Run Command refuses {manager} {command}: AccessDeniedException: no")

    lab.hosts.cancel = deny  # type: ignore[method-assign]
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert sent_to(lab) == [M1, M2]

    def hide(command: str, manager: str) -> Answer:
        raise RefusedError(f"Run Command refuses {manager} {command}: AccessDeniedException: no")

    lab.hosts.fetch_answer = hide  # type: ignore[method-assign]
    open_work(lab, WORKER_2)
    assert dispatch("blue", Dispatch(WORKER_2), lab.world()).code is Code.DONE
    assert len(sent_to(lab)) == 3


@pytest.mark.parametrize("moves", [0, 2])
def test_a_job_that_one_manager_is_refused_is_done_by_the_next(moves: int) -> None:
    lab = Lab()
    lab.hosts.refused = {M1: DENIED}
    payload = {"cluster": "blue"} | ({"max_moves": moves} if moves else {})
    call("rebalance", payload, lab.world())
    assert job(lab, AgentTask.REBALANCE).stage is JobStage.DONE
    assert (lab.hosts.refusals, sent_to(lab)) == (1, [M2])


def test_a_job_that_all_are_refused_fails_with_the_words_of_aws() -> None:
    lab = Lab()
    lab.hosts.refused = dict.fromkeys(MANAGERS, DENIED)
    call("rotate_tokens", {"cluster": "blue"}, lab.world())
    for _ in range(20):
        tick(lab)
    failed = job(lab, AgentTask.ROTATE_TOKENS)
    assert (failed.stage, failed.attempts) == (JobStage.FAILED, 4)
    ((_, text),) = lab.messages.published
    assert DENIED in text
    assert "allow the role that AWS names" in text
    assert lab.hosts.refusals == 4 * 3


def test_a_question_that_is_refused_is_answered_in_one_line() -> None:
    lab = Lab()
    lab.hosts.refused = dict.fromkeys(MANAGERS, DENIED)
    with pytest.raises(CallError, match=r"could not be asked: Run Command refuses .*AccessDenied"):
        call("rebalance", {"cluster": "blue", "dry_run": True}, lab.world())


UNREADABLE = DENIED.replace("SendCommand", "GetCommandInvocation")


def test_results_that_may_not_be_fetched_count_as_failures_and_are_given_up_and_told() -> None:
    lab = Lab()
    warn(lab)
    lab.hosts.unreadable = UNREADABLE
    assert end(lab, lab.hosts.sent[-1]) == [], "the tick asks again"
    for _ in range(120):
        tick(lab)
    node = lab.node()
    assert (node.state, node.is_given_up, node.attempts) == (NodeState.EVACUATING, True, 12)
    assert f"cannot be fetched: Run Command refuses {node.manager}: {UNREADABLE}" in node.reason
    told = [text for _, text in lab.messages.published if "evacuate was given up after 12 attempts" in text]
    assert len(told) == 1
    assert "allow the role that AWS names the call that it names" in told[0]


def test_a_result_that_may_be_fetched_again_concludes_the_work() -> None:
    lab = Lab()
    warn(lab)
    lab.hosts.unreadable = UNREADABLE
    end(lab, lab.hosts.sent[-1])
    tick(lab)
    lab.hosts.unreadable = ""
    for _ in range(3):
        tick(lab)
    assert state(lab) is NodeState.EVACUATED
