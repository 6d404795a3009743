"""Run Command and EC2 for thousands of hosts that are only simulated: the lab's own API, without machines.

DynamoDB is ministack's, throttled as a partition is.
"""

from __future__ import annotations

import json
import random
import shlex
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.storm.throttle import ThrottledTable
from chalicelib.protocol.codec import decode_arguments, encode_result
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, NodeReport, Result, ServiceReport, Way
from chalicelib.protocol.strict_json import ProtocolError
from tests.lab.aws.events import Event
from tests.lab.endpoint import instances
from tests.lab.endpoint.callers import Caller
from tests.lab.endpoint.messages import AwsError, Request, Response, json_answer, refusal, xml_answer
from tests.lab.endpoint.run_command.api import RunCommand
from tests.lab.endpoint.run_command.commands import Commands
from tests.lab.endpoint.run_command.execution import Ending, Script
from tests.lab.endpoint.server import Handler, Server
from tests.lab.faults.armed_faults import Faults
from tests.lab.state import Host

LEAST, MOST = 8.0, 14.0  # seconds that an evacuation takes, as measured on the lab
EACH = 0.05  # seconds more for each node of the same command


@dataclass(frozen=True)
class Work:
    """One command on one host: the instances it was about, when it was sent, begun and over."""

    command: str
    manager: str
    task: str
    targets: tuple[str, ...]
    began: float
    ended: float


@dataclass
class Simulated:
    """An agent that takes its time and then reports, by the protocol, what became of each node."""

    host: Host
    script: Script
    note: Callable[[Work], None]
    _over: threading.Event = field(default_factory=threading.Event)
    _why: str = ""

    def wait(self) -> Ending:
        """Work for a while; the time that the command may run is kept to."""
        began = time.time()
        try:
            task, arguments = read(self.script.text)
        except (ProtocolError, KeyError, ValueError):
            return Ending(2)
        lasts = random.uniform(LEAST, MOST) + EACH * len(arguments.targets)  # noqa: S311
        killed = self._over.wait(min(lasts, self.script.seconds))
        if killed or lasts > self.script.seconds:
            return Ending(-1, timed_out=self._why != "cancelled", cancelled=self._why == "cancelled")
        now = time.time()
        late = bool(arguments.deadline) and now > arguments.deadline
        fate = Fate.UNFINISHED if late else Fate.SAFE
        nodes = tuple(
            NodeReport(one.instance, "n" + one.instance[2:], fate, seconds=round(lasts, 1))
            for one in arguments.targets
        )
        services = tuple(ServiceReport(f"service-{n}", 20, Way.START_FIRST, lasts) for n in range(40))
        self.script.folder.mkdir(parents=True, exist_ok=True)
        result = Result(task, ok=not late, nodes=nodes, services=services)
        (self.script.folder / "stdout").write_text(encode_result(result))
        targets = tuple(one.instance for one in arguments.targets)
        self.note(Work(self.script.command, self.host.instance, task.value, targets, began, now))
        return Ending(0)

    def kill(self, why: str) -> None:
        """End it."""
        self._why = why
        self._over.set()

    def signal(self, number: signal.Signals) -> None:
        """Do nothing: it has no processes."""


def read(script: str) -> tuple[AgentTask, Arguments]:
    """Read the task and the arguments that the handlers' script gives to the agent."""
    lines = [line for line in script.splitlines() if line.startswith(("TASK=", "ARGUMENTS="))]
    given = dict(shlex.split(line)[0].split("=", 1) for line in lines)
    return AgentTask(given["TASK"]), decode_arguments(given["ARGUMENTS"])


class Cloud:
    """The API of SSM, EC2 and DynamoDB at ``address``; calls and work are noted with their time."""

    def __init__(
        self, shown: list[instances.Instance], emit: Callable[[Event], None], database: ThrottledTable
    ) -> None:
        self.database = database
        self.calls: list[tuple[float, str]] = []
        self.work: list[Work] = []
        self._shown = shown
        self._hosts = {one.host.instance: one.host for one in shown}
        self._folder = tempfile.TemporaryDirectory(prefix="storm-")
        commands = Commands(
            Path(self._folder.name),
            self._hosts.get,
            Faults(),
            emit,
            lambda _: None,
            start=lambda host, script: Simulated(host, script, self.work.append),
            powered=lambda _: True,
        )
        every = tuple(one.host for one in shown if "swarmkeeper:cluster" in one.tags)
        self._api = RunCommand(commands, lambda: every, powered=lambda _: True)
        self._server = Server(("127.0.0.1", 0), type("StormHandler", (Handler,), {"endpoint": self}))
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, request: Request, _find_caller: Callable[[], Caller]) -> Response:
        """Answer one call; anything but DynamoDB, Run Command and DescribeInstances is refused."""
        if request.service == "dynamodb":
            return self.database.answer(request)
        self.calls.append((time.time(), request.action))
        try:
            if request.service == "ssm" and request.operation in self._api.operations:
                return json_answer(self._api.operations[request.operation](json.loads(request.body)))
            if request.action == "ec2:DescribeInstances":
                return xml_answer(instances.describe(self._shown, request.form))
            raise AwsError("UnsupportedOperation", f"no {request.action} in a storm")
        except AwsError as error:
            return refusal(request, error)

    def close(self) -> None:
        """End the server; nothing is left of it."""
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()
