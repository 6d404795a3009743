"""The errors that AWS calls can be refused with on demand."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.endpoint.messages import AwsError

REFUSALS: Mapping[str, tuple[str, str, int]] = {
    "throttling": ("ThrottlingException", "Rate exceeded", 400),
    "invalid-instance": ("InvalidInstanceId", "", 400),
    "server-error": ("InternalServerError", "An error occurred on the server side.", 500),
}


def refusal_of(name: str) -> AwsError:
    """Return the error of that name; throttling without one."""
    return AwsError(*REFUSALS[name or "throttling"])
