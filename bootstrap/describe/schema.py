"""The schema of ``cluster.yaml``: one file for editors and for this program.

What each field may be stands in the schema as ``errorMessage``, which editors show too. Stacks and their
settings are those of the agent: after a change of these, write the file anew with
``python -m bootstrap.describe schema``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from bootstrap.describe.faults import Fault, Path, write
from bootstrap.describe.stack_settings import own_settings
from bootstrap.stacks.catalog import STACKS, Stack
from chalicelib.protocol import checks

FILE = "cluster.schema.json"
STACK_WANTED = "an object of settings, or false for a stack of the profile that shall not be there"
VALUE = {
    "type": ["string", "integer", "number"],
    "pattern": "^[A-Za-z0-9_./:@+-]{0,300}$",
    "errorMessage": "a number, or a text of letters, digits and ._/:@+-",
}


@cache
def load_schema() -> dict[str, Any]:
    """Read the schema."""
    text = resources.files("bootstrap").joinpath(f"describe/{FILE}").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def with_stacks(schema: Mapping[str, Any], stacks: Sequence[Stack] = STACKS) -> dict[str, Any]:
    """Return the schema with these stacks and their settings."""
    found: dict[str, Any] = json.loads(json.dumps(schema))
    listed = {stack.name: _stack(stack) for stack in stacks}
    found["properties"]["stacks"]["properties"] = listed
    shared = {name: VALUE for stack in stacks for name in own_settings(stack)}
    found["properties"]["defaults"]["properties"] = dict(sorted(shared.items()))
    return found


def _stack(stack: Stack) -> dict[str, Any]:
    settings = {name: VALUE | {"default": default} for name, default in own_settings(stack).items()}
    return {
        "description": stack.purpose,
        "type": ["object", "null", "boolean"],
        "errorMessage": STACK_WANTED,
        "if": {"type": "boolean"},
        "then": {"const": False, "errorMessage": STACK_WANTED},
        "else": {"properties": settings, "additionalProperties": False},
    }


def find_faults(value: Any, *, is_profile: bool = False) -> Iterator[Fault]:
    """Find all fields that are not as the schema says. A profile is a description without a name."""
    schema = load_schema()
    if is_profile:
        known = {name: one for name, one in schema["properties"].items() if name not in ("name", "profile")}
        schema = {**schema, "properties": known, "required": []}
    for error in Draft202012Validator(schema).iter_errors(value):
        yield from _explain(error)


def _explain(error: ValidationError) -> Iterator[Fault]:
    path: Path = tuple(map(str, error.absolute_path))
    schema: Mapping[str, Any] = error.schema
    if error.validator == "additionalProperties":
        known = schema["properties"]
        for name in sorted(set(error.instance) - set(known)):
            yield Fault((*path, name), f"{write((*path, name))} is unknown; known are {', '.join(known)}")
    elif error.validator == "required":
        for name in sorted(set(schema["required"]) - set(error.instance)):
            yield Fault((*path, name), f"{write((*path, name))} is missing")
    else:
        wanted = schema.get("errorMessage") or _wanted(error, schema)
        yield Fault(path, checks.wrong(write(path), wanted, error.instance))


def _wanted(error: ValidationError, schema: Mapping[str, Any]) -> str:
    match error.validator:
        case "enum":
            return "one of " + ", ".join(map(str, schema["enum"]))
        case "type":
            names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            return " or ".join(NAMES[name] for name in names)
        case _:
            return f"within {error.validator} {error.validator_value}"


NAMES = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
