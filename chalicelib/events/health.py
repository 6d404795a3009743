"""AWS Health: EC2 will do something to instances at a time that is known ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from chalicelib.events.parsing import DRILL, mail_time, open_envelope, optional_text, read_instances


@dataclass(frozen=True, slots=True)
class ChangeScheduled:
    """One instance is to be stopped, rebooted or retired between ``start`` and ``end`` (0: not known).

    ``closed``: it is over, or will not happen, for all or for this instance. ``arn``: the same in all notices
    about one change.
    """

    time: float
    instance: str
    start: float
    end: float = 0.0
    code: str = ""
    closed: bool = False
    drill: bool = False
    arn: str = ""


@dataclass(frozen=True, slots=True)
class HealthNotice:
    """One notice of AWS Health: the same change for each of its instances.

    Sample: health_scheduled_change.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.health", DRILL],
        "detail-type": ["AWS Health Event"],
        "detail": {"service": ["EC2"], "eventTypeCategory": ["scheduledChange"]},
    }
    changes: tuple[ChangeScheduled, ...]

    @classmethod
    def parse(cls, payload: object, now: float = math.inf) -> Self:
        """Parse the JSON of an event that came at ``now``; entities that are no instances are left out."""
        envelope = open_envelope(payload, cls.PATTERN, now)
        start = mail_time("startTime")(envelope) or envelope.time
        end = mail_time("endTime")(envelope)
        code = optional_text("eventTypeCode")(envelope)
        closed = envelope.detail.get("statusCode") == "closed"
        arn = optional_text("eventArn")(envelope) or code
        return cls(
            tuple(
                ChangeScheduled(envelope.time, name, start, end, code, closed or over, envelope.drill, arn)
                for name, over in read_instances(envelope).items()
            )
        )
