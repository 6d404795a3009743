"""Jobs: tasks for a cluster as a whole; one record for each task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

from chalicelib.protocol.codec import decode_arguments, decode_result
from chalicelib.protocol.messages import AgentTask, Listing
from chalicelib.protocol.strict_json import ProtocolError


class JobStage(StrEnum):
    """How far a job has come."""

    OPEN = "open"  # to be sent, or its command is out
    DONE = "done"
    FAILED = "failed"  # a host said no, or it was given up
    ENDED = "ended"  # the cluster that it was for has ended


RUNS_ON_TARGET = frozenset({AgentTask.INIT, AgentTask.RECOVER})  # on the instance named, not on any manager
NEVER_REPEATED = frozenset({AgentTask.RECOVER})  # only people repeat it: it throws state away
MAX_ATTEMPTS = 4  # commands without an answer, after which a job is given up
SEND_WITHIN_S = 300.0  # an unrepeatable job that was not sent until then is given up
COMMAND_S = {AgentTask.REBALANCE: 1800}  # that a command may run
DEFAULT_COMMAND_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The record of the last order of a task. Times are seconds since the epoch.

    ``instance``: what it is about ("" for the whole cluster). ``arguments``: those of the agent, as JSON.
    ``since``: when it was ordered. ``due``, ``command``, ``manager``, ``attempts``: as for a node, but
    ``attempts`` is counted before the command is sent. ``automatic``: not ordered by hand. ``wanted``: to be
    done again after this one, as another node has joined. ``result``: the agent's last answer as JSON, given
    at ``ended``. ``source``: of an inspection, the manager that gave ``result``.
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
    source: str = ""

    @property
    def name(self) -> str:
        """The task and, if there is one, the instance that it is about."""
        return self.task.value + (f" of {self.instance}" if self.instance else "")

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do."""
        return self.stage is JobStage.OPEN

    @property
    def is_waiting(self) -> bool:
        """Whether it is an open rebalance that no host has: not sent yet, or put off by the agent."""
        return self.task is AgentTask.REBALANCE and self.is_open and not self.command and not self.attempts

    @property
    def avoided(self) -> str:
        """The manager on which it failed; the next command goes to another one, if there is one."""
        return self.manager if self.stage is JobStage.FAILED else ""

    @property
    def host(self) -> str:
        """The one instance on which it can run; "" for any manager."""
        return self.instance if self.task in RUNS_ON_TARGET else ""

    @property
    def seconds(self) -> int:
        """How long its command may run, in seconds."""
        return COMMAND_S.get(self.task, DEFAULT_COMMAND_S)

    @property
    def listing(self) -> Listing | None:
        """What its last answer lists; None where it lists nothing, or is of another version."""
        try:
            return decode_result(self.result).listing if self.result else None
        except ProtocolError:
            return None

    @property
    def is_unrepeatable(self) -> bool:
        """Whether only people repeat it: a second run would throw state away, or exceed ``max_moves``."""
        return self.task in NEVER_REPEATED or decode_arguments(self.arguments).rebalance.max_moves > 0

    def progress(self, now: float) -> str:
        """Return when it was ordered, and where its command is or why there is none."""
        age = f"ordered {max(now - self.since, 0):.0f} s ago"
        return f"{age}, {self.command} on {self.manager}" if self.command else f"{age}, {self.reason}"

    def is_spent(self, now: float) -> bool:
        """Whether it is open, but has no command out and may not be sent any more."""
        if not self.is_open or self.command:
            return False
        if self.is_unrepeatable:
            put_off = self.ended >= self.since  # a command for it has ended, and asked to be sent again
            return bool(self.attempts) or (not put_off and now > self.since + SEND_WITHIN_S)
        return self.attempts >= MAX_ATTEMPTS

    def revise(self, **changes: Any) -> Self:
        """Return the next version of the record."""
        return replace(self, version=self.version + 1, **changes)
