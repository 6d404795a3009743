"""Auto Scaling: a lifecycle hook holds an instance at its launch or before its end until it is completed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from chalicelib.events.parsing import DRILL, action_token, choice, drilled, envelope, instance_id, text
from chalicelib.state.instance import LifecycleAction, Transition


@dataclass(frozen=True, slots=True)
class LaunchLifecycleAction:
    """An Auto Scaling group waits for an instance to become of use."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.autoscaling", DRILL],
        "detail-type": ["EC2 Instance-launch Lifecycle Action"],
    }
    time: float
    instance: str
    hook: LifecycleAction
    drill: bool = False

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        return cls(*_held(payload, cls.PATTERN))


@dataclass(frozen=True, slots=True)
class TerminateLifecycleAction:
    """An Auto Scaling group waits before it ends an instance, for it to be left."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.autoscaling", DRILL],
        "detail-type": ["EC2 Instance-terminate Lifecycle Action"],
    }
    time: float
    instance: str
    hook: LifecycleAction
    drill: bool = False

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        return cls(*_held(payload, cls.PATTERN))


def _held(payload: object, pattern: dict[str, Any]) -> tuple[float, str, LifecycleAction, bool]:
    time, detail = envelope(payload, pattern)
    hook = LifecycleAction(
        group=text(detail, "AutoScalingGroupName"),
        name=text(detail, "LifecycleHookName"),
        token=action_token(detail),
        transition=choice(detail, "LifecycleTransition", Transition),
        opened=time,
    )
    return time, instance_id(detail, "EC2InstanceId"), hook, drilled(payload)
