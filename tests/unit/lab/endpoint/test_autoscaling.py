"""Lifecycle actions are answered only while they are open, and only by their own names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.aws.events import check
from tests.lab.endpoint.autoscaling import LifecycleAction, LifecycleActions
from tests.lab.endpoint.messages import AwsError
from tests.lab.state import Host

HOST = Host("ip-172-31-0-14", "worker", "i-0123456789abcdef0", "172.31.0.14", "us-east-1b")
SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture
def sent() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def actions(sent: list[dict[str, Any]]) -> LifecycleActions:
    return LifecycleActions(sent.append)


def form(hook: LifecycleAction, **changes: str) -> dict[str, str]:
    names = {"AutoScalingGroupName": hook.group, "LifecycleHookName": hook.hook}
    asked = {**names, "InstanceId": hook.instance, "LifecycleActionResult": "CONTINUE", **changes}
    return {name: value for name, value in asked.items() if value}


@pytest.mark.parametrize("transition", ["launch", "terminate"])
def test_opening_one_tells_of_it_as_auto_scaling_does(
    actions: LifecycleActions, sent: list[dict[str, Any]], transition: str
) -> None:
    hook = actions.open(HOST, transition)
    genuine = json.loads((SAMPLES / f"asg_{transition}_lifecycle.json").read_text())
    event = check(sent[0])
    assert event["detail-type"] == genuine["detail-type"]
    assert event["detail"]["LifecycleTransition"] == genuine["detail"]["LifecycleTransition"]
    assert set(event["detail"]) - set(genuine["detail"]) <= {"NotificationMetadata"}
    assert event["detail"]["LifecycleActionToken"] == hook.token


def test_an_event_of_aws_begins_the_action_that_it_tells_of(
    actions: LifecycleActions, sent: list[dict[str, Any]]
) -> None:
    genuine = json.loads((SAMPLES / "asg_terminate_lifecycle.json").read_text())
    hook = actions.told(genuine)
    assert sent == [genuine]
    assert (hook.group, hook.hook, hook.transition) == ("faas-workers", "swarm-leave", "terminate")
    actions.answer("CompleteLifecycleAction", form(hook))
    assert [row["result"] for row in actions.rows()] == ["CONTINUE"]


def test_one_is_completed_once_and_kept_open_until_then(actions: LifecycleActions) -> None:
    hook = actions.open(HOST, "launch")
    actions.answer("RecordLifecycleActionHeartbeat", form(hook, LifecycleActionResult=""))
    actions.answer("CompleteLifecycleAction", form(hook, InstanceId="", LifecycleActionToken=hook.token))
    assert [(row["beats"], row["result"]) for row in actions.rows()] == [(1, "CONTINUE")]
    with pytest.raises(
        AwsError, match="No active Lifecycle Action found with instance ID i-0123456789abcdef0"
    ):
        actions.answer("CompleteLifecycleAction", form(hook))


@pytest.mark.parametrize(
    "changes",
    [
        {"InstanceId": "i-0badc0ffee0badc0f"},
        {"LifecycleActionToken": "another"},
        {"AutoScalingGroupName": "others"},
        {"LifecycleHookName": ""},
        {"InstanceId": ""},
        {"LifecycleActionResult": "MAYBE"},
        {"Unknown": "x"},
    ],
)
def test_anything_else_is_refused(actions: LifecycleActions, changes: dict[str, str]) -> None:
    hook = actions.open(HOST, "launch")
    with pytest.raises(AwsError):
        actions.answer("CompleteLifecycleAction", form(hook, **changes))
    assert actions.rows()[0]["result"] == ""


def test_an_instance_that_a_hook_holds_is_shown_in_its_group_until_it_is_completed(
    actions: LifecycleActions,
) -> None:
    hook = actions.open(HOST, "launch")
    assert actions.groups() == {HOST.instance: "workers"}
    asked = {"Action": "DescribeAutoScalingGroups", "Version": "2011-01-01"}
    asked |= {"AutoScalingGroupNames.member.1": "workers"}
    assert "<LifecycleState>Pending:Wait<" in actions.answer("DescribeAutoScalingGroups", asked)
    hooks = actions.answer("DescribeLifecycleHooks", {"AutoScalingGroupName": "workers"})
    assert "<LifecycleHookName>swarm-join<" in hooks
    assert "EC2_INSTANCE_LAUNCHING" in hooks
    actions.answer("CompleteLifecycleAction", form(hook))
    assert "<LifecycleState>InService<" in actions.answer("DescribeAutoScalingGroups", asked)
    others = asked | {"AutoScalingGroupNames.member.1": "others"}
    assert "member" not in actions.answer("DescribeAutoScalingGroups", others)
    with pytest.raises(AwsError):
        actions.answer("DescribeAutoScalingGroups", asked | {"Filters.member.1": "x"})
