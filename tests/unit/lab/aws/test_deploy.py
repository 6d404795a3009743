"""The lab's stage is the project's own one for development; its wheels are fetched once per machine."""

import json
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.lab import state
from tests.lab.aws import deploy

STAGE_KEY = "ssm:resourceTag/swarmkeeper:stage"


def test_the_labs_stage_is_dev_with_its_own_names_policies_and_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "ROOT", tmp_path / "labs")
    lab = state.Lab("lab", 0, "blue", endpoint="http://172.31.0.1:4566")
    lab.directory.mkdir(parents=True)
    chalice = tmp_path / "project" / ".chalice"
    chalice.mkdir(parents=True)
    functions = {"status": {"iam_policy_file": "policy-dev-status.json"}}
    dev = {
        "iam_policy_file": "policy-dev.json",
        "environment_variables": {"TABLE": "swarmkeeper-dev"},
        "lambda_functions": functions,
    }
    (chalice / "config.json").write_text(json.dumps({"stages": {"dev": dev}}))
    statement = {"Resource": "table/swarmkeeper-dev", "Condition": {"StringEquals": {STAGE_KEY: "dev"}}}
    for name in ("policy-dev.json", "policy-dev-status.json"):
        (chalice / name).write_text(json.dumps({"Statement": [statement]}))
    copied = deploy.copy(lab, chalice.parent) / ".chalice"
    stage = json.loads((copied / "config.json").read_text())["stages"]["lab"]
    assert stage == {
        "iam_policy_file": "policy-lab.json",
        "environment_variables": {"TABLE": "swarmkeeper-lab", "AWS_ENDPOINT_URL": lab.endpoint},
        "lambda_functions": {"status": {"iam_policy_file": "policy-lab-status.json"}},
    }
    for name in ("policy-lab.json", "policy-lab-status.json"):
        (found,) = json.loads((copied / name).read_text())["Statement"]
        own = {"StringEquals": {STAGE_KEY: "lab"}}
        assert found == {"Resource": "table/swarmkeeper-lab", "Condition": own}


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages, found in a directory: an index is not needed."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for name in ("one", "two"):
        with zipfile.ZipFile(tmp_path / f"{name}-1-py3-none-any.whl", "w") as wheel:
            facts = f"{name}-1.dist-info"
            wheel.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
            wheel.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{facts}/RECORD", "")
    path = tmp_path / "requirements.txt"
    path.write_text("one\ntwo\n")
    return path


def test_labs_that_start_at_once_on_a_fresh_machine_fetch_the_wheels_once(
    requirements: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "lab" / "cache"
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        found = [pool.submit(deploy.wheels, cache, requirements) for _ in range(3)]
        filled = {one.result(timeout=120) for one in found}
    assert len(filled) == 1
    assert sorted(path.name for path in filled.pop().iterdir()) == [
        "one-1-py3-none-any.whl",
        "two-1-py3-none-any.whl",
    ]
    assert not list(cache.glob(".part*"))


def test_a_download_that_fails_says_why_and_leaves_nothing_to_be_taken_for_wheels(
    requirements: Path, tmp_path: Path
) -> None:
    requirements.write_text("absent\n")
    with pytest.raises(state.LabError, match="absent"):
        deploy.wheels(tmp_path / "cache", requirements)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
