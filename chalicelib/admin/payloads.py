"""The payloads of manual calls, each field checked; an error is one line that names the field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.errors import CallError
from chalicelib.protocol import checks
from chalicelib.state.instance import NAME

SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")  # what Swarm takes as a name
_service = checks.matching(SERVICE, "the name or id of a service")
MAX_COUNT = 100_000
MAX_SERVICES = 50  # services that one call names; without names it is all that opted in
MAX_SPAN_S = 43_200.0  # half a day: more was meant as milliseconds
MAX_SETTLE_S = 600.0  # the agent lets joins settle inside the half hour that it has to rebalance


@dataclass(frozen=True, slots=True)
class Field:
    """How a field is checked (``check`` answers what is wanted where the value is not that)."""

    check: checks.Check
    required: bool = False


def check_payload(payload: object, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Check that a payload has these fields only; None counts as an empty one. Raises CallError."""
    given = {} if payload is None else payload
    if not isinstance(given, dict):
        raise CallError(f"the payload must be a JSON object, not {checks.show(payload)}")
    known = ", ".join(sorted(fields))
    if unknown := sorted(set(map(str, given)) - set(fields)):
        raise CallError(f"unknown field {checks.show(unknown[0])}; known are {known}")
    for field, rule in fields.items():
        if field not in given:
            if rule.required:
                raise CallError(f"{field} is missing; known fields are {known}")
        elif wanted := rule.check(given[field]):
            raise CallError(checks.wrong(field, wanted, given[field]))
    return given


name = checks.matching(NAME, "a cluster's name (letters, digits, '.', '_', '-')")
description = checks.matching(
    re.compile("([0-9a-f]{64})?"), "the SHA-256 of a published description, or nothing"
)
instance, flag, one_of = checks.instance_id, checks.flag, checks.one_of


def seconds(value: Any) -> str:
    """Check a time span."""
    good = checks.is_number(value) and 0 < value <= MAX_SPAN_S
    return "" if good else f"a number of seconds between 0 and {MAX_SPAN_S:.0f}"


def span(value: Any) -> str:
    """Check a time span, or none at all."""
    return "" if value == 0 and not isinstance(value, bool) else seconds(value)


def stabilization(value: Any) -> str:
    """Check a time span that a rebalance can wait for joins."""
    good = not span(value) and value <= MAX_SETTLE_S
    return "" if good else f"a number of seconds from 0 to {MAX_SETTLE_S:.0f}"


def share(value: Any) -> str:
    """Check a share of the whole."""
    return "" if checks.is_number(value) and 0 < value <= 1 else "a number over 0, at most 1"


def count(value: Any) -> str:
    """Check a count."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_COUNT
    return "" if good else f"a whole number from 1 to {MAX_COUNT}"


def names(value: Any) -> str:
    """Check a list of services."""
    good = isinstance(value, list) and 0 < len(value) <= MAX_SERVICES and not any(map(_service, value))
    return "" if good else f"a list of 1 to {MAX_SERVICES} names or ids of services"


def text(value: Any) -> str:
    """Check a text."""
    return "" if isinstance(value, str) else "a text"
