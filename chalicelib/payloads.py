"""The payloads of manual calls, each field checked; an error is one line that names the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from chalicelib.cluster import NAME
from chalicelib.errors import CallError
from chalicelib.protocol import INSTANCE

LONGEST = 43_200.0  # seconds, half a day: more was meant as milliseconds


@dataclass(frozen=True, slots=True)
class Field:
    """How a field is checked (``check`` answers what is wanted where the value is not that)."""

    check: Callable[[Any], str]
    required: bool = False


def checked(payload: object, fields: Mapping[str, Field]) -> dict[str, Any]:
    """The payload, which has these fields only; an absent one (None) is an empty one. Raises CallError."""
    given = {} if payload is None else payload
    if not isinstance(given, dict):
        raise CallError(f"the payload must be a JSON object, not {str(payload)[:100]!r}")
    known = ", ".join(sorted(fields))
    if unknown := sorted(set(map(str, given)) - set(fields)):
        raise CallError(f"unknown field {unknown[0]!r}; known are {known}")
    for field, rule in fields.items():
        if field not in given:
            if rule.required:
                raise CallError(f"{field} is missing; known fields are {known}")
        elif wanted := rule.check(given[field]):
            raise CallError(f"{field} must be {wanted}, not {str(given[field])[:100]!r}")
    return given


def name(value: Any) -> str:
    """A cluster's name."""
    good = isinstance(value, str) and NAME.fullmatch(value)
    return "" if good else "a cluster's name (letters, digits, '.', '_', '-')"


def instance(value: Any) -> str:
    """An instance id."""
    good = isinstance(value, str) and INSTANCE.match(value)
    return "" if good else "an EC2 instance id such as i-0123456789abcdef0"


def flag(value: Any) -> str:
    """A boolean."""
    return "" if isinstance(value, bool) else "true or false"


def seconds(value: Any) -> str:
    """A time span."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= LONGEST
    return "" if good else f"a number of seconds between 0 and {LONGEST:.0f}"


def text(value: Any) -> str:
    """A text."""
    return "" if isinstance(value, str) else "a text"


def one_of(choices: type[StrEnum]) -> Callable[[Any], str]:
    """One of an enumeration's values."""

    def check(value: Any) -> str:
        good = isinstance(value, str) and value in list(choices)
        return "" if good else "one of " + ", ".join(choices)

    return check
