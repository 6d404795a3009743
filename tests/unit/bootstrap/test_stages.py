"""A stage is made from one that is there, for a second region or beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bootstrap.stages import CHALICE, DEFAULT_STAGE, StageError, copy_stage
from chalicelib.state import deployment


def without_stage(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a policy without their conditions on the stage's tag."""
    for statement in policy["Statement"]:
        for keys in statement.get("Condition", {}).values():
            keys.pop("ssm:resourceTag/swarmkeeper:stage", None)
            keys.pop("autoscaling:ResourceTag/swarmkeeper:stage", None)
        statement["Condition"] = {
            operator: keys for operator, keys in statement.get("Condition", {}).items() if keys
        }
    statements: list[dict[str, Any]] = policy["Statement"]
    return statements


def stage_conditions(folder: Path, stage: str) -> set[tuple[str, str]]:
    """Answer with which operator the policies of a stage ask for which stage."""
    return {
        (operator, value)
        for policy in folder.glob(f"policy-{stage}*.json")
        if json.loads(policy.read_text())["Statement"]
        for statement in json.loads(policy.read_text())["Statement"]
        for operator, keys in statement.get("Condition", {}).items()
        for key, value in keys.items()
        if key.endswith("/swarmkeeper:stage")
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CHALICE, tmp_path / ".chalice", ignore=shutil.ignore_patterns("deploy*")))


def test_a_copy_has_its_own_table_topic_bucket_and_policies(folder: Path) -> None:
    before = json.loads((folder / "config.json").read_text())["stages"]
    copy_stage("prod", "prod-us", folder)
    stages = json.loads((folder / "config.json").read_text())["stages"]
    assert {name: stages[name] for name in before} == before
    assert stages["prod-us"]["environment_variables"]["TABLE"] == "swarmkeeper-prod-us"
    assert stages["prod-us"]["tags"]["stage"] == "prod-us"
    for policy in folder.glob("policy-prod-us*.json"):
        own = json.loads(policy.read_text().replace("prod-us", "prod"))
        original = json.loads((folder / policy.name.replace("prod-us", "prod")).read_text())
        assert without_stage(own) == without_stage(original)
    functions = stages["prod-us"]["lambda_functions"].values()
    used = {function["iam_policy_file"] for function in functions if "iam_policy_file" in function}
    assert all((folder / name).exists() for name in used | {stages["prod-us"]["iam_policy_file"]})


def test_only_prod_has_what_names_no_stage_whatever_was_copied(folder: Path) -> None:
    copy_stage("prod", "us", folder)
    copy_stage("dev", "eu", folder)
    assert stage_conditions(folder, "us") == {("StringEquals", "us")}
    assert stage_conditions(folder, "eu") == {("StringEquals", "eu")}
    config = json.loads((folder / "config.json").read_text())
    del config["stages"]["prod"]
    (folder / "config.json").write_text(json.dumps(config))
    copy_stage("us", "prod", folder)
    assert stage_conditions(folder, "prod") == {("StringEqualsIfExists", "prod")}


def test_agent_side_and_handlers_have_the_same_default_stage() -> None:
    assert DEFAULT_STAGE == deployment.DEFAULT_STAGE


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("gone", "new", "there is no stage 'gone'"),
        ("prod", "dev", "'dev' is in config.json already"),
        ("prod", "Prod_2", "is no name of a stage"),
        ("prod", "p" * 21, "is no name of a stage"),
    ],
)
def test_what_cannot_be_a_stage_is_refused_and_nothing_is_written(
    folder: Path, source: str, target: str, words: str
) -> None:
    before = {path.name: path.read_text() for path in folder.iterdir()}
    with pytest.raises(StageError, match=words):
        copy_stage(source, target, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
