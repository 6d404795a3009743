"""The hosts, through SSM Run Command: start the agent there, ask how it is doing, take it back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnconnectedError

from chalicelib.errors import AgentMissingError, ThrottledError, UnreachableError
from chalicelib.events import UNKNOWN, Answer
from chalicelib.protocol.codec import encode_arguments

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import InstanceInformationStringFilterTypeDef

    from chalicelib.protocol.messages import AgentTask, Arguments

DOCUMENT = "AWS-RunShellScript"
DELIVERY = 30  # seconds to reach the host, the least that Run Command accepts
URL_LASTS = 900  # seconds
SCRIPT = Path(__file__).with_name("agent.sh")
IDENTITY = Path(__file__).parents[1] / "agent.json"
THROTTLED = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
)
FAILED = frozenset({"InternalServerError", "ServiceUnavailable"})  # AWS's own fault, and not for long
UNANSWERED = (UnconnectedError, HTTPClientError)
NO_SUCH = frozenset({"InvocationDoesNotExist", "InvalidCommandId", "InvalidInstanceId"})


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent that fits these handlers: where it lies in S3, and its SHA-256."""

    bucket: str
    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SsmHosts:
    """Run Command through its client; the methods are told in world.Hosts."""

    ssm: SSMClient
    s3: S3Client

    def reachable(self, instances: tuple[str, ...]) -> frozenset[str]:
        """Those of the instances whose SSM agent is registered and answers."""
        wanted: InstanceInformationStringFilterTypeDef = {"Key": "InstanceIds", "Values": list(instances)}
        pages = self.ssm.get_paginator("describe_instance_information").paginate(Filters=[wanted])
        try:
            rows = [row for page in pages for row in page["InstanceInformationList"]]
        except ClientError as error:
            raise _named(error, "the instances") from error
        return frozenset(row["InstanceId"] for row in rows if row["PingStatus"] == "Online")

    def send(
        self, hosts: tuple[str, ...], cluster: str, task: AgentTask, arguments: Arguments, seconds: int
    ) -> str:
        """Start a task on hosts and answer the command's id."""
        agent = published()
        url = self.s3.generate_presigned_url(
            "get_object", {"Bucket": agent.bucket, "Key": agent.key}, ExpiresIn=URL_LASTS
        )
        try:
            command = self.ssm.send_command(
                InstanceIds=list(hosts),
                DocumentName=DOCUMENT,
                Comment=f"{task.value} {cluster}",
                TimeoutSeconds=DELIVERY,
                Parameters={
                    "commands": [script(agent, url, task, arguments)],
                    "executionTimeout": [str(seconds)],
                },
            )
        except UNANSWERED as error:
            raise ThrottledError(f"Run Command does not answer: {error}") from error
        except ClientError as error:
            raise _named(error, ", ".join(hosts)) from error
        return command["Command"]["CommandId"]

    def answer(self, command: str, manager: str) -> Answer:
        """What has become of a command; one that Run Command does not know (yet) is UNKNOWN."""
        try:
            found = self.ssm.get_command_invocation(CommandId=command, InstanceId=manager)
        except UNANSWERED as error:
            raise ThrottledError(f"Run Command does not answer: {error}") from error
        except ClientError as error:
            if error.response["Error"]["Code"] in NO_SUCH:
                return Answer(UNKNOWN, error="Run Command does not know this command on this host")
            raise _named(error, manager) from error
        return Answer(
            found["Status"],
            found.get("Comment", ""),
            found.get("StandardOutputContent", ""),
            found.get("StandardErrorContent", ""),
            found.get("ResponseCode", 0),
        )

    def cancel(self, command: str, manager: str) -> None:
        """Take a command back; best effort, as agents of one task join each other on the swarm."""
        try:
            self.ssm.cancel_command(CommandId=command, InstanceIds=[manager])
        except UNANSWERED:
            return
        except ClientError as error:
            if error.response["Error"]["Code"] not in THROTTLED | FAILED | NO_SUCH:
                raise


@cache
def published(identity: Path = IDENTITY) -> Agent:
    """The agent that was published at this deployment; raises AgentMissingError."""
    try:
        return Agent(**json.loads(identity.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise AgentMissingError(
            "no agent was published: run python -m bootstrap.publish --stage …, then chalice deploy"
            f" ({type(error).__name__}: {error})"
        ) from error


def script(agent: Agent, url: str, task: AgentTask, arguments: Arguments) -> str:
    """What the host's shell runs. Nothing in it is secret: the address is good for one file, for minutes."""
    given = {
        "KEY": agent.key,
        "SHA256": agent.sha256,
        "URL": url,
        "TASK": task.value,
        "ARGUMENTS": encode_arguments(arguments),
    }
    lines = [f"{name}={quote(value)}" for name, value in given.items()]
    return "\n".join([*lines, SCRIPT.read_text()])


def _named(error: ClientError, manager: str) -> Exception:
    """The error under the name by which dispatch.py knows it; others stay what they are."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code in THROTTLED or "rate exceeded" in message.lower():
        return ThrottledError(f"Run Command asks for fewer calls: {message}")
    if code in FAILED:
        return ThrottledError(f"Run Command fails for now: {message or code}")
    if code == "InvalidInstanceId":
        return UnreachableError(f"Run Command cannot reach {manager}: {message or code}")
    return error
