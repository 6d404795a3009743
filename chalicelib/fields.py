"""The fields of an event from outside, each checked; an error is one line that names the field."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from chalicelib.errors import MalformedError
from chalicelib.protocol import INSTANCE

COMMAND = re.compile(r"[A-Za-z0-9-]{1,64}")
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


def instance_id(detail: dict[str, Any]) -> str:
    """The EC2 instance of a detail."""
    instance = detail.get("instance-id")
    if not isinstance(instance, str) or not INSTANCE.match(instance):
        raise malformed("detail.instance-id", "an EC2 instance id such as i-0123456789abcdef0", instance)
    return instance


def command_id(detail: dict[str, Any]) -> str:
    """The id of a command, from a detail."""
    command = detail.get("command-id")
    if not isinstance(command, str) or not COMMAND.fullmatch(command):
        raise malformed("detail.command-id", "the id of a command", command)
    return command


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
