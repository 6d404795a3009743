"""Spot Fleet and EC2 Fleet: one shape from two sources. *Instant* fleets tell nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from chalicelib.events.parsing import (
    DRILL,
    choice,
    drilled,
    envelope,
    fleet_id,
    instance_id,
    optional_text,
    text,
)

SOURCES = ["aws.ec2spotfleet", "aws.ec2fleet", DRILL]
HALTED = "fleetProgressHalted"  # an information that is a failure: no price of the fleet is valid


class Change(StrEnum):
    """What a fleet says of one of its instances."""

    LAUNCHED = "launched"
    TERMINATION_NOTIFIED = "termination_notified"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class FleetInstanceChanged:
    """A fleet has launched or terminated an instance, or knows that it will be interrupted."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": SOURCES,
        "detail-type": ["EC2 Spot Fleet Instance Change", "EC2 Fleet Instance Change"],
    }
    time: float
    instance: str
    change: Change
    drill: bool = False

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event. ``description`` is a JSON string that tells nothing we need."""
        time, detail = envelope(payload, cls.PATTERN)
        return cls(time, instance_id(detail), choice(detail, "sub-type", Change), drilled(payload))


@dataclass(frozen=True, slots=True)
class FleetNoted:
    """A fleet or one of its requests has changed, or it has something to say."""

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
    time: float
    fleet: str
    kind: str
    description: str = ""
    drill: bool = False

    @property
    def text(self) -> str:
        """What the fleet says, for people."""
        return _describe(self)

    @property
    def failure(self) -> bool:
        """The fleet cannot go on."""
        return self.kind == HALTED

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        time, detail = envelope(payload, cls.PATTERN)
        said = optional_text(detail, "description")
        return cls(time, fleet_id(payload), text(detail, "sub-type"), said, drilled(payload))


@dataclass(frozen=True, slots=True)
class FleetFailed:
    """A fleet could not do what it should."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": SOURCES,
        "detail-type": ["EC2 Spot Fleet Error", "EC2 Fleet Error"],
    }
    time: float
    fleet: str
    kind: str
    description: str = ""
    drill: bool = False
    failure: ClassVar[bool] = True

    @property
    def text(self) -> str:
        """What the fleet says, for people."""
        return _describe(self)

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        time, detail = envelope(payload, cls.PATTERN)
        said = optional_text(detail, "description")
        return cls(time, fleet_id(payload), text(detail, "sub-type"), said, drilled(payload))


def _describe(event: FleetNoted | FleetFailed) -> str:
    name = event.fleet or "a fleet that the event does not name"
    return f"{name}: {event.kind}" + (f", {event.description}" if event.description else "")
