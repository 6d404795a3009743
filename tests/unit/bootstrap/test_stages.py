"""A stage is made from one that is there, for a second region or beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bootstrap.stages import CHALICE, StageError, copy_stage


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
        text = policy.read_text()
        json.loads(text)
        assert (
            text.replace("prod-us", "prod") == (folder / policy.name.replace("prod-us", "prod")).read_text()
        )
    functions = stages["prod-us"]["lambda_functions"].values()
    used = {function["iam_policy_file"] for function in functions if "iam_policy_file" in function}
    assert all((folder / name).exists() for name in used | {stages["prod-us"]["iam_policy_file"]})


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
