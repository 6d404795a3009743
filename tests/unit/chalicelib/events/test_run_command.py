"""The end of a command: whose it is, its result, and whom a failure blames."""

from __future__ import annotations

import pytest

from chalicelib.events import (
    Answer,
    CommandFinished,
    finish_command,
    parse_comment,
)
from chalicelib.protocol.codec import encode_result
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from tests.unit.chalicelib.events.support.kinds import COMMAND, ENDED, INSTANCE, TIME


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("evacuate blue", (AgentTask.EVACUATE, "blue")),
        ("leave eu-1.green_2", (AgentTask.LEAVE, "eu-1.green_2")),
        ("evacuate", None),
        ("evacuate blue and more", None),
        ("patch blue", None),
        ("", None),
    ],
)
def test_a_comment_tells_task_and_cluster_of_our_commands_only(
    comment: str, expected: tuple[AgentTask, str] | None
) -> None:
    assert parse_comment(comment) == expected


def test_an_answer_with_a_result_is_a_finished_command_with_it() -> None:
    result = Result(AgentTask.LEAVE, ok=True, nodes=(NodeReport(INSTANCE, "abc", Fate.REMOVED),))
    event = finish_command(
        ENDED, AgentTask.LEAVE, Answer("Success", "leave blue", f"noise\n{encode_result(result)}\n")
    )
    assert event == CommandFinished(TIME, COMMAND, INSTANCE, AgentTask.LEAVE, "Success", result)
    assert not event.host_failed


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer("Failed", "", "", "a\nswarmkeeper: wrong hash\n"), "Failed: swarmkeeper: wrong hash"),
        (
            Answer("Failed", "", "", "agent: no engine\n/usr/bin/wrap: DeprecationWarning: old\n", 69),
            "Failed: agent: no engine",
        ),
        (Answer("TimedOut"), "TimedOut: the agent printed nothing"),
        (
            Answer("ExecutionTimedOut", "", "", "pause node a\nupdate service web\n"),
            "ExecutionTimedOut: it was ended from outside; the last that it wrote: update service web",
        ),
        (
            Answer("Failed", "", "", "agent: the engine does not answer\n" + "update service web\n" * 900),
            "Failed: agent: the engine does not answer",
        ),
        (
            Answer("Failed", "", "", ("update service web\n" * 900)[:8000]),
            "Failed: it ended without a word; Run Command kept the beginning of its log, up to: update serv",
        ),
        (Answer("Success", "", "hello"), "Success: result must be JSON: "),
        (
            Answer("Success", "", encode_result(Result(AgentTask.EVACUATE, ok=True))),
            "Success: the agent answered for",
        ),
    ],
)
def test_an_answer_without_a_result_says_why_and_blames_the_host(answer: Answer, failure: str) -> None:
    event = finish_command(ENDED, AgentTask.LEAVE, answer)
    assert event.result is None
    assert event.failure.startswith(failure)
    assert event.host_failed


def test_a_cancelled_command_blames_nobody_and_a_failed_task_its_host() -> None:
    assert not finish_command(ENDED, AgentTask.LEAVE, Answer("Cancelled")).host_failed
    output = encode_result(Result(AgentTask.LEAVE, ok=False, error="this host is no manager"))
    assert finish_command(ENDED, AgentTask.LEAVE, Answer("Failed", "", output)).host_failed


@pytest.mark.parametrize(
    ("code", "unfetched"), [(65, True), (66, True), (69, False), (73, False), (1, False)]
)
def test_an_exit_status_of_65_or_66_means_that_the_agent_could_not_be_fetched(
    code: int, *, unfetched: bool
) -> None:
    event = finish_command(ENDED, AgentTask.LEAVE, Answer("Failed", "", "", "swarmkeeper: no\n", code))
    assert (event.unfetched, event.host_failed) == (unfetched, not unfetched)
