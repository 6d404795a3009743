"""EC2: what it does to an instance, or recommends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from chalicelib.events.parsing import DRILL, OutsideEvent, Reader, choice, instance_id, read_drill
from chalicelib.state.instance import InstanceState

SOURCES = ["aws.ec2", DRILL]
FIELDS: dict[str, Reader] = {"instance": instance_id(), "drill": read_drill}


class InterruptionAction(StrEnum):
    """What EC2 does to an interrupted Spot instance."""

    TERMINATE = "terminate"
    STOP = "stop"
    HIBERNATE = "hibernate"


@dataclass(frozen=True, slots=True)
class SpotInterruptionWarning(OutsideEvent):
    """EC2 takes a Spot instance back about two minutes after ``time``.

    Sample: spot_interruption_warning.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": SOURCES,
        "detail-type": ["EC2 Spot Instance Interruption Warning"],
    }
    FIELDS: ClassVar[dict[str, Reader]] = FIELDS | {"action": choice("instance-action", InterruptionAction)}
    instance: str
    action: InterruptionAction = InterruptionAction.TERMINATE
    drill: bool = False


@dataclass(frozen=True, slots=True)
class RebalanceRecommended(OutsideEvent):
    """EC2 sees a Spot instance at risk; often nothing follows, and some interruptions come without this.

    Sample: rebalance_recommendation.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": SOURCES,
        "detail-type": ["EC2 Instance Rebalance Recommendation"],
    }
    FIELDS: ClassVar[dict[str, Reader]] = FIELDS
    instance: str
    drill: bool = False


@dataclass(frozen=True, slots=True)
class InstanceStateChanged(OutsideEvent):
    """An EC2 instance has entered another state.

    Samples: instance_running.json, instance_terminated.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": SOURCES,
        "detail-type": ["EC2 Instance State-change Notification"],
        "detail": {"state": ["running", "stopping", "stopped", "shutting-down", "terminated"]},
    }
    FIELDS: ClassVar[dict[str, Reader]] = FIELDS | {"state": choice("state", InstanceState)}
    instance: str
    state: InstanceState
    drill: bool = False


@dataclass(frozen=True, slots=True)
class SpotRequestFulfilled(OutsideEvent):
    """A Spot request has got its instance; the event of its state says when it runs.

    Sample: spot_request_fulfillment.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": SOURCES,
        "detail-type": ["EC2 Spot Instance Request Fulfillment"],
    }
    FIELDS: ClassVar[dict[str, Reader]] = FIELDS
    instance: str
    drill: bool = False
