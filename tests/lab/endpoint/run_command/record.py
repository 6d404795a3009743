"""A command as it was sent, and how it stands on each host."""

from __future__ import annotations

from dataclasses import dataclass

ENDED = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})


@dataclass(frozen=True)
class Order:
    """One SendCommand. Spans are in seconds, moments in seconds since the epoch."""

    command: str
    instances: tuple[str, ...]
    parameters: dict[str, list[str]]
    comment: str
    delivery_seconds: int
    execution_seconds: int
    directory: str
    requested: float

    @property
    def expires(self) -> float:
        """When every invocation of it will have ended, one way or the other."""
        return self.requested + self.delivery_seconds + self.execution_seconds


@dataclass(frozen=True)
class Invocation:
    """One order on one host. ``code`` is -1 until the script has ended, ``name`` the host's name."""

    order: Order
    instance: str
    name: str
    status: str = "Pending"
    details: str = "Pending"
    code: int = -1
    began: float = 0.0
    ended: float = 0.0
    stdout: str = ""
    stderr: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it."""
        return self.order.command, self.instance


def overall_status(invocations: list[Invocation]) -> str:
    """Derive the status of an order from those of its invocations."""
    statuses = {invocation.status for invocation in invocations}
    if statuses == {"Pending"}:
        return "Pending"
    if statuses - ENDED:
        return "InProgress"
    return next((bad for bad in ("Failed", "TimedOut", "Cancelled") if bad in statuses), "Success")
