"""Auto Scaling: a group waits with a lifecycle action before an instance is of use, or before it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from chalicelib.events.parsing import (
    DRILL,
    Envelope,
    OutsideEvent,
    Reader,
    action_token,
    choice,
    instance_id,
    read_drill,
    text,
)
from chalicelib.state.instance import LifecycleAction, Transition

WARM_POOL = "WarmPool"


def _read_action(envelope: Envelope) -> LifecycleAction:
    transition = choice("LifecycleTransition", Transition)(envelope)
    return LifecycleAction(
        group=text("AutoScalingGroupName")(envelope),
        name=text("LifecycleHookName")(envelope),
        token=action_token("LifecycleActionToken")(envelope),
        transition=transition,
        opened=envelope.time,
        warm=transition is Transition.LAUNCHING and envelope.detail.get("Destination") == WARM_POOL,
    )


def _read_from_pool(envelope: Envelope) -> bool:
    return bool(envelope.detail.get("Origin") == WARM_POOL)


FIELDS: dict[str, Reader] = {
    "hook": _read_action,
    "instance": instance_id("EC2InstanceId"),
    "drill": read_drill,
}


@dataclass(frozen=True, slots=True)
class LaunchLifecycleAction(OutsideEvent):
    """An Auto Scaling group waits for an instance to become of use, new or from its warm pool.

    Sample: asg_launch_lifecycle.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.autoscaling", DRILL],
        "detail-type": ["EC2 Instance-launch Lifecycle Action"],
    }
    FIELDS: ClassVar[dict[str, Reader]] = FIELDS | {"from_pool": _read_from_pool}
    instance: str
    hook: LifecycleAction
    drill: bool = False
    from_pool: bool = False


@dataclass(frozen=True, slots=True)
class TerminateLifecycleAction(OutsideEvent):
    """An Auto Scaling group waits before it terminates an instance, so that its node can be emptied.

    Sample: asg_terminate_lifecycle.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.autoscaling", DRILL],
        "detail-type": ["EC2 Instance-terminate Lifecycle Action"],
    }
    FIELDS: ClassVar[dict[str, Reader]] = FIELDS
    instance: str
    hook: LifecycleAction
    drill: bool = False
