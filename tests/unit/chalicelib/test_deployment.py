"""The stages are alike, and their roles may do what the handlers need and no more."""

from __future__ import annotations

import json
import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import app
from bootstrap.stages import copy_stage

CHALICE = Path(__file__).parent.parent.parent.parent / ".chalice"
CONFIG = json.loads((CHALICE / "config.json").read_text())


GROUPS = ["", "-tick", "-nodes", "-managers", "-notes", "-settings", "-status", "-log"]


def statements(name: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((CHALICE / name).read_text())["Statement"]
    return listed


def resources(statement: dict[str, Any]) -> list[str]:
    found: str | list[str] = statement["Resource"]
    return [found] if isinstance(found, str) else found


def actions(name: str) -> set[str]:
    return {
        action
        for statement in statements(name)
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


def test_dev_is_prod_under_another_name_and_needs_the_tag_of_its_stage(tmp_path: Path) -> None:
    skip = shutil.ignore_patterns("deploy*", "*-dev*")
    folder = Path(shutil.copytree(CHALICE, tmp_path / ".chalice", ignore=skip))
    (folder / "config.json").write_text(json.dumps({"stages": {"prod": CONFIG["stages"]["prod"]}}))
    copy_stage("prod", "dev", folder)
    made = json.loads((folder / "config.json").read_text())["stages"]["dev"]
    assert made == CONFIG["stages"]["dev"]
    for policy in folder.glob("policy-dev*.json"):
        assert policy.read_text() == (CHALICE / policy.name).read_text()


RESOURCES = {
    "logs": "arn:aws:logs:eu-west-1:1:log-group:/aws/lambda/{}-on_spot_interruption_warning:log-stream:1",
    "dynamodb": "arn:aws:dynamodb:eu-west-1:123456789012:table/{}",
    "s3": "arn:aws:s3:::{}-123456789012/agent-0123456789abcdef.pyz",
    "sns": "arn:aws:sns:eu-west-1:123456789012:{}",
}


@pytest.mark.parametrize("service", RESOURCES)
@pytest.mark.parametrize("group", GROUPS)
def test_prod_may_do_nothing_to_what_is_of_a_stage_with_a_longer_name(service: str, group: str) -> None:
    patterns = [
        pattern
        for statement in statements(f"policy-prod{group}.json")
        for pattern in resources(statement)
        if pattern.split(":")[2:3] == [service]
    ]
    for other in ("prod-us", "prod-tick", "prod-1", "prod-123456789012"):
        arn = RESOURCES[service].format(f"swarmkeeper-{other}")
        assert not any(fnmatchcase(arn, pattern) for pattern in patterns), arn
    own = RESOURCES[service].format("swarmkeeper-prod")
    assert group or any(fnmatchcase(own, pattern) for pattern in patterns)


@pytest.mark.parametrize("name", [f"policy-dev{group}.json" for group in GROUPS])
def test_every_statement_says_why_and_no_action_is_a_pattern(name: str) -> None:
    for statement in statements(name):
        assert statement["Sid"].isalnum()
        assert (statement["Resource"] != "*") or statement["Sid"].endswith("NoResourceLevelInIam")
    assert not any("*" in action for action in actions(name))


def test_every_function_with_its_own_setting_is_deployed_and_every_policy_is_used() -> None:
    functions = CONFIG["stages"]["dev"]["lambda_functions"]
    assert set(functions) <= set(app.handler_map)
    used = {function.get("iam_policy_file") for function in functions.values()} - {None}
    assert used | {"policy-dev.json"} == {path.name for path in CHALICE.glob("policy-dev*.json")}


class Template(yaml.SafeLoader):
    """CloudFormation's YAML: its own tags stand for what they hold."""


Template.add_multi_constructor("!", lambda loader, _, node: loader.construct_scalar(node))
ALARMS = {
    name: resource["Properties"]
    for name, resource in yaml.load((CHALICE / "foundation.yaml").read_text(), Template)["Resources"].items()  # noqa: S506
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}


@pytest.mark.parametrize("name", ALARMS)
def test_every_alarm_is_about_a_function_that_is_deployed_and_notifies_people(name: str) -> None:
    (dimension,) = ALARMS[name]["Dimensions"]
    assert dimension["Name"] == "FunctionName"
    assert dimension["Value"].removeprefix("swarmkeeper-${Stage}-") in app.handler_map
    assert ALARMS[name]["AlarmActions"] == ["Incidents"]


def test_a_tick_that_does_not_run_is_an_alarm_and_silence_of_other_handlers_is_none() -> None:
    missing = {name: alarm["TreatMissingData"] for name, alarm in ALARMS.items()}
    assert {name for name, treated in missing.items() if treated == "breaching"} == {"TickIsMissing"}
    assert ALARMS["TickIsMissing"]["MetricName"] == "Invocations"
