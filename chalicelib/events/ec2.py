"""EC2: what it does to an instance, or advises."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from chalicelib.events.parsing import DRILL, choice, drilled, envelope, instance_id
from chalicelib.state.instance import InstanceState


class Ending(StrEnum):
    """What EC2 does to an interrupted Spot instance."""

    TERMINATE = "terminate"
    STOP = "stop"
    HIBERNATE = "hibernate"


@dataclass(frozen=True, slots=True)
class SpotInterruptionWarning:
    """EC2 takes a Spot instance back about two minutes after ``time``."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.ec2", DRILL],
        "detail-type": ["EC2 Spot Instance Interruption Warning"],
    }
    time: float
    instance: str
    ending: Ending = Ending.TERMINATE
    drill: bool = False

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        time, detail = envelope(payload, cls.PATTERN)
        return cls(time, instance_id(detail), choice(detail, "instance-action", Ending), drilled(payload))


@dataclass(frozen=True, slots=True)
class RebalanceRecommended:
    """EC2 sees a Spot instance at risk; often nothing follows, and some interruptions come without this."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.ec2", DRILL],
        "detail-type": ["EC2 Instance Rebalance Recommendation"],
    }
    time: float
    instance: str
    drill: bool = False

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        time, detail = envelope(payload, cls.PATTERN)
        return cls(time, instance_id(detail), drilled(payload))


@dataclass(frozen=True, slots=True)
class InstanceStateChanged:
    """An EC2 instance has entered another state."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.ec2", DRILL],
        "detail-type": ["EC2 Instance State-change Notification"],
        "detail": {"state": ["running", "stopping", "stopped", "shutting-down", "terminated"]},
    }
    time: float
    instance: str
    state: InstanceState
    drill: bool = False

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        time, detail = envelope(payload, cls.PATTERN)
        return cls(time, instance_id(detail), choice(detail, "state", InstanceState), drilled(payload))


@dataclass(frozen=True, slots=True)
class SpotRequestFulfilled:
    """A Spot request has got its instance; that it runs is told by its state."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.ec2", DRILL],
        "detail-type": ["EC2 Spot Instance Request Fulfillment"],
    }
    time: float
    instance: str
    drill: bool = False

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        time, detail = envelope(payload, cls.PATTERN)
        return cls(time, instance_id(detail), drilled(payload))
