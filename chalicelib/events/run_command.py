"""Run Command: the end of a command on a host, and what the host answered.

The events about a command as a whole name no instance, so only those of its invocations are used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from chalicelib.events.parsing import OutsideEvent, Reader, command_id, instance_id
from chalicelib.protocol.checks import printable
from chalicelib.protocol.codec import decode_result
from chalicelib.protocol.messages import AgentTask, Result
from chalicelib.protocol.strict_json import ProtocolError
from chalicelib.state.instance import NAME

COMMENT = re.compile(rf"({'|'.join(task.value for task in AgentTask)}) ({NAME.pattern})")
IN_FLIGHT = frozenset({"Pending", "Delayed", "InProgress", "Cancelling"})
OUR_LINES = ("swarmkeeper: ", "agent: ")  # begin what agent.sh and the agent write on stderr for people
MAX_FAILURE = 400  # characters of what a host says of its failure
UNKNOWN = "Unknown"  # Run Command has no such invocation (in the first moment: not yet)
NOT_STARTED = frozenset({"Pending", "Delayed", UNKNOWN})
UNFETCHED = frozenset({65, 66})  # exit status of agent.sh before there was an agent to run
MAX_STDERR = 8000  # characters of stderr, the first ones, that Run Command keeps
KILLED = frozenset({"TimedOut", "ExecutionTimedOut", "Cancelled", "Terminated"})
# Every way in which an invocation can end; some are details of others, depending on the API.
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
class InvocationEnded(OutsideEvent):
    """A command has ended on a host; its output has still to be fetched.

    Samples: ssm_invocation_success.json, ssm_invocation_failed.json
    """

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.ssm"],
        "detail-type": ["EC2 Command Invocation Status-change Notification"],
        # Run Command also runs on machines that are no instances (mi-…): none of them is in a cluster.
        "detail": {
            "document-name": ["AWS-RunShellScript"],
            "status": ENDED,
            "instance-id": [{"prefix": "i-"}],
        },
    }
    FIELDS: ClassVar[dict[str, Reader]] = {"command": command_id("command-id"), "manager": instance_id()}
    command: str
    manager: str


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
    """A command of ours has ended, with the agent's ``result`` or the ``failure`` that left it without one.

    ``unfetched``: the host could not fetch the published agent; no other host could either.
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
        """Whether the host failed rather than the work on a node: no result, or one with an error.

        A cancelled command says nothing about the host, nor does an agent that cannot be fetched.
        """
        if self.result is None:
            return self.status != "Cancelled" and not self.unfetched
        return bool(self.result.error)


@dataclass(frozen=True, slots=True)
class CommandRunning:
    """A command whose result was to be fetched has not ended yet."""

    time: float
    command: str
    manager: str


def parse_comment(comment: str) -> tuple[AgentTask, str] | None:
    """Read task and cluster from a command's comment; None if the command is not ours."""
    match = COMMENT.fullmatch(comment)
    return (AgentTask(match[1]), match[2]) if match else None


def finish_command(ended: InvocationEnded, task: AgentTask, answer: Answer) -> CommandFinished:
    """Make the event for the end of a command of ours from its output."""
    result, failure = None, ""
    try:
        result = _decode(answer.output, task)
    except ProtocolError as error:
        failure = printable(f"{answer.status}: {_explain(answer) or error}", MAX_FAILURE)
    unfetched = result is None and answer.code in UNFETCHED
    return CommandFinished(
        ended.time, ended.command, ended.manager, task, answer.status, result, failure, unfetched
    )


def _explain(answer: Answer) -> str:
    """Find in what a host wrote to stderr why there is no result; "" where it wrote nothing.

    Run Command keeps the first characters only: of a long log the last line kept is not the last one written,
    and a command that was killed has not said why. Lines of the agent and its script are written for people.
    """
    lines = answer.error.strip().splitlines()
    if not lines:
        return ""
    is_cut = len(answer.error) >= MAX_STDERR
    if reasons := [line for line in lines if line.startswith(OUR_LINES)]:
        return reasons[-1]
    if is_cut:
        return f"it ended without a word; Run Command kept the beginning of its log, up to: {(lines[-2:])[0]}"
    if answer.status in KILLED:
        return f"it was ended from outside; the last that it wrote: {lines[-1]}"
    return lines[-1]


def _decode(output: str, task: AgentTask) -> Result:
    result = decode_result(output)
    if result.task is not task:
        raise ProtocolError(f"the agent answered for {result.task.value}")
    return result
