"""What happened: typed events, each with the EventBridge pattern that selects it and its parser.

An event from outside has ``PATTERN`` and ``parse(payload)``, which raises MalformedError with one line that
names the field. The instance is taken from ``detail`` only: the ARNs in ``resources`` come in several shapes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from chalicelib.cluster import NAME, InstanceState, Sighting
from chalicelib.fields import choice, command_id, envelope, instance_id
from chalicelib.protocol import ProtocolError, Result, Task, decode_result

COMMENT = re.compile(rf"({'|'.join(task.value for task in Task)}) ({NAME.pattern})")
IN_FLIGHT = frozenset({"Pending", "Delayed", "InProgress", "Cancelling"})
UNKNOWN = "Unknown"  # Run Command has no such invocation (in the first moment: not yet)
NOT_STARTED = frozenset({"Pending", "Delayed", UNKNOWN})
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


class Ending(StrEnum):
    """What EC2 does to an interrupted Spot instance."""

    TERMINATE = "terminate"
    STOP = "stop"
    HIBERNATE = "hibernate"


@dataclass(frozen=True, slots=True)
class SpotInterruptionWarning:
    """EC2 takes a Spot instance back about two minutes after ``time``."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.ec2"],
        "detail-type": ["EC2 Spot Instance Interruption Warning"],
    }
    time: float
    instance: str
    ending: Ending = Ending.TERMINATE

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        time, detail = envelope(payload, cls.PATTERN)
        return cls(time, instance_id(detail), choice(detail, "instance-action", Ending))


@dataclass(frozen=True, slots=True)
class InstanceStateChanged:
    """An EC2 instance has entered another state."""

    PATTERN: ClassVar[dict[str, Any]] = {
        "source": ["aws.ec2"],
        "detail-type": ["EC2 Instance State-change Notification"],
        "detail": {"state": ["stopping", "stopped", "shutting-down", "terminated"]},
    }
    time: float
    instance: str
    state: InstanceState

    @classmethod
    def parse(cls, payload: object) -> Self:
        """From an EventBridge event."""
        time, detail = envelope(payload, cls.PATTERN)
        return cls(time, instance_id(detail), choice(detail, "state", InstanceState))


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
class Tick:
    """A minute has passed, or somebody wants what is overdue to be looked at now."""

    @classmethod
    def parse(cls, _: object) -> Self:
        """From whatever starts it: nothing in it matters."""
        return cls()


@dataclass(frozen=True, slots=True)
class Answer:
    """What Run Command says about a command on a host: its status, comment, stdout, stderr."""

    status: str
    comment: str = ""
    output: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class CommandFinished:
    """A command of ours has ended: with the agent's ``result``, or the ``failure`` that kept it from one."""

    time: float
    command: str
    manager: str
    task: Task
    status: str
    result: Result | None = None
    failure: str = ""

    @property
    def host_failed(self) -> bool:
        """The host, rather than the work on a node, is what failed: no answer, or one that no node is in.

        A cancelled command says nothing about the host.
        """
        if self.result is None:
            return self.status != "Cancelled"
        return bool(self.result.error)


@dataclass(frozen=True, slots=True)
class CommandRunning:
    """A command that was asked for has not ended yet."""

    time: float
    command: str
    manager: str


@dataclass(frozen=True, slots=True)
class CensusTaken:
    """EC2 was asked for all tagged instances at ``time``; these are the ones of the cluster."""

    time: float
    sightings: tuple[Sighting, ...]


Incoming = SpotInterruptionWarning | InstanceStateChanged | InvocationEnded | Tick
Event = SpotInterruptionWarning | InstanceStateChanged | CommandFinished | CommandRunning | CensusTaken | Tick


def task_and_cluster(comment: str) -> tuple[Task, str] | None:
    """What a command's comment says it is for; None where the command is not ours."""
    match = COMMENT.fullmatch(comment)
    return (Task(match[1]), match[2]) if match else None


def finished(ended: InvocationEnded, task: Task, answer: Answer) -> CommandFinished:
    """The end of a command of ours together with its output."""
    result, failure = None, ""
    try:
        result = _result(answer.output, task)
    except ProtocolError as error:
        # The host's last line of stderr is written for people: it says why there is no result.
        said = answer.error.strip().splitlines()
        failure = f"{answer.status}: {said[-1][:300] if said else error}"
    return CommandFinished(ended.time, ended.command, ended.manager, task, answer.status, result, failure)


def _result(output: str, task: Task) -> Result:
    result = decode_result(output)
    if result.task is not task:
        raise ProtocolError(f"the agent answered for {result.task.value}")
    return result
