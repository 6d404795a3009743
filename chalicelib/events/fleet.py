"""Spot Fleet and EC2 Fleet: one shape from two sources. *Instant* fleets send no events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from chalicelib.events.parsing import (
    DRILL,
    OutsideEvent,
    Reader,
    choice,
    instance_id,
    optional_text,
    read_drill,
    read_fleet,
    text,
)

SOURCES = ["aws.ec2spotfleet", "aws.ec2fleet", DRILL]
HALTED = "fleetProgressHalted"  # an information that is a failure: no price of the fleet is valid


class FleetChange(StrEnum):
    """What a fleet says of one of its instances."""

    LAUNCHED = "launched"
    TERMINATION_NOTIFIED = "termination_notified"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class FleetInstanceChanged(OutsideEvent):
    """A fleet has launched or terminated an instance, or knows that it will be interrupted.

    ``description`` is a JSON string without anything that is needed here.
    Samples: spot_fleet_instance_*.json, ec2_fleet_instance_*.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": SOURCES,
        "detail-type": ["EC2 Spot Fleet Instance Change", "EC2 Fleet Instance Change"],
    }
    FIELDS: ClassVar[dict[str, Reader]] = {
        "instance": instance_id(),
        "change": choice("sub-type", FleetChange),
        "drill": read_drill,
    }
    instance: str
    change: FleetChange
    drill: bool = False


@dataclass(frozen=True, slots=True)
class _FleetEvent(OutsideEvent):
    """What a fleet says of itself."""

    FIELDS: ClassVar[dict[str, Reader]] = {
        "fleet": read_fleet,
        "kind": text("sub-type"),
        "description": optional_text("description"),
        "drill": read_drill,
    }
    fleet: str
    kind: str
    description: str = ""
    drill: bool = False

    @property
    def text(self) -> str:
        """What the fleet says, for people."""
        name = self.fleet or "a fleet that the event does not name"
        return f"{name}: {self.kind}" + (f", {self.description}" if self.description else "")


@dataclass(frozen=True, slots=True)
class FleetNoted(_FleetEvent):
    """A fleet or one of its requests has changed, or it has something to say.

    Samples: *_fleet_state_change.json, *_fleet_request_change.json, *_fleet_information.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": SOURCES,
        "detail-type": [
            "EC2 Spot Fleet State Change",
            "EC2 Spot Fleet Spot Instance Request Change",
            "EC2 Spot Fleet Information",
            "EC2 Fleet State Change",
            "EC2 Fleet Spot Instance Request Change",
            "EC2 Fleet Information",
        ],
    }

    @property
    def failure(self) -> bool:
        """Whether the fleet cannot go on."""
        return self.kind == HALTED


@dataclass(frozen=True, slots=True)
class FleetFailed(_FleetEvent):
    """A fleet could not do what it should.

    Samples: spot_fleet_error.json, ec2_fleet_error.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": SOURCES,
        "detail-type": ["EC2 Spot Fleet Error", "EC2 Fleet Error"],
    }
    failure: ClassVar[bool] = True
