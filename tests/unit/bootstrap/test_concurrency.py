"""What Lambda cannot reserve is said before anything is deployed, with the command that helps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from bootstrap import concurrency
from bootstrap.concurrency import ConcurrencyError, check_concurrency

NAME = "swarmkeeper-prod-on_spot_interruption_warning"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    functions = {"on_spot_interruption_warning": {"reserved_concurrency": 100}, "tick": {}}
    path.write_text(json.dumps({"stages": {"prod": {"lambda_functions": functions}, "small": {}}}))
    return path


def answers(monkeypatch: pytest.MonkeyPatch, quota: int, unreserved: int, own: int | None) -> None:
    """Have Lambda show this quota, and ``own`` reserved for the function; None: it is not deployed yet."""
    client: Any = boto3.client("lambda", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")  # noqa: S106
    stub = Stubber(client)
    limit = {"ConcurrentExecutions": quota, "UnreservedConcurrentExecutions": unreserved}
    stub.add_response("get_account_settings", {"AccountLimit": limit})
    if own is None:
        stub.add_client_error("get_function_concurrency", "ResourceNotFoundException")
    else:
        found = {"ReservedConcurrentExecutions": own} if own else {}
        stub.add_response("get_function_concurrency", found, {"FunctionName": NAME})
    stub.activate()
    monkeypatch.setattr(boto3, "client", lambda _: client)


@pytest.mark.parametrize(
    ("quota", "unreserved", "own"), [(1000, 1000, None), (200, 200, 0), (200, 100, 100), (1000, 200, None)]
)
def test_what_can_be_reserved_or_is_reserved_already_is_deployed(
    config: Path, monkeypatch: pytest.MonkeyPatch, quota: int, unreserved: int, own: int | None
) -> None:
    answers(monkeypatch, quota, unreserved, own)
    check_concurrency("prod", config)


@pytest.mark.parametrize(
    ("quota", "unreserved", "desired"), [(10, 10, 1000), (199, 199, 1000), (1000, 150, 1050)]
)
def test_a_quota_that_is_too_small_is_one_line_with_the_command_that_raises_it(
    config: Path, monkeypatch: pytest.MonkeyPatch, quota: int, unreserved: int, desired: int
) -> None:
    answers(monkeypatch, quota, unreserved, None)
    with pytest.raises(ConcurrencyError) as refused:
        check_concurrency("prod", config)
    text = str(refused.value)
    assert text.startswith("stage prod reserves 100 concurrent runs for on_spot_interruption_warning")
    assert f"of {quota} in eu-west-1 only {unreserved} are free" in text
    command = (
        "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384"
    )
    assert f"{command} --desired-value {desired} --region eu-west-1" in text
    assert "\n" not in text


def test_a_stage_that_reserves_nothing_asks_nothing(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "client", None)
    check_concurrency("small", config)


def test_each_deployed_stage_reserves_for_warnings_and_for_nothing_else() -> None:
    for stage in json.loads(concurrency.CONFIG.read_text())["stages"]:
        reserved = concurrency._reserved(stage, concurrency.CONFIG)  # noqa: SLF001
        assert reserved == {"on_spot_interruption_warning": 80, "guard_spot_interruption_warning": 20}
