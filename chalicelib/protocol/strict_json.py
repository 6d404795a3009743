"""JSON from somebody else, read within bounds: whatever it is, it is an object or one line of error.

Standard library only and Python 3.10 syntax: this module travels inside the agent too.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from chalicelib.protocol.checks import show

MAX_DEPTH = 12  # objects and lists in each other; a result of ours has 5
MAX_DIGITS = 20  # of a whole number
MAX_OBJECTS_IN_LINE = 50  # that are looked at
MARKS = re.compile(r'\\.|["\[\]{}]', re.DOTALL)


class ProtocolError(ValueError):
    """A message that does not have the agreed shape; the text says which field is wrong."""


def read_object(text: str, what: str, max_length: int) -> dict[str, Any]:
    """Read a JSON object; raises ProtocolError.

    Refused are also what is too long or too deep, what is no number to reckon with, and a name given twice.
    """
    if len(text) > max_length:
        raise ProtocolError(f"{what} must have at most {max_length} characters, not {len(text)}")
    if _depth(text) > MAX_DEPTH:
        raise ProtocolError(f"{what} must be at most {MAX_DEPTH} levels deep")
    try:
        message = json.loads(
            text,
            parse_int=_whole_number,
            parse_float=_finite,
            parse_constant=_finite,
            object_pairs_hook=_without_repetition,
        )
    except ValueError as error:
        raise ProtocolError(f"{what} must be JSON: {error}") from error
    if not isinstance(message, dict):
        raise ProtocolError(f"{what} must be a JSON object, not {type(message).__name__}")
    return message


def _depth(text: str) -> int:
    """Count how deep it goes, without descending. Escapes outside of texts are no JSON anyway."""
    depth = deepest = 0
    is_text = False
    for match in MARKS.finditer(text):
        mark = match[0]
        if mark == '"':
            is_text = not is_text
        elif not is_text and mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif not is_text and mark in "]}":
            depth -= 1
    return deepest


def _whole_number(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{show(text)} is no number to reckon with")
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def find_objects(line: str) -> list[str]:
    """Cut the JSON objects out of a line; the last is all between the outermost braces."""
    found, begin = [], line.find('{"')
    at = begin
    for _ in range(MAX_OBJECTS_IN_LINE):
        if at < 0:
            break
        try:
            _, end = json.JSONDecoder().raw_decode(line, at)
            found.append(line[at:end])
        except (ValueError, RecursionError):
            end = at + 1
        at = line.find('{"', end)
    return [*found, line[begin : (line.rfind("}") + 1) or None]] if begin >= 0 else []
