"""The fields of an event from outside, each checked; an error is one line that names the field."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, TypeVar

from chalicelib.errors import MalformedError
from chalicelib.protocol.messages import INSTANCE

EVENT_TIME_RESOLUTION_S = 1.0  # EventBridge cuts its times to whole seconds
DRILL = "swarmkeeper.drill"  # the source of drills
FLEET = re.compile(r"(?:sfr|fleet)-[0-9a-f-]{8,40}\Z")
ACTION = re.compile(r"[0-9A-Za-z-]{36}")  # Auto Scaling takes no token of another length
COMMAND = re.compile(r"[A-Za-z0-9-]{1,64}")
LONGEST = 1024  # characters
Choice = TypeVar("Choice", bound=StrEnum)


def envelope(payload: object, pattern: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Time and detail of an EventBridge event of the pattern's kind."""
    if not isinstance(payload, dict):
        raise malformed("the event", "an object", payload)
    for field in ("source", "detail-type"):
        if payload.get(field) not in pattern[field]:
            raise malformed(field, repr(pattern[field][0]), payload.get(field))
    detail = payload.get("detail")
    if not isinstance(detail, dict):
        raise malformed("detail", "an object", detail)
    return _time(payload.get("time")), detail


def _time(value: object) -> float:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise malformed("time", "a UTC time such as 2026-11-20T10:00:00Z", value)
    return moment.timestamp()


def drilled(payload: object) -> bool:
    """Whether it is a drill."""
    return isinstance(payload, dict) and payload.get("source") == DRILL


def instance_id(detail: dict[str, Any], field: str = "instance-id") -> str:
    """The EC2 instance of a detail."""
    instance = detail.get(field)
    if not isinstance(instance, str) or not INSTANCE.match(instance):
        raise malformed(f"detail.{field}", "an EC2 instance id such as i-0123456789abcdef0", instance)
    return instance


def command_id(detail: dict[str, Any]) -> str:
    """The id of a command, from a detail."""
    command = detail.get("command-id")
    if not isinstance(command, str) or not COMMAND.fullmatch(command):
        raise malformed("detail.command-id", "the id of a command", command)
    return command


def action_token(detail: dict[str, Any]) -> str:
    """The token of a lifecycle action, from a detail."""
    token = detail.get("LifecycleActionToken")
    if not isinstance(token, str) or not ACTION.fullmatch(token):
        raise malformed("detail.LifecycleActionToken", "a lifecycle action's token of 36 characters", token)
    return token


def fleet_id(payload: object) -> str:
    """The fleet that an event is about: only ``resources`` names it; "" if nothing does."""
    resources = payload.get("resources") if isinstance(payload, dict) else None
    for arn in resources if isinstance(resources, list) else []:
        name = arn.rpartition("/")[2] if isinstance(arn, str) else ""
        if FLEET.match(name):
            return name
    return ""


def text(detail: dict[str, Any], field: str) -> str:
    """A text that must be there, from a detail."""
    value = detail.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
        raise malformed(f"detail.{field}", f"a text of at most {LONGEST} characters", value)
    return value


def optional_text(detail: dict[str, Any], field: str) -> str:
    """A text for people, cut where it is very long; "" if there is none."""
    value = detail.get(field)
    return value[:LONGEST] if isinstance(value, str) else ""


def mail_time(detail: dict[str, Any], field: str) -> float:
    """A time such as ``Sat, 21 Nov 2026 15:00:00 GMT``, from a detail; 0 if there is none."""
    value = detail.get(field)
    if value in (None, ""):
        return 0.0
    try:
        moment = parsedate_to_datetime(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise malformed(f"detail.{field}", "a time such as Sat, 21 Nov 2026 15:00:00 GMT", value)
    return moment.timestamp()


def entities(detail: dict[str, Any]) -> tuple[str, ...]:
    """The instances among the affected entities of a detail, each once."""
    rows = detail.get("affectedEntities")
    if not isinstance(rows, list):
        raise malformed("detail.affectedEntities", "a list", rows)
    values = [row.get("entityValue") for row in rows if isinstance(row, dict)]
    return tuple(dict.fromkeys(name for name in values if isinstance(name, str) and INSTANCE.match(name)))


def choice(detail: dict[str, Any], field: str, choices: type[Choice]) -> Choice:
    """One of an enumeration's values, from a detail."""
    value = detail.get(field)
    if not isinstance(value, str) or value not in list(choices):
        raise malformed(f"detail.{field}", "one of " + ", ".join(choices), value)
    return choices(value)


def malformed(field: str, wanted: str, got: object) -> MalformedError:
    """The error for a field that is not what it has to be."""
    return MalformedError(
        f"{field} must be {wanted}, not {str(got)[:100]!r}: nothing was changed; look at what sent the event"
    )
