"""The lab's stage is the project's own stage for development under another name."""

import json
from pathlib import Path

import pytest

from tests.lab import deploy, state


def test_the_labs_stage_is_dev_with_its_own_names_policies_and_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "ROOT", tmp_path / "labs")
    lab = state.Lab("lab", 0, "blue", endpoint="http://172.31.0.1:4566")
    lab.directory.mkdir(parents=True)
    chalice = tmp_path / "project" / ".chalice"
    chalice.mkdir(parents=True)
    functions = {"status": {"iam_policy_file": "policy-dev-status.json"}}
    dev = {"environment_variables": {"TABLE": "swarmkeeper-dev"}, "lambda_functions": functions}
    (chalice / "config.json").write_text(json.dumps({"stages": {"dev": dev}}))
    (chalice / "policy-dev-status.json").write_text('{"Resource": "table/swarmkeeper-dev"}')
    copied = deploy.copy(lab, chalice.parent) / ".chalice"
    stage = json.loads((copied / "config.json").read_text())["stages"]["lab"]
    assert stage == {
        "environment_variables": {"TABLE": "swarmkeeper-lab", "AWS_ENDPOINT_URL": lab.endpoint},
        "lambda_functions": {"status": {"iam_policy_file": "policy-lab-status.json"}},
    }
    assert (copied / "policy-lab-status.json").read_text() == '{"Resource": "table/swarmkeeper-lab"}'
