"""Whatever people write into tags and names: no instance or group hides another, and words stay words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.autoscaling import AwsAutoScaling
from chalicelib.adapters.ec2 import CLUSTER_TAG, GROUP_TAG, ROLE_TAG, STAGE_TAG, AwsEc2
from chalicelib.protocol.checks import WORD
from chalicelib.state.instance import NAME

pytestmark = pytest.mark.fuzz
OWN: dict[str, str] = {
    CLUSTER_TAG: "blue",
    ROLE_TAG: "manager",
    STAGE_TAG: "prod",
    GROUP_TAG: "group",
    "aws:ec2:fleet-id": "fleet-1",
    "aws:ec2spot:fleet-request-id": "sfr-1",
}
INSTANCE: dict[str, Any] = {
    "InstanceId": "i-0123456789abcdef0",
    "State": {"Name": "running"},
    "PrivateIpAddress": "10.0.0.1",
    "LaunchTime": datetime(2026, 1, 1, tzinfo=UTC),
    "Placement": {"AvailabilityZone": "eu-central-1a"},
    "InstanceType": "m7g.large",
    "InstanceLifecycle": "spot",
}
OPTIONAL = ("PrivateIpAddress", "LaunchTime", "Placement", "InstanceType", "InstanceLifecycle")
TEXTS = ("PrivateIpAddress", "InstanceType", "InstanceLifecycle")
GROUP: dict[str, Any] = {
    "AutoScalingGroupName": "group",
    "Instances": [
        {"InstanceId": "i-1", "LifecycleState": "Pending:Wait"},
        {"InstanceId": "i-2", "LifecycleState": "Warmed:Pending:Wait"},
    ],
}
HOOK = {"LifecycleHookName": "hook", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"}


class Client:
    """EC2 and Auto Scaling that answer what they are given."""

    def __init__(self, page: dict[str, Any], hooks: list[dict[str, Any]]) -> None:
        self._page, self._hooks = page, hooks

    def get_paginator(self, _: str) -> Client:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self._page]

    def describe_lifecycle_hooks(self, **_: str) -> dict[str, Any]:
        return {"LifecycleHooks": self._hooks}


def row(tags: dict[str, str], **more: Any) -> dict[str, Any]:
    return {**INSTANCE, **more, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def discover(*rows: dict[str, Any]) -> Any:
    client: Any = Client({"Reservations": [{"Instances": list(rows)}]}, [])
    return AwsEc2(lambda: client, "prod").discover()


def waiting(*groups: dict[str, Any], hooks: list[dict[str, Any]]) -> Any:
    client: Any = Client({"AutoScalingGroups": list(groups)}, hooks)
    return AwsAutoScaling(lambda: client).list_open(["group"], 1.0)


def test_the_search_begins_with_what_is_read() -> None:
    (found,) = discover(row(OWN))
    assert all(getattr(found, name) for name in found.__slots__ if name != "hooks")
    assert set(waiting(GROUP, hooks=[HOOK])) == {"i-1", "i-2"}


@given(
    st.dictionaries(st.sampled_from(sorted(OWN)), st.text(max_size=300)),
    st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3),
    st.dictionaries(st.sampled_from(TEXTS), st.text(max_size=20)),
    st.sets(st.sampled_from(OPTIONAL)),
)
def test_an_instance_with_any_tags_hides_no_other(
    tags: dict[str, str], others: dict[str, str], more: dict[str, str], missing: set[str]
) -> None:
    changed = row({**OWN, **others, **tags}, **more)
    bad = {key: value for key, value in changed.items() if key not in missing}
    found = discover(bad, row(OWN, InstanceId="i-0123456789abcdef1"))
    assert found[-1].instance == "i-0123456789abcdef1"
    for one in found:
        assert NAME.fullmatch(one.cluster)
        assert all(not word or WORD.fullmatch(word) for word in (one.zone, one.kind, one.lifecycle))


@given(st.text(), st.text(), st.lists(st.text(max_size=20), max_size=3))
def test_a_group_of_any_name_and_states_hides_no_other(name: str, hook: str, states: list[str]) -> None:
    rows = [{"InstanceId": f"i-{at}0", "LifecycleState": state} for at, state in enumerate(states)]
    odd = {"AutoScalingGroupName": name, "Instances": rows}
    found = waiting(odd, GROUP, hooks=[{**HOOK, "LifecycleHookName": hook}])
    assert {"i-1", "i-2"} <= set(found)
