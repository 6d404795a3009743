"""The one mapping from AWS's errors to the project's own."""

from __future__ import annotations

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnconnectedError

from chalicelib.errors import RefusedError, SwarmkeeperError, ThrottledError

THROTTLED = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
)
FAILED = frozenset({"InternalServerError", "ServiceUnavailable"})  # AWS's own fault, and not for long
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
    code = error_code(error)
    limited = "rate exceeded" in error_message(error).lower()
    return isinstance(error, UNANSWERED) or code in THROTTLED | FAILED or limited


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
