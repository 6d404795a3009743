"""The stages are alike, and their roles may do what the handlers need and no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CHALICE = Path(__file__).parent.parent.parent.parent / ".chalice"
CONFIG = json.loads((CHALICE / "config.json").read_text())


def statements(name: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((CHALICE / name).read_text())["Statement"]
    return listed


def actions(name: str) -> set[str]:
    return {
        action
        for statement in statements(name)
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


@pytest.mark.parametrize("name", ["policy-{}.json", "policy-{}-status.json"])
def test_the_stages_differ_only_in_their_name(name: str) -> None:
    dev, prod = ((CHALICE / name.format(stage)).read_text() for stage in ("dev", "prod"))
    assert dev.replace("-dev", "-prod") == prod
    assert json.loads(json.dumps(CONFIG["stages"]["dev"]).replace("dev", "prod")) == CONFIG["stages"]["prod"]


@pytest.mark.parametrize("name", ["policy-dev.json", "policy-dev-status.json"])
def test_every_statement_says_why_and_no_action_is_a_pattern(name: str) -> None:
    for statement in statements(name):
        assert statement["Sid"].isalnum()
        assert (statement["Resource"] != "*") or statement["Sid"].endswith("NoResourceLevelInIam")
    assert not any("*" in action for action in actions(name))


def test_commands_go_to_the_shell_document_on_instances_of_a_cluster_only() -> None:
    document, instances = (
        item for item in statements("policy-dev.json") if item["Action"] == "ssm:SendCommand"
    )
    assert document["Resource"].endswith("document/AWS-RunShellScript")
    assert instances["Condition"] == {"StringLike": {"ssm:resourceTag/swarmkeeper:cluster": "*"}}


def test_the_status_call_only_reads() -> None:
    reading = {"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"}
    assert {
        action for action in actions("policy-dev-status.json") if not action.startswith("logs:")
    } == reading
