"""One AWS request and one answer, and which service and operation a request is for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/aws4_request")
_RPC = re.compile(r"/service/[^/]+/operation/(\w+)\Z")
_INVOKE = re.compile(r"/\d{4}-\d\d-\d\d/functions/[^/]+/invocations\Z")


@dataclass(frozen=True)
class Request:
    """One request as it came in; header names in lower case in ``header``."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        """The query of the target."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    def header(self, name: str) -> str:
        """Read the first header of that (lower-case) name, "" without it."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def form(self) -> dict[str, str]:
        """The parameters of a request in the query protocol, such as EC2's."""
        if not self.header("content-type").startswith("application/x-www-form-urlencoded"):
            return {}
        parsed = parse_qs(self.body.decode(), keep_blank_values=True)
        return {name: values[0] for name, values in parsed.items()}

    @property
    def service(self) -> str:
        """The service the request was signed for ("s3", "ssm", "events", ...), "" if unsigned."""
        if signed := _CREDENTIAL.search(self.header("authorization")):
            return signed[2]
        presigned = self.query.get("X-Amz-Credential", [""])[0].split("/")
        if len(presigned) > 1:
            return presigned[-2]
        return "s3" if "AWSAccessKeyId" in self.query else ""  # the older way to presign is S3's alone

    @property
    def access_key(self) -> str:
        """The access key in the signature's header, "" without one."""
        signed = _CREDENTIAL.search(self.header("authorization"))
        return signed[1] if signed else ""

    @property
    def operation(self) -> str:
        """The operation's name; "METHOD" and what it is on where a REST path tells no more."""
        if target := self.header("x-amz-target"):
            return target.rpartition(".")[2]
        if action := self.form.get("Action") or self.query.get("Action", [""])[0]:
            return action
        if rpc := _RPC.search(self.path):
            return rpc.group(1)
        if self.service == "lambda" and _INVOKE.search(self.path):
            return "Invoke"
        return _s3_operation(self) if self.service == "s3" else f"{self.method} {self.path}"

    @property
    def action(self) -> str:
        """What IAM would call it, such as ``dynamodb:UpdateItem``."""
        return f"{self.service or 'unsigned'}:{self.operation}"


@dataclass(frozen=True)
class Response:
    """One answer. ``headers`` leave out the length, which follows from the body."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def _s3_operation(request: Request) -> str:
    verb = request.method.title()
    return f"{verb}Object" if request.path.count("/") > 1 and len(request.path) > 1 else f"{verb}Bucket"


def json_answer(message: Any, status: int = 200) -> Response:
    """Build an answer in the JSON 1.1 protocol, which Systems Manager speaks."""
    return Response(status, json.dumps(message).encode(), (("Content-Type", "application/x-amz-json-1.1"),))


def xml_answer(text: str, status: int = 200) -> Response:
    """Build an answer in the EC2 query protocol."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return Response(status, (head + text).encode(), (("Content-Type", "text/xml;charset=UTF-8"),))


class AwsError(Exception):
    """A refusal in AWS's own words."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def refusal(request: Request, error: AwsError) -> Response:
    """Build the error in the protocol that the request speaks."""
    if request.service == "ec2":
        return xml_answer(
            f"<Response><Errors><Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
            "</Error></Errors><RequestID>00000000-0000-0000-0000-000000000000</RequestID></Response>",
            error.status,
        )
    if request.service == "autoscaling":
        return xml_answer(
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{error.code}</Code>"
            f"<Message>{escape(error.message)}</Message></Error></ErrorResponse>",
            error.status,
        )
    if request.service == "s3":
        body = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
        return xml_answer(body, error.status)
    answer = json_answer({"__type": error.code, "message": error.message}, error.status)
    return Response(answer.status, answer.body, (*answer.headers, ("x-amzn-errortype", error.code)))
