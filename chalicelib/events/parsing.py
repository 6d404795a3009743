"""How an event from outside is parsed: an envelope, and one reader for each field of the event's class.

An error is one line that names the field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, ClassVar, Self, TypeVar

from chalicelib.errors import HybridError, MalformedError
from chalicelib.protocol import checks

EVENT_TIME_RESOLUTION_S = 1.0  # EventBridge cuts its times to whole seconds
DRILL = "swarmkeeper.drill"  # the source of drills
FLEET = re.compile(r"(?:sfr|fleet)-[0-9a-f-]{8,40}\Z")
TOKEN = re.compile(r"[0-9A-Za-z-]{36}")  # Auto Scaling takes no token of another length
HYBRID = re.compile(r"mi-[0-9a-f]{17}")
COMMAND = re.compile(r"[A-Za-z0-9-]{1,64}")
MAX_TEXT = 1024  # characters
UNAFFECTED = ("RESOLVED", "UNIMPAIRED")  # statuses of an entity that an open event does not concern any more
# Neither control characters, nor what cannot be written as UTF-8: names are sent back to AWS as they are.
LINE = re.compile(rf"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{{1,{MAX_TEXT}}}")
Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every EventBridge event has; ``time`` in seconds since the epoch."""

    time: float
    detail: dict[str, Any]
    resources: object
    drill: bool


Reader = Callable[[Envelope], Any]


@dataclass(frozen=True, slots=True)
class OutsideEvent:
    """An event from EventBridge: ``PATTERN`` selects it, ``FIELDS`` has a reader for each of its fields."""

    PATTERN: ClassVar[dict[str, Any]]
    FIELDS: ClassVar[dict[str, Reader]]
    time: float

    @classmethod
    def parse(cls, payload: object, now: float = math.inf) -> Self:
        """Parse the JSON of an EventBridge event that came at ``now``; raises MalformedError."""
        envelope = open_envelope(payload, cls.PATTERN, now)
        fields: dict[str, Any] = {name: read(envelope) for name, read in cls.FIELDS.items()}
        return cls(time=envelope.time, **fields)


def open_envelope(payload: object, pattern: dict[str, Any], now: float) -> Envelope:
    """Check that the payload is an EventBridge event of the pattern's kind.

    What has happened does not lie ahead: a time that does is of a clock that is wrong, and counts as ``now``.
    """
    if not isinstance(payload, dict):
        raise malformed("the event", "an object", payload)
    for field in ("source", "detail-type"):
        if payload.get(field) not in pattern[field]:
            raise malformed(field, repr(pattern[field][0]), payload.get(field))
    detail = payload.get("detail")
    if not isinstance(detail, dict):
        raise malformed("detail", "an object", detail)
    drill = payload.get("source") == DRILL
    time = min(_parse_time(payload.get("time")), now)
    return Envelope(time, detail, payload.get("resources"), drill)


def instance_id(field: str = "instance-id") -> Reader:
    """Read the id of an EC2 instance; raises HybridError for a machine that is none."""
    read = _checked(field, checks.instance_id)

    def read_instance(envelope: Envelope) -> Any:
        value = envelope.detail.get(field)
        if isinstance(value, str) and HYBRID.fullmatch(value):
            raise HybridError(f"{value} is a machine of a hybrid account, no EC2 instance")
        return read(envelope)

    return read_instance


def command_id(field: str) -> Reader:
    """Read the id of a command."""
    return _checked(field, checks.matching(COMMAND, "the id of a command"))


def action_token(field: str) -> Reader:
    """Read the token of a lifecycle action."""
    return _checked(field, checks.matching(TOKEN, "a lifecycle action's token of 36 characters"))


def text(field: str) -> Reader:
    """Read a text that must be there."""
    return _checked(field, checks.matching(LINE, f"one line of at most {MAX_TEXT} characters"))


def optional_text(field: str) -> Reader:
    """Read a text for people, cut where it is very long; "" if there is none."""

    def read(envelope: Envelope) -> str:
        value = envelope.detail.get(field)
        return checks.printable(value, MAX_TEXT) if isinstance(value, str) else ""

    return read


def choice(field: str, choices: type[Choice]) -> Callable[[Envelope], Choice]:
    """Read one of an enumeration's values."""
    read = _checked(field, checks.one_of(choices))
    return lambda envelope: choices(read(envelope))


def mail_time(field: str) -> Callable[[Envelope], float]:
    """Read a time such as ``Sat, 21 Nov 2026 15:00:00 GMT``; 0 if there is none."""

    def read(envelope: Envelope) -> float:
        value = envelope.detail.get(field)
        if value in (None, ""):
            return 0.0
        try:
            moment = parsedate_to_datetime(value) if isinstance(value, str) else None
        except (ValueError, TypeError, IndexError, OverflowError):  # it takes a year of any length
            moment = None
        if moment is None or moment.tzinfo is None:
            raise malformed(f"detail.{field}", "a time such as Sat, 21 Nov 2026 15:00:00 GMT", value)
        return moment.timestamp()

    return read


def read_drill(envelope: Envelope) -> bool:
    """Read whether the event is a drill."""
    return envelope.drill


def read_fleet(envelope: Envelope) -> str:
    """Read the fleet that an event is about: only ``resources`` names it; "" if nothing does."""
    arns = envelope.resources if isinstance(envelope.resources, list) else []
    names = (arn.rpartition("/")[2] for arn in arns if isinstance(arn, str))
    return next((name for name in names if FLEET.match(name)), "")


def read_instances(envelope: Envelope) -> dict[str, bool]:
    """Read the instances among the affected entities, and whether each is over it by its own status."""
    rows = envelope.detail.get("affectedEntities")
    if not isinstance(rows, list):
        raise malformed("detail.affectedEntities", "a list", rows)
    found: dict[str, bool] = {}
    for row in rows:
        name = row.get("entityValue") if isinstance(row, dict) else None
        if isinstance(name, str) and not checks.instance_id(name):
            found[name] = found.get(name, True) and row.get("status") in UNAFFECTED
    return found


def malformed(field: str, wanted: str, got: object) -> MalformedError:
    """Make the error for a field that is not what it has to be."""
    return MalformedError(
        f"{checks.wrong(field, wanted, got)}: nothing was changed; look at what sent the event"
    )


def _checked(field: str, check: checks.Check) -> Reader:
    """Read a field of the detail that has to pass a check."""

    def read(envelope: Envelope) -> Any:
        value = envelope.detail.get(field)
        if wanted := check(value):
            raise malformed(f"detail.{field}", wanted, value)
        return value

    return read


def _parse_time(value: object) -> float:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise malformed("time", "a UTC time such as 2026-11-20T10:00:00Z", value)
    return moment.timestamp()
