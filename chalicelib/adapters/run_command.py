"""The hosts, through SSM Run Command: start the agent there, ask how it is doing, take it back."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from chalicelib.adapters.aws_errors import AWS_ERRORS, error_code, error_message, is_passing, translate
from chalicelib.environment import read_deployment
from chalicelib.errors import AgentMissingError, RefusedError, UnreachableError
from chalicelib.events import UNKNOWN, Answer
from chalicelib.protocol.codec import encode_arguments

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import InstanceInformationStringFilterTypeDef

    from chalicelib.protocol.messages import AgentTask, Arguments

DOCUMENT = "AWS-RunShellScript"
DELIVERY_TIMEOUT_S = 30  # to reach the host, the least that Run Command accepts
URL_LIFETIME_S = 900
SCRIPT = Path(__file__).with_name("agent.sh")
AGENT_IDENTITY = Path(__file__).parents[1] / "agent.json"
NO_SUCH_CODES = frozenset({"InvocationDoesNotExist", "InvalidCommandId", "InvalidInstanceId"})


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent that fits these handlers: where it lies in S3, and its SHA-256."""

    bucket: str
    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SsmHosts:
    """Run Command through its client; ports.Hosts says what the methods do."""

    ssm: SSMClient
    s3: S3Client

    def find_reachable(self, instances: tuple[str, ...]) -> frozenset[str]:
        """Find those of the instances whose SSM agent is registered and answers."""
        wanted: InstanceInformationStringFilterTypeDef = {"Key": "InstanceIds", "Values": list(instances)}
        pages = self.ssm.get_paginator("describe_instance_information").paginate(Filters=[wanted])
        try:
            rows = [row for page in pages for row in page["InstanceInformationList"]]
        except AWS_ERRORS as error:
            raise _translate(error, "the instances") from error
        return frozenset(row["InstanceId"] for row in rows if row["PingStatus"] == "Online")

    def send(
        self, hosts: tuple[str, ...], cluster: str, task: AgentTask, arguments: Arguments, seconds: int
    ) -> str:
        """Start a task on hosts and answer the command's id."""
        agent = published()
        url = self.s3.generate_presigned_url(
            "get_object", {"Bucket": agent.bucket, "Key": agent.key}, ExpiresIn=URL_LIFETIME_S
        )
        try:
            command = self.ssm.send_command(
                InstanceIds=list(hosts),
                DocumentName=DOCUMENT,
                Comment=f"{task.value} {cluster}",
                TimeoutSeconds=DELIVERY_TIMEOUT_S,
                Parameters={
                    "commands": [script(agent, url, task, arguments)],
                    "executionTimeout": [str(seconds)],
                },
            )
        except AWS_ERRORS as error:
            raise _translate(error, _name(hosts)) from error
        return command["Command"]["CommandId"]

    def fetch_answer(self, command: str, manager: str) -> Answer:
        """Fetch what has become of a command; one that Run Command does not know (yet) is UNKNOWN."""
        try:
            found = self.ssm.get_command_invocation(CommandId=command, InstanceId=manager)
        except AWS_ERRORS as error:
            if error_code(error) in NO_SUCH_CODES:
                return Answer(UNKNOWN, error="Run Command does not know this command on this host")
            raise _translate(error, manager) from error
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
        except AWS_ERRORS as error:
            if not is_passing(error) and error_code(error) not in NO_SUCH_CODES:
                raise _translate(error, manager) from error


@cache
def published(identity: Path = AGENT_IDENTITY) -> Agent:
    """Read which agent was published at this deployment; raises AgentMissingError."""
    try:
        return Agent(**json.loads(identity.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise AgentMissingError(
            "no agent was published; in the checkout that this was deployed from:"
            f" {read_deployment(os.environ).write_deploy()} ({type(error).__name__}: {error})"
        ) from error


def script(agent: Agent, url: str, task: AgentTask, arguments: Arguments) -> str:
    """Write what the host's shell runs. Nothing in it is secret: the URL is for one file, for minutes."""
    given = {
        "KEY": agent.key,
        "SHA256": agent.sha256,
        "URL": url,
        "TASK": task.value,
        "ARGUMENTS": encode_arguments(arguments),
    }
    lines = [f"{name}={quote(value)}" for name, value in given.items()]
    return "\n".join([*lines, SCRIPT.read_text()])


def _translate(error: Exception, host: str) -> Exception:
    """Answer the error by which delivery/ knows it; a refusal names the host, AWS's code and AWS's words."""
    said = f"{error_code(error)}: {error_message(error)}"
    if error_code(error) == "InvalidInstanceId":
        return UnreachableError(f"Run Command cannot reach {host}: {said}")
    translated = translate(error, "Run Command")
    refused = isinstance(translated, RefusedError)
    return RefusedError(f"Run Command refuses {host}: {said}") if refused else translated


def _name(hosts: tuple[str, ...]) -> str:
    return hosts[0] + (f" or one of {len(hosts) - 1} others" if len(hosts) > 1 else "")
