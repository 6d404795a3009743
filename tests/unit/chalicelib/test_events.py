"""Events are parsed from the genuine payloads; anything else is one clear error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.cluster import InstanceState
from chalicelib.errors import MalformedError
from chalicelib.events import (
    Answer,
    CommandFinished,
    Ending,
    InstanceStateChanged,
    InvocationEnded,
    SpotInterruptionWarning,
    Tick,
    finished,
    task_and_cluster,
)
from chalicelib.protocol import Fate, NodeReport, Result, Task, encode_result
from tests.unit.chalicelib.samples import sample

TIME = 1795168800.0  # 2026-11-20T10:00:00Z
INSTANCE = "i-0123456789abcdef0"
COMMAND = "e8d3c0e4-71f7-4491-898f-c9b35bee5f3b"
ENDED = InvocationEnded(TIME, COMMAND, INSTANCE)
KINDS = [SpotInterruptionWarning, InstanceStateChanged, InvocationEnded]


def test_the_genuine_warning_is_parsed() -> None:
    expected = SpotInterruptionWarning(TIME, INSTANCE, Ending.TERMINATE)
    assert SpotInterruptionWarning.parse(sample("spot_interruption_warning")) == expected


@pytest.mark.parametrize("name", ["instance_running", "instance_terminated"])
def test_the_genuine_state_changes_are_parsed(name: str) -> None:
    expected = InstanceStateChanged(TIME, INSTANCE, InstanceState(name.removeprefix("instance_")))
    assert InstanceStateChanged.parse(sample(name)) == expected


@pytest.mark.parametrize("name", ["ssm_invocation_success", "ssm_invocation_failed"])
def test_the_genuine_ends_of_commands_are_parsed(name: str) -> None:
    assert InvocationEnded.parse(sample(name)) == ENDED


@pytest.mark.parametrize("payload", [None, {}, {"source": "aws.events"}])
def test_a_tick_needs_nothing(payload: object) -> None:
    assert Tick.parse(payload) == Tick()


def test_the_instance_comes_from_the_detail_whatever_the_resources_name() -> None:
    payload = sample("spot_interruption_warning") | {
        "resources": ["arn:aws:ec2:x:y:instance/i-0fffffffffffffff0"]
    }
    assert SpotInterruptionWarning.parse(payload).instance == INSTANCE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("instance-id", "i-xyz"),
        ("instance-id", None),
        ("instance-id", ["i-0123456789abcdef0"]),
        ("instance-id", "i-0123456789abcdef0\n"),
        ("instance-action", "explode"),
        ("instance-action", None),
        ("instance-action", {}),
    ],
)
def test_a_warning_with_a_wrong_detail_names_the_field(field: str, value: object) -> None:
    payload = sample("spot_interruption_warning")
    payload["detail"][field] = value
    with pytest.raises(
        MalformedError, match=rf"^detail\.{field} must be .*, not .*: nothing was changed"
    ) as caught:
        SpotInterruptionWarning.parse(payload)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "aws.s3"),
        ("detail-type", "EC2 Instance Rebalance Recommendation"),
        ("detail", "text"),
        ("detail", None),
        ("time", None),
        ("time", 5),
        ("time", "yesterday"),
        ("time", "2026-11-20T10:00:00"),
    ],
)
def test_a_wrong_envelope_names_the_field(field: str, value: object) -> None:
    with pytest.raises(MalformedError, match=rf"^{field} must be "):
        SpotInterruptionWarning.parse(sample("spot_interruption_warning") | {field: value})


def test_an_unknown_state_and_a_wrong_command_are_refused() -> None:
    with pytest.raises(MalformedError, match=r"^detail\.state must be one of pending, running"):
        InstanceStateChanged.parse(sample("instance_terminated", state="melted"))
    with pytest.raises(MalformedError, match=r"^detail\.command-id must be the id of a command"):
        InvocationEnded.parse(sample("ssm_invocation_success", command_id="../x"))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(payload=anything, kind=st.sampled_from(KINDS))
def test_any_other_json_is_malformed_and_nothing_worse(payload: object, kind: Any) -> None:
    with pytest.raises(MalformedError):
        kind.parse(payload)


@given(field=st.sampled_from(["time", "detail", "source"]), value=anything, kind=st.sampled_from(KINDS))
def test_one_field_of_any_shape_is_malformed_and_nothing_worse(field: str, value: object, kind: Any) -> None:
    samples = ["spot_interruption_warning", "instance_terminated", "ssm_invocation_failed"]
    with pytest.raises(MalformedError, match=rf"^({field}|detail\.)"):
        kind.parse(sample(samples[KINDS.index(kind)]) | {field: value})


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("evacuate blue", (Task.EVACUATE, "blue")),
        ("leave eu-1.green_2", (Task.LEAVE, "eu-1.green_2")),
        ("evacuate", None),
        ("evacuate blue and more", None),
        ("patch blue", None),
        ("", None),
    ],
)
def test_a_comment_tells_task_and_cluster_of_our_commands_only(
    comment: str, expected: tuple[Task, str] | None
) -> None:
    assert task_and_cluster(comment) == expected


def test_an_answer_with_a_result_is_a_finished_command_with_it() -> None:
    result = Result(Task.LEAVE, ok=True, nodes=(NodeReport(INSTANCE, "abc", Fate.REMOVED),))
    event = finished(ENDED, Task.LEAVE, Answer("Success", "leave blue", f"noise\n{encode_result(result)}\n"))
    assert event == CommandFinished(TIME, COMMAND, INSTANCE, Task.LEAVE, "Success", result)
    assert not event.host_failed


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer("Failed", "", "", "a\nswarmkeeper: wrong hash\n"), "Failed: swarmkeeper: wrong hash"),
        (Answer("TimedOut"), "TimedOut: the agent printed nothing"),
        (Answer("Success", "", "hello"), "Success: result must be JSON: "),
        (
            Answer("Success", "", encode_result(Result(Task.EVACUATE, ok=True))),
            "Success: the agent answered for",
        ),
    ],
)
def test_an_answer_without_a_result_says_why_and_blames_the_host(answer: Answer, failure: str) -> None:
    event = finished(ENDED, Task.LEAVE, answer)
    assert event.result is None
    assert event.failure.startswith(failure)
    assert event.host_failed


def test_a_cancelled_command_blames_nobody_and_a_failed_task_its_host() -> None:
    assert not finished(ENDED, Task.LEAVE, Answer("Cancelled")).host_failed
    output = encode_result(Result(Task.LEAVE, ok=False, error="this host is no manager"))
    assert finished(ENDED, Task.LEAVE, Answer("Failed", "", output)).host_failed
