"""Reads what SendCommand was asked for, refusing in AWS's words what AWS, or the lab, does not take."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Set as AbstractSet
from typing import Any

from tests.lab.endpoint.messages import AwsError
from tests.lab.endpoint.run_command import execution
from tests.lab.endpoint.run_command.record import Order

MAX_INSTANCES, MAX_COMMENT = 50, 100
DOCUMENT = "AWS-RunShellScript"
Message = dict[str, Any]

_INSTANCE = re.compile(r"(i-[0-9a-f]{8}([0-9a-f]{9})?|mi-[0-9a-f]{17})\Z")
_DEFAULT_TIMEOUT_S = 3600
_LONGEST = 172_800  # two days
_FIELDS = frozenset(
    {"DocumentName", "InstanceIds", "Parameters", "Comment", "TimeoutSeconds", "DocumentVersion"}
)
_PARAMETERS = frozenset({"commands", "workingDirectory", "executionTimeout"})


def order(message: Message) -> Order:
    """Read the order in a SendCommand message."""
    if "Targets" in message:
        raise AwsError("ValidationException", "the lab's Run Command takes InstanceIds, not Targets")
    refuse_unknown_fields(message, _FIELDS)
    if message.get("DocumentName") != DOCUMENT:
        raise AwsError("InvalidDocument", f"the lab runs {DOCUMENT} only")
    if message.get("DocumentVersion", "$DEFAULT") not in ("$DEFAULT", "$LATEST", "1"):
        raise AwsError("InvalidDocumentVersion", f"{DOCUMENT} has version 1 only")
    parameters = _parameters(message.get("Parameters", {}))
    comment = message.get("Comment", "")
    if len(comment) > MAX_COMMENT:
        raise _too_long("comment", comment, f"less than or equal to {MAX_COMMENT}")
    return Order(
        command=str(uuid.uuid4()),
        instances=_instances(message.get("InstanceIds", [])),
        parameters=parameters,
        comment=comment,
        delivery_seconds=_delivery_seconds(message.get("TimeoutSeconds", _DEFAULT_TIMEOUT_S)),
        execution_seconds=_execution_seconds(parameters),
        directory=parameters.get("workingDirectory", [""])[0] or execution.DIRECTORY,
        requested=time.time(),
    )


def _instances(instances: list[str]) -> tuple[str, ...]:
    if len(instances) > MAX_INSTANCES:
        raise _too_long("instanceIds", instances, f"less than or equal to {MAX_INSTANCES}")
    if not instances:
        raise AwsError("InvalidInstanceId", "")
    if wrong := [instance for instance in instances if not _INSTANCE.match(instance)]:
        raise _too_long("instanceIds", wrong, "an instance id")
    return tuple(dict.fromkeys(instances))


def _parameters(parameters: dict[str, list[str]]) -> dict[str, list[str]]:
    if unknown := sorted(set(parameters) - _PARAMETERS):
        raise AwsError("InvalidParameters", f"Parameter {unknown[0]} is not defined in {DOCUMENT}")
    if not parameters.get("commands"):
        raise AwsError("InvalidParameters", "Parameter commands is required and must not be empty")
    for name, values in parameters.items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise AwsError("InvalidParameters", f"Parameter {name} must be a list of strings")
    return parameters


def _delivery_seconds(seconds: int) -> int:
    if not 30 <= seconds <= 2_592_000:
        raise _too_long("timeoutSeconds", seconds, "between 30 and 2592000")
    return seconds


def _execution_seconds(parameters: dict[str, list[str]]) -> int:
    text = parameters.get("executionTimeout", [str(_DEFAULT_TIMEOUT_S)])[0]
    if not text.isdigit() or not 1 <= int(text) <= _LONGEST:
        raise AwsError("InvalidParameters", f"executionTimeout must be 1 to {_LONGEST} seconds, not {text!r}")
    return int(text)


def _too_long(field: str, value: object, constraint: str) -> AwsError:
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: "
        f"Member must have length or value {constraint}",
    )


def refuse_unknown_fields(message: Message, fields: AbstractSet[str]) -> None:
    """Refuse a message with any other field: better an error than an option without effect."""
    if unknown := sorted(set(message) - fields):
        raise AwsError("ValidationException", f"the lab's Run Command does not know {unknown[0]!r}")
