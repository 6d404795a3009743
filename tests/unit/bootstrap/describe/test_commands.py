"""The commands for people: check, show, schema and publish."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from bootstrap.describe.__main__ import main
from bootstrap.describe.schema import load_schema
from chalicelib.protocol.description_codec import decode_description, digest

ACCOUNT_BUCKET = "swarmkeeper-dev-123456789012"


@pytest.fixture(autouse=True)
def blue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("blue.yaml").write_text("name: blue\n")
    Path("red.yaml").write_text("name: a b\ncolour: red\n")


class Lambda:
    """A Lambda that takes one call and answers it."""

    def __init__(self, answer: dict[str, Any], *, fails: bool = False) -> None:
        self.answer, self.fails = answer, fails
        self.calls: list[tuple[str, Any]] = []

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        self.calls.append((FunctionName, json.loads(Payload)))
        failed = {"FunctionError": "Unhandled"} if self.fails else {}
        return {"Payload": io.BytesIO(json.dumps(self.answer).encode()), **failed}


def use(client: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
    real = boto3.client
    monkeypatch.setattr(boto3, "client", lambda name: client if name == "lambda" else real(name, "eu-west-1"))
    place: Any = {"LocationConstraint": "eu-west-1"}
    real("s3", "eu-west-1").create_bucket(Bucket=ACCOUNT_BUCKET, CreateBucketConfiguration=place)


def test_check_says_in_one_line_what_a_good_file_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "blue.yaml"]) == 0
    assert capsys.readouterr().out == (
        "blue.yaml: cluster blue, profile current: engine 29.8.2, networks by weaveworks/net-plugin:2.8.1, no"
        " stacks\n"
    )


@pytest.mark.parametrize("words", [["check"], ["show"], ["publish", "--stage", "dev"]])
def test_a_wrong_file_is_64_and_changes_nothing(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "red.yaml"]) == 64
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 3)
    assert err.endswith("describe: 2 to correct; nothing was changed\n")


def test_a_warning_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.yaml").write_text("name: blue\nprofile: book\n")
    assert main(["check", "old.yaml"]) == 0
    assert capsys.readouterr().err.startswith(
        "warning: old.yaml: engine.version 17.09.1: the agent works with"
    )


def test_show_prints_what_hosts_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--json", "blue.yaml"]) == 0
    assert decode_description(capsys.readouterr().out).name == "blue"
    assert main(["show", "blue.yaml"]) == 0
    assert "\n  version: 29.8.2\n" in capsys.readouterr().out


def test_schema_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == load_schema()


@mock_aws
def test_publish_uploads_and_records(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(client := Lambda({"done": ["set: description=…"]}), monkeypatch)
    assert main(["publish", "blue.yaml", "--stage", "dev"]) == 0
    ((function, payload),) = client.calls
    text = (
        boto3.client("s3")
        .get_object(Bucket=ACCOUNT_BUCKET, Key=f"description-{payload['description'][:16]}.json")["Body"]
        .read()
    )
    assert function == "swarmkeeper-dev-configure"
    assert payload == {"cluster": "blue", "description": digest(text.decode())}
    assert decode_description(text.decode()).name == "blue"
    assert "for cluster blue of stage dev: set: description=…" in capsys.readouterr().out


@mock_aws
def test_what_was_not_recorded_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(Lambda({"errorMessage": "there is no cluster 'blue'; known are red"}, fails=True), monkeypatch)
    assert main(["publish", "blue.yaml", "--stage", "dev"]) == 1
    told = "it was uploaded and not recorded, so cluster blue has the description that it had: there is no"
    assert told in capsys.readouterr().err
