"""Lifecycle actions are found, completed and held longer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import ANY, Stubber

from chalicelib.actions import LifecycleResult
from chalicelib.adapters.autoscaling import AwsAutoScaling
from chalicelib.errors import RefusedError, ThrottledError
from chalicelib.state.instance import LifecycleAction, Transition

pytestmark = pytest.mark.usefixtures("aws")


HOOK = LifecycleAction(
    "workers", "leave", "token-1-0123456789-0123456789-0123456789", Transition.TERMINATING, 0.0
)
ACTION = {
    "AutoScalingGroupName": "workers",
    "LifecycleHookName": "leave",
    "LifecycleActionToken": "token-1-0123456789-0123456789-0123456789",
    "InstanceId": "i-0123456789abcdef0",
}


def autoscaling(client: Any) -> AwsAutoScaling:
    return AwsAutoScaling(lambda: client)


def test_a_lifecycle_action_is_completed_or_held_longer_by_its_token() -> None:
    client = boto3.client("autoscaling")
    with Stubber(client) as stub:
        stub.add_response("complete_lifecycle_action", {}, ACTION | {"LifecycleActionResult": "ABANDON"})
        stub.add_response("record_lifecycle_action_heartbeat", {}, ACTION)
        autoscaling(client).complete(ACTION["InstanceId"], HOOK, LifecycleResult.ABANDON)
        autoscaling(client).record_heartbeat(ACTION["InstanceId"], HOOK)
        stub.assert_no_pending_responses()


def test_an_action_without_a_token_is_named_by_its_instance() -> None:
    client, unheard = boto3.client("autoscaling"), replace(HOOK, token="")
    named = {name: value for name, value in ACTION.items() if name != "LifecycleActionToken"}
    with Stubber(client) as stub:
        stub.add_response("complete_lifecycle_action", {}, named | {"LifecycleActionResult": "CONTINUE"})
        stub.add_response("record_lifecycle_action_heartbeat", {}, named)
        autoscaling(client).complete(ACTION["InstanceId"], unheard, LifecycleResult.CONTINUE)
        autoscaling(client).record_heartbeat(ACTION["InstanceId"], unheard)
        stub.assert_no_pending_responses()


def group(name: str, **states: str) -> dict[str, Any]:
    instances = [
        {"InstanceId": f"i-{number}", "AvailabilityZone": "a", "LifecycleState": state}
        | {"HealthStatus": "Healthy", "ProtectedFromScaleIn": False}
        for number, state in states.items()
    ]
    sizes = {"MinSize": 0, "MaxSize": 9, "DesiredCapacity": 2, "DefaultCooldown": 9, "HealthCheckType": "EC2"}
    when = {"CreatedTime": datetime.now(UTC), "AvailabilityZones": ["a"]}
    return {"AutoScalingGroupName": name, "Instances": instances, **sizes, **when}


def test_instances_that_wait_are_found_with_hooks_that_have_no_target_of_their_own() -> None:
    client = boto3.client("autoscaling")
    kinds = {"join": "LAUNCHING", "leave": "TERMINATING", "theirs": "LAUNCHING"}
    rows: list[dict[str, str]] = [
        {"LifecycleHookName": name, "LifecycleTransition": f"autoscaling:EC2_INSTANCE_{kind}"}
        for name, kind in kinds.items()
    ]
    rows[2]["NotificationTargetARN"] = "arn:aws:sqs:us-east-1:123456789012:theirs"
    found = [
        group("calm", one="InService", two="Pending"),
        group("busy", three="Warmed:Pending:Wait", four="Terminating:Wait", five="InService"),
    ]
    with Stubber(client) as stub:
        asked = {"AutoScalingGroupNames": ["busy", "calm"]}
        stub.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": found}, asked)
        stub.add_response(
            "describe_lifecycle_hooks", {"LifecycleHooks": rows}, {"AutoScalingGroupName": "busy"}
        )
        held = autoscaling(client).list_open({"calm", "busy"}, 9.0)
        stub.assert_no_pending_responses()
    assert held == {
        "i-three": (LifecycleAction("busy", "join", "", Transition.LAUNCHING, 9.0, warm=True),),
        "i-four": (LifecycleAction("busy", "leave", "", Transition.TERMINATING, 9.0),),
    }


def test_fifty_groups_are_described_at_once() -> None:
    client = boto3.client("autoscaling")
    with Stubber(client) as stub:
        for size in (50, 50, 1):
            names = {"AutoScalingGroupNames": [ANY] * size}
            stub.add_response("describe_auto_scaling_groups", {"AutoScalingGroups": []}, names)
        assert autoscaling(client).list_open(map(str, range(101)), 9.0) == {}
        stub.assert_no_pending_responses()


def test_groups_that_do_not_answer_cost_no_discovery() -> None:
    nowhere = boto3.client(
        "autoscaling",
        endpoint_url="http://127.0.0.1:9",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    with pytest.raises(ThrottledError, match="does not answer"):
        autoscaling(nowhere).list_open({"busy"}, 9.0)


@pytest.mark.parametrize(("code", "error"), [("Throttling", ThrottledError), ("AccessDenied", RefusedError)])
def test_groups_that_may_not_be_described_have_a_name(code: str, error: type[Exception]) -> None:
    client = boto3.client("autoscaling")
    with Stubber(client) as stub:
        for _ in range(5):
            stub.add_client_error("describe_auto_scaling_groups", code, "not now")
        with pytest.raises(error):
            autoscaling(client).list_open({"busy"}, 9.0)


@pytest.mark.parametrize(
    ("code", "error"),
    [("ValidationError", None), ("Throttling", ThrottledError), ("AccessDenied", RefusedError)],
)
def test_an_action_that_is_over_is_no_error_and_others_have_a_name(
    code: str, error: type[Exception] | None
) -> None:
    client = boto3.client("autoscaling")
    with Stubber(client) as stub:
        for _ in range(5):
            stub.add_client_error("complete_lifecycle_action", code, "No active Lifecycle Action found")
        if error is None:
            autoscaling(client).complete(ACTION["InstanceId"], HOOK, LifecycleResult.CONTINUE)
            return
        with pytest.raises(error):
            autoscaling(client).complete(ACTION["InstanceId"], HOOK, LifecycleResult.CONTINUE)
