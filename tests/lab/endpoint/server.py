"""The HTTP server: every request of a lab comes here, is written down, and is answered or handed on."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.lab import state
from tests.lab.endpoint import autoscaling, instances
from tests.lab.endpoint.autoscaling import LifecycleActions
from tests.lab.endpoint.callers import Caller, caller
from tests.lab.endpoint.delivery import EventBus
from tests.lab.endpoint.messages import AwsError, Request, Response, json_answer, refusal, xml_answer
from tests.lab.endpoint.permissions import Permissions
from tests.lab.endpoint.run_command.api import RunCommand
from tests.lab.faults.armed_faults import Faults, Kind
from tests.lab.faults.aws_errors import refusal_of
from tests.lab.observe.journal import Call, Journal

# A client that sees the new function pending looks again only after 5 s, so the answer waits until it is not.
_CREATES = re.compile(r"lambda:POST /\d{4}-\d\d-\d\d/functions/?\Z")
# What ministack would answer for the lab's instances is untrue, so it is not asked.
_INSTANCES = frozenset({"DescribeInstances", "TerminateInstances"})
_CONFIGURED = frozenset({"events", "cloudformation", "iam", "lambda"})  # rules, roles and who has them
_READS = ("List", "Describe", "Test", "Get", "GET", "Invoke")
_NOT_HERE = frozenset(
    {
        *("RunInstances", "StartInstances", "StopInstances", "RebootInstances", "DescribeInstanceStatus"),
        *("DescribeTags", "CreateTags", "DeleteTags", "CreateFleet", "DescribeSpotInstanceRequests"),
    }
)


@dataclass(frozen=True)
class Endpoint:
    """One lab's AWS. ``admin`` answers the lab's own paths, ``onward`` whatever is not answered here."""

    name: str
    onward: Callable[[Request], Response]
    admin: Callable[[Request], Response]
    commands: RunCommand
    hooks: LifecycleActions
    bus: EventBus
    permissions: Permissions
    faults: Faults
    journal: Journal
    cut_power: Callable[[state.Host], None]

    def caller(self, peer: tuple[str, int], own: tuple[str, int]) -> Caller:
        """Find out who opened a connection; it takes a look through all of the machine's sockets."""
        return caller(state.load(self.name), peer, own)

    def answer(self, request: Request, find_caller: Callable[[], Caller]) -> Response | None:
        """Answer a request; None where the caller was killed and nobody waits."""
        if request.path.startswith("/_lab/"):
            return self.admin(request)
        began, who = time.time(), find_caller()
        write = partial(self._write, began, request, who)
        if self._kill(Kind.KILL_BEFORE, request, who):
            return write(None, Kind.KILL_BEFORE)
        if fault := self.faults.strike({Kind.REFUSE}, request.action, who.name):
            return write(refusal(request, refusal_of(fault.error)), Kind.REFUSE)
        response = self._serve(request, who)
        if self._kill(Kind.KILL_AFTER, request, who):
            return write(None, Kind.KILL_AFTER)
        return write(response, "")

    def _serve(self, request: Request, who: Caller) -> Response:
        try:
            if request.service == "ssm" and request.operation in self.commands.operations:
                self.permissions.check(request, who, self._instances())
                return json_answer(self.commands.operations[request.operation](json.loads(request.body)))
            if request.service == "ec2" and request.operation in _INSTANCES:
                self.permissions.check(request, who, self._instances())
                return xml_answer(self._serve_ec2(request))
            if request.service == "autoscaling" and request.operation in autoscaling.OPERATIONS:
                self.permissions.check(request, who, self._instances())
                return xml_answer(self.hooks.answer(request.operation, request.form))
            if request.service == "ec2" and request.operation in _NOT_HERE:
                self.permissions.check(request, who, self._instances())
                raise AwsError("UnsupportedOperation", f"the lab's EC2 does not do {request.operation}")
            if (
                who.role and request.action == "ssm:GetParameters"
            ):  # ministack asks IAM about none of its names
                self.permissions.check(request, who, [])
            if request.action == "lambda:Invoke":
                _check_payload(request.body)
        except AwsError as error:
            return refusal(request, error)
        return self._pass_on(request)

    def _serve_ec2(self, request: Request) -> str:
        if request.operation == "TerminateInstances":
            return instances.terminate(self._instances(), request.form, self.cut_power)
        return instances.describe(self._instances(), request.form)

    def _instances(self) -> list[instances.Instance]:
        return instances.instances(state.load(self.name), self.hooks.groups())

    def _pass_on(self, request: Request) -> Response:
        response = self.onward(request)
        if request.service in _CONFIGURED and not request.operation.startswith(_READS):
            self.bus.forget_rules()
            self.permissions.forget()
        if _CREATES.match(request.action):
            self.bus.await_function(json.loads(request.body)["FunctionName"])
        return response

    def _kill(self, kind: Kind, request: Request, who: Caller) -> bool:
        """Kill the handler that sent this where a fault says so; never anything but a handler."""
        if not who.worker or not self.faults.strike({kind}, request.action, who.name):
            return False
        os.kill(who.worker, signal.SIGKILL)
        return True

    def _write(
        self, began: float, request: Request, who: Caller, response: Response | None, fault: str
    ) -> Response | None:
        status, seconds = response.status if response else 0, time.time() - began
        self.journal.write(
            Call(began, request.action, who.name, status, seconds, who.worker, who.memory, fault)
        )
        return response


def _check_payload(body: bytes) -> None:
    """Lambda refuses what is not JSON; ministack would hand the function an empty payload."""
    try:
        json.loads(body or b"{}")
    except ValueError as error:
        said = f"Could not parse request body into json: {error}"
        raise AwsError("InvalidRequestContentException", said) from error


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1 with one client, for as long as it keeps its connection."""

    protocol_version = "HTTP/1.1"
    endpoint: Endpoint
    caller: Caller | None = None  # found once for each connection

    def handle_one_request(self) -> None:
        """Answer whatever method comes; a client that hangs up ends its connection."""
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self._respond()
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            self.close_connection = True

    def _respond(self) -> None:
        headers = tuple(self.headers.items())
        request = Request(self.command, self.path, headers, self._body())
        try:
            response = self.endpoint.answer(request, self._caller)
        except Exception as error:  # noqa: BLE001  whatever goes wrong, the client must get an answer
            traceback.print_exc()  # to the endpoint's log
            response = refusal(request, AwsError("InternalFailure", f"the lab's endpoint: {error!r}", 500))
        if response is None:
            self.close_connection = True
        else:
            self._send(request, response)

    def _caller(self) -> Caller:
        if self.caller is None:
            self.caller = self.endpoint.caller(self.client_address[:2], self.connection.getsockname()[:2])
        return self.caller

    def _send(self, request: Request, response: Response) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in response.headers):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if request.method != "HEAD":
            self.wfile.write(response.body)

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        while (
            self.rfile.readline().strip()
        ):  # the line's end; after the last chunk trailers and an empty line
            pass
        return data


class Server(ThreadingHTTPServer):
    """Takes many connections at once and waits for none of them at its end."""

    daemon_threads = True
    request_queue_size = 256

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Send small answers at once rather than wait for more to send."""
        connection, peer = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, peer


def serve(endpoint: Endpoint, address: str, port: int) -> Server:
    """Make a server of this endpoint, bound and ready to ``serve_forever``."""
    return Server((address, port), type("LabHandler", (Handler,), {"endpoint": endpoint}))
