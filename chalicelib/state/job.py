"""Jobs: what a cluster as a whole is to have done, by hand or after a join. One record for each task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from chalicelib.protocol.codec import decode_arguments
from chalicelib.protocol.messages import AgentTask


class JobStage(StrEnum):
    """How far an job has come."""

    OPEN = "open"  # to be sent, or its command is out
    DONE = "done"
    FAILED = "failed"  # a host said no, or it was given up


RUNS_ON_TARGET = frozenset(
    {AgentTask.INIT, AgentTask.RECOVER}
)  # run on the instance that they name; others on any manager
NEVER_REPEATED = frozenset({AgentTask.RECOVER})  # never repeated by itself: it throws state away
MAX_ATTEMPTS = 4  # commands without an answer, after which an job is given up
SEND_WITHIN_S = 300.0  # seconds after which what may be sent but once, and was not, is no longer sent
COMMAND_S = {AgentTask.REBALANCE: 1800}  # seconds that a command may run
DEFAULT_COMMAND_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The record of the last time that a task was ordered. Times are seconds since the epoch.

    ``instance``: whom it is about ("" for the whole cluster). ``arguments``: what the agent is told, as JSON.
    ``since``: when it was ordered. ``due``, ``command``, ``manager``, ``attempts``: as for a node, but
    ``attempts`` is counted before the command is sent. ``automatic``: nobody ordered it by hand. ``wanted``:
    once more after this one, as another node has joined. ``result``: the agent's last answer as JSON, given
    at ``ended``.
    """

    task: AgentTask
    since: float
    instance: str = ""
    arguments: str = "{}"
    stage: JobStage = JobStage.OPEN
    version: int = 1
    due: float | None = None
    command: str = ""
    manager: str = ""
    attempts: int = 0
    reason: str = ""
    automatic: bool = False
    wanted: bool = False
    ended: float = 0.0
    result: str = ""

    @property
    def is_open(self) -> bool:
        """There is still something to do."""
        return self.stage is JobStage.OPEN

    @property
    def is_waiting(self) -> bool:
        """It is a rebalance that is open, and no host has it: nothing was sent, or the agent said "later"."""
        return self.task is AgentTask.REBALANCE and self.is_open and not self.command and not self.attempts

    @property
    def avoided(self) -> str:
        """The manager that it failed on; the next one is sent to another, if there is one."""
        return self.manager if self.stage is JobStage.FAILED else ""

    @property
    def host(self) -> str:
        """The one instance that it can run on; "" for any manager."""
        return self.instance if self.task in RUNS_ON_TARGET else ""

    @property
    def seconds(self) -> int:
        """How long its command may run."""
        return COMMAND_S.get(self.task, DEFAULT_COMMAND_S)

    @property
    def is_unrepeatable(self) -> bool:
        """It is not repeated by itself: that would throw state away, or make more moves than were allowed."""
        return self.task in NEVER_REPEATED or decode_arguments(self.arguments).rebalance.max_moves > 0

    def is_spent(self, now: float) -> bool:
        """Open, with no command known to be out, and not to be sent (again)."""
        if not self.is_open or self.command:
            return False
        if self.is_unrepeatable:
            waits = self.ended >= self.since  # a command for it has ended, and said to come back
            return bool(self.attempts) or (not waits and now > self.since + SEND_WITHIN_S)
        return self.attempts >= MAX_ATTEMPTS

    def revise(self, **changes: Any) -> Self:
        """The next version of the record."""
        return replace(self, version=self.version + 1, **changes)
