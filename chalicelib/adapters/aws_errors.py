"""The one mapping from AWS's errors to the project's own."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnconnectedError

from chalicelib.errors import RefusedError, SwarmkeeperError, ThrottledError

THROTTLED = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "ThrottlingError",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
    }
)
FAILED = frozenset(  # AWS's own fault, and not for long
    {"InternalServerError", "InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable"}
)
CANCELLED = "TransactionCanceledException"
# Others write to the same item right now; the same call may succeed a moment later.
CONTENDED = frozenset(
    {"TransactionConflict", "TransactionConflictException", "TransactionInProgressException"}
)
PASSING = THROTTLED | FAILED | CONTENDED
UNANSWERED = (UnconnectedError, HTTPClientError)
AWS_ERRORS = (ClientError, *UNANSWERED)


def error_code(error: Exception) -> str:
    """Answer AWS's code of an error; "" where AWS did not answer at all."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def error_message(error: Exception) -> str:
    """Answer AWS's words on an error, or its code where there are none."""
    return (error.response["Error"]["Message"] or error_code(error)) if isinstance(error, ClientError) else ""


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, ClientError):
        return _is_passing_refusal(error.response)
    return isinstance(error, UNANSWERED)


def is_passing_answer(response: tuple[Any, Any] | None, error: Exception | None) -> bool:
    """Whether botocore should send a call again: for its answer as parsed, or for the error without one."""
    if response is None:
        return error is not None and is_passing(error)
    return "Error" in response[1] and _is_passing_refusal(response[1])


def cancellation_codes(answer: Any) -> list[str]:
    """Answer why each item of a transaction was not written; "None" for those that are not at fault."""
    return [str(reason.get("Code", "None")) for reason in answer.get("CancellationReasons", [])]


def translate(error: Exception, service: str) -> SwarmkeeperError:
    """Answer ThrottledError where the same call may succeed later, RefusedError otherwise."""
    if not isinstance(error, ClientError):
        return ThrottledError(f"{service} does not answer: {error}")
    code, message = error_code(error), error_message(error)
    if code in FAILED:
        return ThrottledError(f"{service} fails for now: {message}")
    if is_passing(error):
        return ThrottledError(f"{service} asks for fewer calls: {message}")
    return RefusedError(f"{service} refuses: {code}: {message}")


def _is_passing_refusal(answer: Any) -> bool:
    code, message = str(answer["Error"].get("Code", "")), str(answer["Error"].get("Message", ""))
    if code == CANCELLED:
        codes = set(cancellation_codes(answer)) - {"None"}
        return bool(codes) and codes <= PASSING
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code in PASSING or "rate exceeded" in message.lower() or status >= 500  # noqa: PLR2004
