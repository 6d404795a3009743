"""Run Command is asked in the agreed way, and its answers are told apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlparse

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from chalicelib.adapters import run_command
from chalicelib.adapters.run_command import Agent, SsmHosts, published
from chalicelib.errors import AgentMissingError, RefusedError, ThrottledError, UnreachableError
from chalicelib.events import UNKNOWN, Answer
from chalicelib.protocol.messages import AgentTask, Arguments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_ssm import SSMClient

MANAGER = "i-0123456789abcdef0"
COMMAND = "e8d3c0e4-71f7-4491-898f-c9b35bee5f3b"
IDENTITY = {"bucket": "swarmkeeper-test-1", "key": "agent-0123456789abcdef.pyz", "sha256": "0" * 64}


@pytest.fixture
def stub(aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:  # noqa: ARG001
    (tmp_path / "agent.json").write_text(json.dumps(IDENTITY))
    monkeypatch.setattr(run_command, "published", lambda: published(tmp_path / "agent.json"))
    with Stubber(boto3.client("ssm")) as stubber:
        yield stubber


def on(stub: Stubber) -> SsmHosts:
    return SsmHosts(cast("SSMClient", stub.client), boto3.client("s3"))


def send(stub: Stubber) -> str:
    return on(stub).send((MANAGER,), "blue", AgentTask.EVACUATE, Arguments((), 5.0), 90)


def test_a_command_says_what_it_is_for_and_has_every_time_out(aws: None, stub: Stubber) -> None:  # noqa: ARG001
    seen: dict[str, Any] = {}
    client = boto3.client("ssm")
    client.meta.events.register(
        "provide-client-params.ssm.SendCommand", lambda params, **_: seen.update(params)
    )
    command = SsmHosts(client, boto3.client("s3", config=Config(signature_version="s3v4"))).send(
        (MANAGER,), "blue", AgentTask.EVACUATE, Arguments((), 5.0), 90
    )
    (script,) = seen["Parameters"].pop("commands")
    assert seen == {
        "InstanceIds": [MANAGER],
        "DocumentName": "AWS-RunShellScript",
        "Comment": "evacuate blue",
        "TimeoutSeconds": 30,
        "Parameters": {"executionTimeout": ["90"]},
    }
    assert command
    assert "{{" not in script, "Run Command would take it for a parameter"
    assert "TASK=evacuate\n" in script
    assert """ARGUMENTS='{"deadline":5.0,"subjects":[]}'\n""" in script
    assert f"SHA256={'0' * 64}\n" in script
    url = script.partition("URL=")[2].partition("\n")[0].strip("'")
    assert urlparse(url).path.endswith("/agent-0123456789abcdef.pyz")
    assert parse_qs(urlparse(url).query)["X-Amz-Expires"] == ["900"]


def test_only_hosts_whose_agent_answers_are_reachable(stub: Stubber) -> None:
    rows = [
        {"InstanceId": MANAGER, "PingStatus": "Online"},
        {"InstanceId": "i-2", "PingStatus": "ConnectionLost"},
    ]
    wanted = {"Filters": [{"Key": "InstanceIds", "Values": [MANAGER, "i-2", "i-3"]}]}
    stub.add_response("describe_instance_information", {"InstanceInformationList": rows}, wanted)
    assert on(stub).find_reachable((MANAGER, "i-2", "i-3")) == {MANAGER}


@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        ("InvalidInstanceId", "", UnreachableError),
        ("ThrottlingException", "Rate exceeded", ThrottledError),
        ("Anything", "Rate exceeded", ThrottledError),
        ("TooManyRequestsException", "", ThrottledError),
        ("InternalServerError", "", ThrottledError),
    ],
)
def test_a_refusal_that_is_to_be_expected_has_a_name(
    stub: Stubber, code: str, message: str, error: type[Exception]
) -> None:
    for _ in range(5):
        stub.add_client_error("send_command", code, message)
    with pytest.raises(error):
        send(stub)


@pytest.mark.parametrize(
    "code",
    ["AccessDeniedException", "UnsupportedPlatformType", "InvalidDocument", "InvalidParameters", "Unheard"],
)
def test_any_other_refusal_names_the_host_and_has_the_words_of_aws(stub: Stubber, code: str) -> None:
    stub.add_client_error("send_command", code, "no, because")
    with pytest.raises(RefusedError, match=f"^Run Command refuses {MANAGER}: {code}: no, because$"):
        send(stub)


def test_a_refusal_of_many_stays_short(stub: Stubber) -> None:
    stub.add_client_error("send_command", "Unheard", "no")
    with pytest.raises(RefusedError, match=f"refuses {MANAGER} or one of 2 others: Unheard: no$"):
        on(stub).send((MANAGER, "i-2", "i-3"), "blue", AgentTask.JOIN, Arguments(()), 90)


def test_an_endpoint_that_does_not_answer_is_a_reason_to_try_again() -> None:
    nowhere = boto3.client(
        "ssm",
        endpoint_url="http://127.0.0.1:1",
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",  # noqa: S106
        config=Config(retries={"total_max_attempts": 1}),
    )
    hosts = SsmHosts(nowhere, boto3.client("s3", region_name="eu-west-1"))
    with pytest.raises(ThrottledError, match="does not answer"):
        hosts.fetch_answer(COMMAND, MANAGER)
    hosts.cancel(COMMAND, MANAGER)


def test_an_answer_has_status_comment_both_outputs_and_the_exit_status(stub: Stubber) -> None:
    response = {
        "Status": "Failed",
        "Comment": "leave blue",
        "StandardOutputContent": "out",
        "StandardErrorContent": "err",
        "ResponseCode": 65,
    }
    stub.add_response("get_command_invocation", response, {"CommandId": COMMAND, "InstanceId": MANAGER})
    assert on(stub).fetch_answer(COMMAND, MANAGER) == Answer("Failed", "leave blue", "out", "err", 65)


def test_an_invocation_that_does_not_exist_is_unknown(stub: Stubber) -> None:
    stub.add_client_error("get_command_invocation", "InvocationDoesNotExist")
    assert on(stub).fetch_answer(COMMAND, MANAGER) == Answer(
        UNKNOWN, error="Run Command does not know this command on this host"
    )


def test_cancelling_is_best_effort(stub: Stubber) -> None:
    stub.add_response("cancel_command", {}, {"CommandId": COMMAND, "InstanceIds": [MANAGER]})
    stub.add_client_error("cancel_command", "InvalidCommandId")
    stub.add_client_error("cancel_command", "AccessDeniedException")
    on(stub).cancel(COMMAND, MANAGER)
    on(stub).cancel(COMMAND, MANAGER)
    with pytest.raises(RefusedError):
        on(stub).cancel(COMMAND, MANAGER)


def test_the_published_agent_is_read_from_the_package(tmp_path: Path) -> None:
    (tmp_path / "agent.json").write_text(json.dumps(IDENTITY))
    assert published(tmp_path / "agent.json") == Agent(**IDENTITY)


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"bucket": "b"}', '{"bucket": 1, "k": 2}'])
def test_without_a_published_agent_the_error_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "agent.json").write_text(text)
    monkeypatch.setenv("TABLE", "swarmkeeper-dev")
    with pytest.raises(AgentMissingError, match=r"no agent was published; .*: make deploy STAGE=dev \("):
        published(tmp_path / "agent.json")
