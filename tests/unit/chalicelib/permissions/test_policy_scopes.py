"""Each right of a handler reaches what is of its stage only, and each condition is missed where it is not."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CHALICE = Path(__file__).parents[4] / ".chalice"
POLICIES = [path.name for path in sorted(CHALICE.glob("policy-*.json"))]
CONFIG: dict[str, Any] = json.loads((CHALICE / "config.json").read_text())
DOCUMENT = "arn:*:ssm:*:*:document/AWS-RunShellScript"
INSTANCES = "arn:*:ec2:*:*:instance/*"
GROUPS = "arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*"
# Where a right may reach: patterns of resources, for the stage that stands in them.
REACHES = {
    "logs": ["arn:*:logs:*:*:log-group:/aws/lambda/swarmkeeper-{stage}-{handler}:*"],
    "dynamodb": [
        "arn:*:dynamodb:*:*:table/swarmkeeper-{stage}",
        "arn:*:dynamodb:*:*:table/swarmkeeper-{stage}/index/open",
    ],
    "s3": ["arn:*:s3:::swarmkeeper-{stage}-????????????/agent-*.pyz"],
    "sns": ["arn:*:sns:*:*:swarmkeeper-{stage}"],
    "ssm:SendCommand": [DOCUMENT, INSTANCES],
    "autoscaling:CompleteLifecycleAction": [GROUPS],
    "autoscaling:RecordLifecycleActionHeartbeat": [GROUPS],
}
TAGS = {INSTANCES: "ssm:resourceTag", GROUPS: "autoscaling:ResourceTag"}
UNLIMITED = {  # IAM knows no resource for these, and all read but one, which takes a command of ours back
    "ssm:GetCommandInvocation",
    "ssm:CancelCommand",
    "ssm:DescribeInstanceInformation",
    "ec2:DescribeInstances",
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeLifecycleHooks",
}


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def read(name: str) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = json.loads((CHALICE / name).read_text())["Statement"]
    return statements


def stage_of(name: str) -> str:
    return name.removeprefix("policy-").removesuffix(".json").partition("-")[0]


def reaches(action: str, stage: str) -> set[str]:
    """List the resources that a right may have."""
    if action in UNLIMITED:
        return {"*"}
    patterns = REACHES.get(action) or REACHES[action.partition(":")[0]]
    handlers = CONFIG["stages"][stage]["lambda_functions"]
    others = {"tick"} | set(handlers) | set(_handlers())
    return {one.format(stage=stage, handler=handler) for one in patterns for handler in others}


def _handlers() -> list[str]:
    from app import app  # noqa: PLC0415 - its handlers are needed here only

    return list(app.handler_map)


def condition(resource: str, name: str) -> dict[str, Any] | None:
    """Say which tags what is reached must have; without a stage's tag it is prod's."""
    if resource not in TAGS:
        return None
    tag, stage = TAGS[resource], stage_of(name)
    of_stage = "StringEqualsIfExists" if stage == "prod" else "StringEquals"
    wanted: dict[str, dict[str, str]] = {"StringLike": {f"{tag}/swarmkeeper:cluster": "*"}}
    if name.endswith("-managers.json"):
        wanted["StringEquals"] = {f"{tag}/swarmkeeper:role": "manager"}
    wanted.setdefault(of_stage, {})[f"{tag}/swarmkeeper:stage"] = stage
    return wanted


def find_wide(name: str, statements: list[dict[str, Any]]) -> list[str]:
    """Name the statements that reach further than they may."""
    found = []
    for one in statements:
        resources = listed(one["Resource"])
        allowed = [reaches(action, stage_of(name)) for action in listed(one["Action"])]
        wanted = [condition(resource, name) for resource in resources]
        is_narrow = one["Effect"] == "Allow" and all(set(resources) <= reach for reach in allowed)
        if not is_narrow or any(tags != one.get("Condition") for tags in wanted):
            found.append(one["Sid"])
    return found


def mutate(statements: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Make each statement wider in each way: a condition gone, optional or of anything; any resource."""
    for at, one in enumerate(statements):
        for operator, tags in one.get("Condition", {}).items():
            for tag in tags:
                yield from _change(statements, at, operator, tag)
        if one["Resource"] != "*":
            yield _with(statements, at, {**one, "Resource": "*"})
        if "Condition" in one:
            yield _with(statements, at, {key: part for key, part in one.items() if key != "Condition"})


def _change(
    statements: list[dict[str, Any]], at: int, operator: str, tag: str
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for other, value in ((None, ""), (f"{operator}IfExists", None), ("StringLike", "?*")):
        one = deepcopy(statements[at])
        before = one["Condition"][operator].pop(tag)
        if not one["Condition"][operator]:
            del one["Condition"][operator]
        if other:
            one["Condition"].setdefault(other, {})[tag] = before if value is None else value
        yield _with(statements, at, one)


def _with(statements: list[dict[str, Any]], at: int, one: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    return one["Sid"], [*statements[:at], one, *statements[at + 1 :]]


@pytest.mark.parametrize("name", POLICIES)
def test_every_right_reaches_only_what_is_of_its_stage(name: str) -> None:
    assert find_wide(name, read(name)) == []


@pytest.mark.parametrize("name", POLICIES)
def test_given_any_condition_or_resource_widened_expected_it_named(name: str) -> None:
    for sid, wider in mutate(read(name)):
        assert find_wide(name, wider) == [sid]


def test_given_two_stages_expected_every_policy_of_both_checked() -> None:
    assert {stage_of(name) for name in POLICIES} == set(CONFIG["stages"]) == {"dev", "prod"}
    reaching = [one for name in POLICIES for one in read(name) if one["Resource"] in (INSTANCES, GROUPS)]
    assert len(reaching) == 2 * (4 + 3), "commands in four policies of each stage, lifecycle actions in three"
