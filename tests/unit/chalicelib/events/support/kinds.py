"""The genuine sample of each kind of event, and what stands in it."""

from __future__ import annotations

from typing import Any

from chalicelib.events import (
    FleetFailed,
    FleetInstanceChanged,
    FleetNoted,
    HealthNotice,
    InstanceStateChanged,
    InvocationEnded,
    LaunchLifecycleAction,
    RebalanceRecommended,
    SpotInterruptionWarning,
    SpotRequestFulfilled,
    TerminateLifecycleAction,
)

TIME = 1795168800.0  # 2026-11-20T10:00:00Z
INSTANCE = "i-0123456789abcdef0"
COMMAND = "e8d3c0e4-71f7-4491-898f-c9b35bee5f3b"
ENDED = InvocationEnded(TIME, COMMAND, INSTANCE)
KINDS: dict[type[Any], str] = {
    SpotInterruptionWarning: "spot_interruption_warning",
    RebalanceRecommended: "rebalance_recommendation",
    InstanceStateChanged: "instance_terminated",
    SpotRequestFulfilled: "spot_request_fulfillment",
    FleetInstanceChanged: "spot_fleet_instance_launched",
    FleetNoted: "ec2_fleet_state_change",
    FleetFailed: "ec2_fleet_error",
    LaunchLifecycleAction: "asg_launch_lifecycle",
    TerminateLifecycleAction: "asg_terminate_lifecycle",
    HealthNotice: "health_scheduled_change",
    InvocationEnded: "ssm_invocation_failed",
}
