"""Run Command: the end of a command on a host, and what the host said.

The events that tell of a command as a whole name no instance, so only those of its invocations are used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from chalicelib.events.parsing import command_id, envelope, instance_id
from chalicelib.protocol.codec import ProtocolError, decode_result
from chalicelib.protocol.messages import AgentTask, Result
from chalicelib.state.instance import NAME

COMMENT = re.compile(rf"({'|'.join(task.value for task in AgentTask)}) ({NAME.pattern})")
IN_FLIGHT = frozenset({"Pending", "Delayed", "InProgress", "Cancelling"})
UNKNOWN = "Unknown"  # Run Command has no such invocation (in the first moment: not yet)
NOT_STARTED = frozenset({"Pending", "Delayed", UNKNOWN})
UNFETCHED = frozenset({65, 66})  # exit status of agent.sh before there was an agent to run
# Every way in which an invocation can end; some are told as details of others, depending on the API.
ENDED = [
    "Success",
    "Failed",
    "Cancelled",
    "TimedOut",
    "DeliveryTimedOut",
    "ExecutionTimedOut",
    "Undeliverable",
    "Terminated",
    "InvalidPlatform",
    "AccessDenied",
]


@dataclass(frozen=True, slots=True)
class InvocationEnded:
    """A command has ended on a host; what it said has still to be fetched."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.ssm"],
        "detail-type": ["EC2 Command Invocation Status-change Notification"],
        "detail": {"document-name": ["AWS-RunShellScript"], "status": ENDED},
    }
    time: float
    command: str
    manager: str

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        time, detail = envelope(payload, cls.PATTERN)
        return cls(time, command_id(detail), instance_id(detail))


@dataclass(frozen=True, slots=True)
class Answer:
    """What Run Command says about a command on a host: its status, comment, stdout, stderr, exit status."""

    status: str
    comment: str = ""
    output: str = ""
    error: str = ""
    code: int = 0


@dataclass(frozen=True, slots=True)
class CommandFinished:
    """A command of ours has ended: with the agent's ``result``, or the ``failure`` that kept it from one.

    ``unfetched``: the host did not get the agent that was published, which no other host would get either.
    """

    time: float
    command: str
    manager: str
    task: AgentTask
    status: str
    result: Result | None = None
    failure: str = ""
    unfetched: bool = False

    @property
    def host_failed(self) -> bool:
        """The host, rather than the work on a node, is what failed: no answer, or one that no node is in.

        A cancelled command says nothing about the host, nor does an agent that cannot be had.
        """
        if self.result is None:
            return self.status != "Cancelled" and not self.unfetched
        return bool(self.result.error)


@dataclass(frozen=True, slots=True)
class CommandRunning:
    """A command that was asked for has not ended yet."""

    time: float
    command: str
    manager: str


def task_and_cluster(comment: str) -> tuple[AgentTask, str] | None:
    """What a command's comment says it is for; None where the command is not ours."""
    match = COMMENT.fullmatch(comment)
    return (AgentTask(match[1]), match[2]) if match else None


def finished(ended: InvocationEnded, task: AgentTask, answer: Answer) -> CommandFinished:
    """The end of a command of ours together with its output."""
    result, failure = None, ""
    try:
        result = _result(answer.output, task)
    except ProtocolError as error:
        # The host's last line of stderr is written for people: it says why there is no result.
        said = answer.error.strip().splitlines()
        failure = f"{answer.status}: {said[-1][:300] if said else error}"
    unfetched = result is None and answer.code in UNFETCHED
    return CommandFinished(
        ended.time, ended.command, ended.manager, task, answer.status, result, failure, unfetched
    )


def _result(output: str, task: AgentTask) -> Result:
    result = decode_result(output)
    if result.task is not task:
        raise ProtocolError(f"the agent answered for {result.task.value}")
    return result
