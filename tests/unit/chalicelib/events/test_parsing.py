"""Events are parsed from the genuine payloads; anything else is one clear error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import HybridError, MalformedError
from chalicelib.events import (
    ChangeScheduled,
    FleetChange,
    FleetFailed,
    FleetInstanceChanged,
    FleetNoted,
    HealthNotice,
    InstanceStateChanged,
    InterruptionAction,
    InvocationEnded,
    LaunchLifecycleAction,
    RebalanceRecommended,
    SpotInterruptionWarning,
    SpotRequestFulfilled,
    TerminateLifecycleAction,
    Tick,
)
from chalicelib.state.instance import InstanceState, LifecycleAction, Transition
from tests.unit.chalicelib.events.support.kinds import ENDED, INSTANCE, KINDS, TIME
from tests.unit.chalicelib.support.samples import sample

STARTS = 1795273200.0  # Sat, 21 Nov 2026 15:00:00 GMT
RETIREMENT = "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED"
ARN = f"arn:aws:health:us-east-1::event/EC2/{RETIREMENT}/x"
HOOK = LifecycleAction(
    "faas-workers", "swarm-join", "87654321-4321-4321-4321-210987654321", Transition.LAUNCHING, TIME
)
SPOT_FLEET = "sfr-598fb973-87b7-422d-be4d-6b0809bfff0a"
EC2_FLEET = "fleet-598fb973-87b7-422d-be4d-6b0809bfff0a"
PARSED = [
    ("rebalance_recommendation", RebalanceRecommended(TIME, INSTANCE)),
    ("spot_request_fulfillment", SpotRequestFulfilled(TIME, INSTANCE)),
    ("spot_fleet_instance_launched", FleetInstanceChanged(TIME, INSTANCE, FleetChange.LAUNCHED)),
    ("ec2_fleet_instance_terminated", FleetInstanceChanged(TIME, INSTANCE, FleetChange.TERMINATED)),
    (
        "ec2_fleet_instance_termination_notified",
        FleetInstanceChanged(TIME, INSTANCE, FleetChange.TERMINATION_NOTIFIED),
    ),
    ("spot_fleet_state_change", FleetNoted(TIME, SPOT_FLEET, "cancelled_running")),
    ("ec2_fleet_state_change", FleetNoted(TIME, EC2_FLEET, "deleted_running")),
    (
        "spot_fleet_error",
        FleetFailed(TIME, "", "allLaunchSpecsTemporarilyBlacklisted", "Request failed: no capacity"),
    ),
    ("asg_launch_lifecycle", LaunchLifecycleAction(TIME, INSTANCE, HOOK)),
    (
        "health_scheduled_change",
        HealthNotice((ChangeScheduled(TIME, INSTANCE, STARTS, 0.0, RETIREMENT, arn=ARN),)),
    ),
    (
        "drill_interruption_warning",
        SpotInterruptionWarning(TIME, INSTANCE, InterruptionAction.TERMINATE, drill=True),
    ),
]


@pytest.mark.parametrize(("name", "expected"), PARSED, ids=[name for name, _ in PARSED])
def test_the_genuine_payloads_are_parsed(name: str, expected: object) -> None:
    assert type(expected).parse(sample(name)) == expected  # type: ignore[attr-defined]


def test_a_halted_fleet_is_a_failure_and_other_information_is_not() -> None:
    assert FleetNoted.parse(sample("spot_fleet_information")).failure
    assert not FleetNoted.parse(sample("spot_fleet_information", sub_type="launchSpecUnusable")).failure
    assert FleetFailed.parse(sample("spot_fleet_error")).failure


def test_a_health_notice_is_one_change_for_each_of_its_instances() -> None:
    payload = sample("health_scheduled_change")
    values = [INSTANCE, "i-0123456789abcdef1", INSTANCE, "vol-0123456789abcdef0", 5]
    payload["detail"]["affectedEntities"] = [{"entityValue": value} for value in values]
    payload["detail"]["endTime"] = "Sat, 21 Nov 2026 17:00:00 GMT"
    payload["detail"]["statusCode"] = "closed"
    changes = HealthNotice.parse(payload).changes
    assert [change.instance for change in changes] == [INSTANCE, "i-0123456789abcdef1"]
    assert {(change.start, change.end, change.closed) for change in changes} == {
        (STARTS, STARTS + 7200, True)
    }


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not InvocationEnded])
def test_every_event_but_the_end_of_a_command_can_be_a_drill(kind: type[Any]) -> None:
    parsed = kind.parse(sample(KINDS[kind]) | {"source": "swarmkeeper.drill"})
    assert all(one.drill for one in getattr(parsed, "changes", [parsed]))


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("spot_fleet_instance_launched", "sub-type", "exploded"),
        ("ec2_fleet_error", "sub-type", None),
        ("asg_launch_lifecycle", "EC2InstanceId", "i-x"),
        ("asg_launch_lifecycle", "LifecycleTransition", "autoscaling:TEST_NOTIFICATION"),
        ("asg_terminate_lifecycle", "LifecycleActionToken", ""),
        ("asg_terminate_lifecycle", "LifecycleActionToken", "shorter-than-auto-scaling-takes"),
        ("health_scheduled_change", "startTime", "soon"),
        ("health_scheduled_change", "affectedEntities", {}),
    ],
)
def test_a_wrong_detail_of_any_event_names_the_field(name: str, field: str, value: object) -> None:
    kind = next(
        kind
        for kind in KINDS
        if kind.PATTERN["detail-type"][0] in sample(name)["detail-type"]
        or sample(name)["detail-type"] in kind.PATTERN["detail-type"]
    )
    payload = sample(name)
    payload["detail"][field] = value
    with pytest.raises(MalformedError, match=rf"^detail\.{field} must be "):
        kind.parse(payload)


def test_the_genuine_warning_is_parsed() -> None:
    expected = SpotInterruptionWarning(TIME, INSTANCE, InterruptionAction.TERMINATE)
    assert SpotInterruptionWarning.parse(sample("spot_interruption_warning")) == expected


@pytest.mark.parametrize("name", ["instance_running", "instance_terminated"])
def test_the_genuine_state_changes_are_parsed(name: str) -> None:
    expected = InstanceStateChanged(TIME, INSTANCE, InstanceState(name.removeprefix("instance_")))
    assert InstanceStateChanged.parse(sample(name)) == expected


@pytest.mark.parametrize("ahead", [-5.0, 0.0, 600.0])
def test_no_event_lies_ahead_of_the_time_at_which_it_comes(ahead: float) -> None:
    warning = SpotInterruptionWarning.parse(sample("spot_interruption_warning"), TIME - ahead)
    assert warning.time == min(TIME, TIME - ahead)
    held = TerminateLifecycleAction.parse(sample("asg_terminate_lifecycle", TIME), TIME - ahead)
    assert held.hook.opened == min(TIME, TIME - ahead)
    (change, *_) = HealthNotice.parse(sample("health_scheduled_change", TIME), TIME - ahead).changes
    assert (change.time, change.start > TIME) == (min(TIME, TIME - ahead), True)


@pytest.mark.parametrize("name", ["ssm_invocation_success", "ssm_invocation_failed"])
def test_the_genuine_ends_of_commands_are_parsed(name: str) -> None:
    assert InvocationEnded.parse(sample(name)) == ENDED


@pytest.mark.parametrize("payload", [None, {}, {"source": "aws.events"}])
def test_a_tick_needs_nothing(payload: object) -> None:
    assert Tick.parse(payload) == Tick()


def test_the_instance_comes_from_the_detail_whatever_the_resources_name() -> None:
    payload = sample("spot_interruption_warning") | {
        "resources": ["arn:aws:ec2:x:y:instance/i-0fffffffffffffff0"]
    }
    assert SpotInterruptionWarning.parse(payload).instance == INSTANCE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("instance-id", "i-xyz"),
        ("instance-id", None),
        ("instance-id", ["i-0123456789abcdef0"]),
        ("instance-id", "i-0123456789abcdef0\n"),
        ("instance-action", "explode"),
        ("instance-action", None),
        ("instance-action", {}),
    ],
)
def test_a_warning_with_a_wrong_detail_names_the_field(field: str, value: object) -> None:
    payload = sample("spot_interruption_warning")
    payload["detail"][field] = value
    with pytest.raises(
        MalformedError, match=rf"^detail\.{field} must be .*, not .*: nothing was changed"
    ) as caught:
        SpotInterruptionWarning.parse(payload)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "aws.s3"),
        ("detail-type", "EC2 Instance Rebalance Recommendation"),
        ("detail", "text"),
        ("detail", None),
        ("time", None),
        ("time", 5),
        ("time", "yesterday"),
        ("time", "2026-11-20T10:00:00"),
    ],
)
def test_a_wrong_envelope_names_the_field(field: str, value: object) -> None:
    with pytest.raises(MalformedError, match=rf"^{field} must be "):
        SpotInterruptionWarning.parse(sample("spot_interruption_warning") | {field: value})


def test_an_unknown_state_and_a_wrong_command_are_refused() -> None:
    with pytest.raises(MalformedError, match=r"^detail\.state must be one of pending, running"):
        InstanceStateChanged.parse(sample("instance_terminated", state="melted"))
    with pytest.raises(MalformedError, match=r"^detail\.command-id must be the id of a command"):
        InvocationEnded.parse(sample("ssm_invocation_success", command_id="../x"))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(payload=anything, kind=st.sampled_from(list(KINDS)))
def test_any_other_json_is_malformed_and_nothing_worse(payload: object, kind: Any) -> None:
    with pytest.raises(MalformedError):
        kind.parse(payload)


@given(field=st.sampled_from(["time", "detail", "source"]), value=anything, kind=st.sampled_from(list(KINDS)))
def test_one_field_of_any_shape_is_malformed_and_nothing_worse(field: str, value: object, kind: Any) -> None:
    with pytest.raises(MalformedError, match=rf"^({field}|detail\.)"):
        kind.parse(sample(KINDS[kind]) | {field: value})


@pytest.mark.parametrize(
    ("rows", "closed"),
    [
        (["IMPAIRED"], False),
        (["UNKNOWN"], False),
        (["PENDING"], False),
        ([None], False),
        ([["RESOLVED"]], False),
        (["RESOLVED"], True),
        (["UNIMPAIRED"], True),
        (["RESOLVED", "IMPAIRED"], False),
        (["IMPAIRED", "RESOLVED"], False),
    ],
)
def test_an_entity_that_is_resolved_is_over_in_an_event_that_is_open(
    rows: list[object], *, closed: bool
) -> None:
    payload = sample("health_scheduled_change", TIME)
    payload["detail"]["affectedEntities"] = [
        {"entityValue": INSTANCE} | ({"status": status} if status else {}) for status in rows
    ]
    (change,) = HealthNotice.parse(payload).changes
    assert (change.instance, change.closed) == (INSTANCE, closed)


def test_a_machine_of_a_hybrid_account_is_neither_selected_nor_malformed() -> None:
    payload = sample("ssm_invocation_success", TIME)
    assert InvocationEnded.PATTERN["detail"]["instance-id"] == [{"prefix": "i-"}]
    assert payload["detail"]["instance-id"].startswith("i-")
    payload["detail"]["instance-id"] = "mi-0123456789abcdef0"
    with pytest.raises(HybridError, match=r"^mi-0123456789abcdef0 is a machine of a hybrid"):
        InvocationEnded.parse(payload)


@pytest.mark.parametrize(
    ("name", "detail", "warm", "from_pool"),
    [
        ("asg_launch_lifecycle", {"Origin": "EC2", "Destination": "WarmPool"}, True, False),
        ("asg_launch_lifecycle", {"Origin": "WarmPool", "Destination": "AutoScalingGroup"}, False, True),
        ("asg_launch_lifecycle", {"Origin": None, "Destination": ["WarmPool"]}, False, False),
        ("asg_terminate_lifecycle", {"Origin": "AutoScalingGroup", "Destination": "WarmPool"}, False, False),
    ],
)
def test_a_lifecycle_action_tells_whether_it_is_about_the_warm_pool(
    name: str, detail: dict[str, Any], *, warm: bool, from_pool: bool
) -> None:
    payload = sample(name, TIME)
    payload["detail"] |= detail
    kind = LaunchLifecycleAction if "launch" in name else TerminateLifecycleAction
    event = kind.parse(payload)
    assert (event.hook.warm, getattr(event, "from_pool", False)) == (warm, from_pool)
