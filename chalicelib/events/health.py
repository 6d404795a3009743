"""AWS Health: EC2 will do something to instances at a time that is known ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from chalicelib.events.parsing import DRILL, drilled, entities, envelope, mail_time, optional_text


@dataclass(frozen=True, slots=True)
class ChangeScheduled:
    """One instance is to be stopped, rebooted or retired between ``start`` and ``end`` (0: not known).

    ``closed``: it is over, or will not be. ``arn``: names the change in every notice of it.
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
    """What AWS Health tells at once: the same for each of its instances."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.health", DRILL],
        "detail-type": ["AWS Health Event"],
        "detail": {"service": ["EC2"], "eventTypeCategory": ["scheduledChange"]},
    }
    changes: tuple[ChangeScheduled, ...]

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event. Entities that are no instances are passed over."""
        time, detail = envelope(payload, cls.PATTERN)
        start = mail_time(detail, "startTime") or time
        end = mail_time(detail, "endTime")
        code = optional_text(detail, "eventTypeCode")
        closed = detail.get("statusCode") == "closed"
        what = (start, end, code, closed, drilled(payload), optional_text(detail, "eventArn") or code)
        return cls(tuple(ChangeScheduled(time, name, *what) for name in entities(detail)))
