"""What a field has to be; shared by events from outside, manual calls and messages to and from hosts.

A check returns "" for a good value, else what is wanted. Standard library only and Python 3.10 syntax: this
module travels inside the agent too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeGuard

from chalicelib.protocol.messages import INSTANCE

Check = Callable[[Any], str]
IPV4 = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
WORD = re.compile(r"[a-z0-9.-]{0,64}")  # a zone, an instance type, a lifecycle; they become labels
SHOWN_CHARACTERS = 100  # of a wrong value
KEPT_CHARACTERS = 400  # of a node's own labels: a hundred nodes' have to fit into one command


def matching(pattern: re.Pattern[str], wanted: str) -> Check:
    """Check that a value is a text that matches the whole pattern."""

    def check(value: Any) -> str:
        return "" if isinstance(value, str) and pattern.fullmatch(value) else wanted

    return check


def one_of(choices: type[Enum]) -> Check:
    """Check that a value is one of an enumeration's values."""
    known = [choice.value for choice in choices]

    def check(value: Any) -> str:
        return "" if isinstance(value, str) and value in known else "one of " + ", ".join(known)

    return check


def flag(value: Any) -> str:
    """Check that a value is a boolean."""
    return "" if isinstance(value, bool) else "true or false"


def kept_labels(value: Any) -> str:
    """Check that a value is "", or a JSON object of texts that is not too long."""
    wanted = f"an object of texts as JSON, at most {KEPT_CHARACTERS} characters"
    if not isinstance(value, str) or len(value) > KEPT_CHARACTERS:
        return wanted
    try:
        found = json.loads(value or "{}")
    except (ValueError, RecursionError):
        return wanted
    is_good = isinstance(found, dict) and all(isinstance(text, str) for text in found.values())
    return "" if is_good else wanted


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number; a boolean is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def wrong(field: str, wanted: str, value: Any) -> str:
    """Describe a wrong value in a line that names the field."""
    return f"{field} must be {wanted}, not {show(value)}"


def show(value: Any) -> str:
    """Show the beginning of any value in one printable line."""
    try:
        shown = str(value)
    except (RecursionError, ValueError):  # very deep, or a number of very many digits
        shown = type(value).__name__
    return repr(shown[:SHOWN_CHARACTERS])


def printable(text: str, longest: int) -> str:
    """Make somebody's text one printable line of so many characters: blanks stand for what is not printable.

    That goes for line breaks, control characters, marks that turn the direction of a line, and surrogates.
    """
    return "".join(one if one.isprintable() else " " for one in text[:longest])


role = matching(re.compile("manager|worker|"), "manager or worker")
word = matching(WORD, "at most 64 of a-z, 0-9, dot and hyphen")
address = matching(IPV4, "a private IPv4 address")
node_id = matching(re.compile(r"[a-z0-9]{0,64}"), "a Swarm node id")
instance_id = matching(INSTANCE, "an EC2 instance id such as i-0123456789abcdef0")
