"""The shapes in which Systems Manager shows commands and invocations, and which ones were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.lab.aws.events import stamp_ms
from tests.lab.endpoint.messages import AwsError
from tests.lab.endpoint.run_command.record import ENDED, Invocation, overall_status
from tests.lab.endpoint.run_command.send import DOCUMENT

STDOUT, STDERR, LISTED = 24_000, 8_000, 2_500  # the characters that the API keeps of an output
Row = dict[str, Any]

_MAX_PAGE = 50


def command_row(invocations: list[Invocation]) -> Row:
    """One order, as SendCommand and ListCommands show it."""
    order, status = invocations[0].order, overall_status(invocations)
    bad = [found for found in invocations if found.status in ENDED and found.status != "Success"]
    return {
        "CommandId": order.command,
        "DocumentName": DOCUMENT,
        "DocumentVersion": "$DEFAULT",
        "Comment": order.comment,
        "ExpiresAfter": order.expires,
        "Parameters": order.parameters,
        "InstanceIds": list(order.instances),
        "Targets": [],
        "RequestedDateTime": order.requested,
        "Status": status,
        "StatusDetails": status,
        "MaxConcurrency": "50",
        "MaxErrors": "0",
        "TargetCount": len(invocations),
        "CompletedCount": sum(found.status in ENDED for found in invocations),
        "ErrorCount": len(bad),
        "DeliveryTimedOutCount": sum(found.details == "DeliveryTimedOut" for found in bad),
        "TimeoutSeconds": order.delivery_seconds,
    }


def invocation_answer(found: Invocation) -> Row:
    """One order on one host, as GetCommandInvocation shows it; the output only once it has ended."""
    return {
        "CommandId": found.order.command,
        "InstanceId": found.instance,
        "Comment": found.order.comment,
        "DocumentName": DOCUMENT,
        "DocumentVersion": "$DEFAULT",
        "PluginName": "aws:runShellScript",
        "ResponseCode": found.code,
        "ExecutionStartDateTime": stamp_ms(found.began) if found.began else "",
        "ExecutionElapsedTime": f"PT{found.ended - found.began:.3f}S" if found.ended and found.began else "",
        "ExecutionEndDateTime": stamp_ms(found.ended) if found.ended and found.began else "",
        "Status": found.status,
        "StatusDetails": found.details,
        "StandardOutputContent": found.stdout[:STDOUT],
        "StandardOutputUrl": "",
        "StandardErrorContent": found.stderr[:STDERR],
        "StandardErrorUrl": "",
    }


def invocation_row(found: Invocation, *, details: bool) -> Row:
    """One order on one host, as ListCommandInvocations shows it."""
    row = {
        "CommandId": found.order.command,
        "InstanceId": found.instance,
        "InstanceName": found.name,
        "Comment": found.order.comment,
        "DocumentName": DOCUMENT,
        "DocumentVersion": "$DEFAULT",
        "RequestedDateTime": found.order.requested,
        "Status": found.status,
        "StatusDetails": found.details,
        "CommandPlugins": [],
    }
    return {**row, "CommandPlugins": [_plugin(found)]} if details else row


def select_invocations(invocations: list[Invocation], message: Row) -> list[Invocation]:
    """List the invocations that pass a listing's CommandId, InstanceId and Filters."""
    tests = [_filter(row["key"], row["value"]) for row in message.get("Filters", [])]
    return [
        found
        for found in invocations
        if message.get("CommandId", found.order.command) == found.order.command
        and message.get("InstanceId", found.instance) == found.instance
        and all(test(found) for test in tests)
    ]


def page(name: str, rows: list[Row], message: Row) -> Row:
    """One page of a listing, and the token of the next where there is more."""
    size, start = message.get("MaxResults", _MAX_PAGE), message.get("NextToken", "0")
    if not 1 <= size <= _MAX_PAGE:
        raise AwsError("ValidationException", f"MaxResults must be between 1 and {_MAX_PAGE}")
    if not start.isdigit():
        raise AwsError("InvalidNextToken", "The specified token is not valid.")
    end = int(start) + size
    token = {"NextToken": str(end)} if end < len(rows) else {}
    return {name: rows[int(start) : end], **token}


def _plugin(found: Invocation) -> Row:
    moments = {"ResponseStartDateTime": found.began, "ResponseFinishDateTime": found.ended}
    return {
        "Name": "aws:runShellScript",
        "Status": found.status,
        "StatusDetails": found.details,
        "ResponseCode": found.code,
        "Output": found.stdout[:LISTED],
        **{name: moment for name, moment in moments.items() if moment},
    }


def _filter(key: str, value: str) -> Callable[[Invocation], bool]:
    tests: Mapping[str, Callable[[Invocation], bool]] = {
        "Status": lambda found: found.status == value,
        "DocumentName": lambda _: value == DOCUMENT,
        "InvokedAfter": lambda found: found.order.requested >= _moment(value),
        "InvokedBefore": lambda found: found.order.requested < _moment(value),
    }
    if key not in tests:
        raise AwsError("InvalidFilterKey", f"the lab filters by {', '.join(tests)}, not by {key!r}")
    return tests[key]


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp()
    except ValueError as error:
        raise AwsError("ValidationException", f"{text!r} is not a moment in ISO 8601") from error
