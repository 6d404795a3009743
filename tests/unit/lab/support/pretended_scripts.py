"""Two hosts behind Run Command whose scripts only pretend to run, and end when a test says so."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.endpoint.run_command.api import RunCommand
from tests.lab.endpoint.run_command.commands import Commands
from tests.lab.endpoint.run_command.execution import Ending, Script
from tests.lab.faults.armed_faults import Faults
from tests.lab.observe.journal import Entry
from tests.lab.state import Host

A = Host("a", "manager", "i-00000000000000001", "172.31.0.11", "us-east-1a", pid=1, state="running")
B = Host("b", "worker", "i-00000000000000002", "172.31.0.12", "us-east-1b", pid=2, state="running")


@dataclass
class FakeRunner:
    """A script that ends when it is told to."""

    script: Script
    ended: threading.Event = field(default_factory=threading.Event)
    ending: Ending = field(default_factory=lambda: Ending(0))
    only_once: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> Ending:
        """Wait to be told."""
        assert self.ended.wait(60)
        return self.ending

    def kill(self, why: str) -> None:
        """End as killed."""
        self.end(Ending(137, timed_out=why == "timed_out", cancelled=why == "cancelled"))

    def signal(self, number: signal.Signals) -> None:
        """Nothing runs that could be signalled."""

    def end(self, ending: Ending, stdout: str = "", stderr: str = "") -> None:
        """End in that way, with that output; what has ended stays as it is, as a process does."""
        with self.only_once:
            if self.ended.is_set():
                return
            self.script.folder.mkdir(parents=True)
            (self.script.folder / "stdout").write_text(stdout)
            (self.script.folder / "stderr").write_text(stderr)
            self.ending = ending
            self.ended.set()


@dataclass
class World:
    """Two hosts, and everything that the API told about them."""

    folder: Path
    hosts: tuple[Host, ...] = (A, B)
    dead: set[str] = field(default_factory=set)
    runners: list[FakeRunner] = field(default_factory=list)
    emitted: list[dict[str, Any]] = field(default_factory=list)
    noted: list[Entry] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        """Put the API together."""
        engine = Commands(
            self.folder,
            self.find,
            self.faults,
            self.emitted.append,
            self.noted.append,
            self.start,
            self.powered,
        )
        self.api = RunCommand(engine, lambda: self.hosts, powered=self.powered)

    def find(self, instance: str) -> Host | None:
        """Find the host with that instance id."""
        return next((host for host in self.hosts if host.instance == instance), None)

    def powered(self, host: Host) -> bool:
        """Whether the host has power."""
        return host.instance not in self.dead

    def start(self, _host: Host, script: Script) -> FakeRunner:
        """Pretend to run a script."""
        self.runners.append(FakeRunner(script))
        return self.runners[-1]

    def send(self, *hosts: Host, **more: Any) -> str:
        """Send a command; answers its id."""
        message = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["date"]}}
        ids = [host.instance for host in hosts or (A,)]
        command: str = self.api.send_command({**message, "InstanceIds": ids, **more})["Command"]["CommandId"]
        return command

    def shown(self, command: str, host: Host = A) -> dict[str, Any]:
        """Ask GetCommandInvocation."""
        return self.api.get_command_invocation({"CommandId": command, "InstanceId": host.instance})

    def status(self, command: str) -> tuple[str, str, int]:
        """Status, details and exit code on host A."""
        shown = self.shown(command)
        return shown["Status"], shown["StatusDetails"], shown["ResponseCode"]

    def runner(self, place: int = 0) -> FakeRunner:
        """Return the script that was started at this place in the order."""
        until(lambda: len(self.runners) > place)
        return self.runners[place]


def until(true: Callable[[], bool]) -> None:
    end, nap = time.monotonic() + 60, threading.Event()  # some tests replace time.sleep
    while not true():
        assert time.monotonic() < end, "it did not come true within 60 s"
        nap.wait(0.005)


def a_world(folder: Path) -> Iterator[World]:
    """For one test, after which nothing is left open."""
    made = World(folder)
    yield made
    until(lambda: all_ended(made))


def all_ended(world: World) -> bool:
    """Cancel what is still open."""
    left = {found.order.command for found in world.api.commands.all() if not found.ended}
    for command in left:
        world.api.commands.cancel(command, ())
    return not left
