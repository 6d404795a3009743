"""What any message tells people to run works as written: with the stage, and nothing left to fill in.

test_fixes.py resolves the commands of all incidents; here are those of all other texts: each text in the code
is searched for what cannot work, and the messages that hold a command are made, and their commands resolved.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from bootstrap import publish
from bootstrap.errors import AgentError
from bootstrap.stacks import deploy
from bootstrap.tasks.init import write_forget_tokens
from chalicelib.adapters.run_command import published
from chalicelib.admin.calls import CALLS, call
from chalicelib.errors import AgentMissingError, CallError
from chalicelib.events import TaskOrdered
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules import decide
from chalicelib.state.deployment import Deployment
from chalicelib.state.job import Job, JobStage
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, Lab, a_cluster, a_node
from tests.unit.support.pages import ROOT

FILES = [path for room in ("chalicelib", "bootstrap") for path in sorted((ROOT / room).rglob("*.py"))]
STAGE = "dev"
# Chalice and Python are those of the checkout's own environment, as docs/install.md writes them.
BARE = re.compile(r"(?<!\.venv/bin/)\b(?:chalice (?:invoke|deploy|delete)|python3? -m \w)")
LITERAL_STAGE = re.compile(r"--stage[ =](?:dev|prod)\b|STAGE=(?:dev|prod)\b")
USAGE = ("ArgumentParser", "main")  # what a program is called in its own help


def texts(path: Path) -> Iterator[str]:
    """List the texts that a file can say: no docstrings, and no names of programs in their own help."""
    tree = ast.parse(path.read_text())
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left_out.add(id(node.value))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in USAGE:
            left_out |= {id(one) for one in [*node.args, *(word.value for word in node.keywords)]}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield node.value


def find_unusable(text: str) -> bool:
    return bool("…" in text or BARE.search(text) or LITERAL_STAGE.search(text))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_leaves_a_command_to_be_completed(path: Path) -> None:
    assert [text for text in texts(path) if find_unusable(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "run python -m bootstrap.publish",
        "then chalice deploy",
        "with --set X=…",
        "run it with --stage dev",
        "make deploy STAGE=prod",
    ],
)
def test_what_a_reader_would_have_to_complete_is_found(text: str) -> None:
    assert find_unusable(text)


def _no_agent() -> str:
    with pytest.raises(AgentMissingError) as error:
        published(ROOT / "no such file")
    return str(error.value)


def _no_zipapp() -> str:
    with pytest.raises(AgentError) as error:
        deploy._own_bytes()  # noqa: SLF001
    return str(error.value)


def _second_init() -> str:
    done = Job(task=AgentTask.INIT, since=START, instance=MANAGERS[0], stage=JobStage.DONE)
    cluster = replace(a_cluster(a_node()), jobs=(done,), deployment=DEPLOYMENT)
    return decide(TaskOrdered(START, AgentTask.INIT, WORKER), cluster).reason


def _no_manager() -> str:
    lab = Lab()
    lab.managers.record("blue", ())
    with pytest.raises(CallError) as error:
        call("rotate_tokens", {"cluster": "blue"}, lab.world(deployment=DEPLOYMENT))
    return str(error.value)


def _paused() -> str:
    lab = Lab()
    lab.settings.update("blue", {"paused": True})
    with pytest.raises(CallError) as error:
        call("rotate_tokens", {"cluster": "blue"}, lab.world(deployment=DEPLOYMENT))
    return str(error.value)


def _stored_tokens() -> str:
    host: Any = SimpleNamespace(identity=lambda: SimpleNamespace(zone="us-west-2-lax-1a"))
    return f"forget them: {write_forget_tokens('blue', host)}"


DEPLOYMENT = Deployment(f"swarmkeeper-{STAGE}", "eu-west-1")
REGION = ["--region", "eu-west-1"]
TOKENS = [f"/swarmkeeper/blue/join-token/{role}" for role in ("manager", "worker")]
KEY = {"cluster": {"S": "blue"}, "item": {"S": "errand#init"}}
DELETE_ORDER = [
    "aws",
    "dynamodb",
    "delete-item",
    "--table-name",
    f"swarmkeeper-{STAGE}",
    "--key",
    json.dumps(KEY),
]
DELETE_TOKENS = ["aws", "ssm", "delete-parameters", "--names", *TOKENS]
TAG = ["aws", "ec2", "create-tags", "--resources", MANAGERS[0]]
TAG += ["--tags", "Key=swarmkeeper:role,Value=manager"]
RESUME = json.dumps({"cluster": "blue"})
INVOKE = [
    *("aws", "lambda", "invoke", "--function-name", f"swarmkeeper-{STAGE}-resume", *REGION),
    *("--cli-binary-format", "raw-in-base64-out", "--payload", RESUME, "/dev/stdout"),
]
PIPED = ["echo", RESUME, "|", ".venv/bin/chalice", "invoke", "-n", "resume", "--stage", STAGE]
PROGRAM = r"(?:aws|make|echo|\.venv/bin/\w+)"
# On a line of its own, or within one.
COMMAND = re.compile(rf"\n  ({PROGRAM} [^\n]*)|(?:: |\()({PROGRAM} [^\n(),;]*)")
MESSAGES: dict[Callable[[], str], list[list[str]]] = {
    _no_agent: [["make", "deploy", f"STAGE={STAGE}"]],
    _no_zipapp: [[".venv/bin/python", "-m", "bootstrap.publish", "--build-only", "agent.pyz"]],
    _second_init: [[*DELETE_ORDER, *REGION], [*DELETE_TOKENS, *REGION]],
    _no_manager: [[*TAG, *REGION]],
    _paused: [INVOKE, PIPED],
    _stored_tokens: [[*DELETE_TOKENS, "--region", "us-west-2"]],
}


@pytest.mark.parametrize("made", MESSAGES, ids=lambda made: made.__name__)
def test_the_commands_of_a_message_are_whole(
    made: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLE", f"swarmkeeper-{STAGE}")
    found = [shlex.split(line or within) for line, within in COMMAND.findall(made())]
    assert found == MESSAGES[made]


def test_what_they_run_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client: Any = boto3.Session("key", "secret", region_name="eu-west-1").client
    assert {"delete_item", "delete_parameters", "create_tags"} <= {
        name for service in ("dynamodb", "ssm", "ec2") for name in dir(client(service))
    }
    assert re.search(r"^deploy:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "resume" in CALLS
    monkeypatch.setattr(publish, "build", lambda: b"agent")
    monkeypatch.setattr("sys.argv", ["publish", "--build-only", str(tmp_path / "agent.pyz")])
    assert publish.main() == 0
    assert (tmp_path / "agent.pyz").read_bytes() == b"agent"
    monkeypatch.setattr("sys.argv", ["publish"])
    with pytest.raises(SystemExit):
        publish.main()
