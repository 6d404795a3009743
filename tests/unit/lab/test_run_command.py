"""Run Command as Systems Manager does it, with scripts that only pretend to run."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab.endpoint.commands import Commands
from tests.lab.endpoint.execution import Ending, Script
from tests.lab.endpoint.faults import Fault, Faults, Kind
from tests.lab.endpoint.messages import AwsError
from tests.lab.endpoint.run_command import RunCommand
from tests.lab.journal import CommandChange, Entry
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
        """The host with that instance id."""
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
        """What GetCommandInvocation shows."""
        return self.api.get_command_invocation({"CommandId": command, "InstanceId": host.instance})

    def status(self, command: str) -> tuple[str, str, int]:
        """Status, details and exit code on host A."""
        shown = self.shown(command)
        return shown["Status"], shown["StatusDetails"], shown["ResponseCode"]

    def runner(self, place: int = 0) -> FakeRunner:
        """The so-manieth script that was started."""
        until(lambda: len(self.runners) > place)
        return self.runners[place]


def until(true: Callable[[], bool]) -> None:
    end, nap = time.monotonic() + 60, threading.Event()  # some tests replace time.sleep
    while not true():
        assert time.monotonic() < end, "it did not come true within 60 s"
        nap.wait(0.005)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    until(lambda: all_ended(made))


def all_ended(world: World) -> bool:
    """Cancel what is still open."""
    left = {found.order.command for found in world.api.commands.all() if not found.ended}
    for command in left:
        world.api.commands.cancel(command, ())
    return not left


def test_a_script_that_ends_well_is_a_success_with_its_output(world: World) -> None:
    command = world.send(Comment="evacuate blue")
    until(lambda: world.status(command) == ("InProgress", "InProgress", -1))
    world.runner().end(Ending(0), "done\n")
    until(lambda: world.status(command) == ("Success", "Success", 0))
    shown = world.shown(command)
    assert (shown["StandardOutputContent"], shown["Comment"]) == ("done\n", "evacuate blue")
    assert world.runner().script.text == "date\n"


def test_a_failure_carries_the_exit_code_and_the_agents_own_line(world: World) -> None:
    command = world.send()
    world.runner().end(Ending(3), stderr="no\n")
    until(lambda: world.status(command) == ("Failed", "Failed", 3))
    assert world.shown(command)["StandardErrorContent"] == "no\nfailed to run commands: exit status 3"


def test_outputs_are_cut_where_systems_manager_cuts_them(world: World) -> None:
    command = world.send()
    world.runner().end(Ending(0), "x" * 30_000, "y" * 9_000)
    until(lambda: world.status(command)[0] == "Success")
    shown = world.shown(command)
    assert (len(shown["StandardOutputContent"]), len(shown["StandardErrorContent"])) == (24_000, 8_000)
    listed = world.api.list_command_invocations({"CommandId": command, "Details": True})
    assert len(listed["CommandInvocations"][0]["CommandPlugins"][0]["Output"]) == 2_500


def test_the_execution_time_out_is_a_time_out_with_exit_code_137(world: World) -> None:
    command = world.send()
    world.runner().kill("timed_out")
    until(lambda: world.status(command) == ("TimedOut", "ExecutionTimedOut", 137))


def test_a_host_works_on_five_commands_at_once_and_the_rest_queue_in_order(world: World) -> None:
    commands = [world.send() for _ in range(7)]
    until(lambda: len(world.runners) == 5)
    assert [world.status(command)[0] for command in commands[5:]] == ["Pending", "Pending"]
    world.runner().end(Ending(0))
    assert world.runner(5).script.command == commands[5]
    assert world.status(commands[6])[0] == "Pending"
    world.send(B)  # another host is not held up


def test_a_pending_command_is_cancelled_without_ever_running(world: World) -> None:
    world.faults.arm(Fault(Kind.FREEZE, A.instance, left=-1))
    command = world.send()
    world.api.cancel_command({"CommandId": command})
    assert world.status(command) == ("Cancelled", "Cancelled", -1)
    assert world.runners == []


def test_a_running_command_is_killed_when_it_is_cancelled(world: World) -> None:
    command = world.send(A, B)
    until(lambda: len(world.runners) == 2)
    world.api.cancel_command({"CommandId": command, "InstanceIds": [A.instance]})
    until(lambda: world.status(command) == ("Cancelled", "Cancelled", 137))
    assert world.shown(command, B)["Status"] == "InProgress"


def test_a_frozen_agent_picks_up_when_it_thaws(world: World) -> None:
    world.faults.arm(Fault(Kind.FREEZE, A.instance, left=-1))
    command = world.send()
    time.sleep(0.05)
    assert world.status(command)[0] == "Pending"
    world.faults.clear(Kind.FREEZE)
    until(lambda: world.status(command)[0] == "InProgress")


def test_what_is_not_delivered_in_time_is_a_delivery_time_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.faults.arm(Fault(Kind.FREEZE, A.instance, left=-1))
    command = world.send(TimeoutSeconds=30)
    later = time.time() + 31
    monkeypatch.setattr(time, "time", lambda: later)
    until(lambda: world.status(command) == ("TimedOut", "DeliveryTimedOut", -1))


def test_a_host_that_dies_never_reports_until_all_time_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"commands": ["x"], "executionTimeout": ["10"]}
    began = time.time()
    command = world.send(TimeoutSeconds=30, Parameters=parameters)
    naps: list[float] = []
    gone_on = threading.Event()
    world.runner()

    def nap(seconds: float) -> None:
        naps.append(seconds)
        gone_on.wait(60)

    monkeypatch.setattr(time, "sleep", nap)
    world.runner().end(Ending(-9, lost=True))
    until(lambda: bool(naps))
    assert world.status(command) == ("InProgress", "InProgress", -1)
    assert 40 - (time.time() - began) <= naps[0] <= 40
    gone_on.set()
    monkeypatch.undo()
    until(lambda: world.status(command) == ("TimedOut", "ExecutionTimedOut", -1))


def test_every_change_of_status_is_told_as_the_events_that_aws_sends(world: World) -> None:
    command = world.send(A, B)
    until(lambda: len(world.runners) == 2)
    world.runner(0).end(Ending(0))
    world.runner(1).end(Ending(1))
    until(lambda: len(world.emitted) == 9)
    kinds: dict[str, list[str]] = {}
    for event in world.emitted:
        assert event["detail"]["command-id"] == command
        about = event["detail"].get("instance-id", "command")
        kinds.setdefault(about, []).append(event["detail"]["status"])
    assert kinds["command"] == ["Pending", "InProgress", "Failed"]
    assert sorted(kinds[A.instance] + kinds[B.instance]) == sorted(
        ["Pending", "InProgress", "Success", "Pending", "InProgress", "Failed"]
    )
    changes = [entry for entry in world.noted if isinstance(entry, CommandChange)]
    assert len(changes) == 6


SEND = {"DocumentName": "AWS-RunShellScript", "InstanceIds": [A.instance], "Parameters": {"commands": ["x"]}}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Comment": "x" * 101}, "ValidationException"),
        ({"TimeoutSeconds": 29}, "ValidationException"),
        ({"TimeoutSeconds": 2_592_001}, "ValidationException"),
        ({"InstanceIds": [f"i-{n:017x}" for n in range(51)]}, "ValidationException"),
        ({"InstanceIds": ["web-1"]}, "ValidationException"),
        ({"InstanceIds": ["i-0000000000000000f"]}, "InvalidInstanceId"),
        ({"InstanceIds": []}, "InvalidInstanceId"),
        ({"Targets": [{"Key": "tag:a", "Values": ["b"]}]}, "ValidationException"),
        ({"OutputS3BucketName": "b"}, "ValidationException"),
        ({"DocumentName": "AWS-RunPowerShellScript"}, "InvalidDocument"),
        ({"DocumentVersion": "7"}, "InvalidDocumentVersion"),
        ({"Parameters": {}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["x"], "shell": ["bash"]}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["x"], "executionTimeout": ["0"]}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["x"], "executionTimeout": ["soon"]}}, "InvalidParameters"),
        ({"Parameters": {"commands": "x"}}, "InvalidParameters"),
    ],
)
def test_what_systems_manager_or_the_lab_does_not_take_is_refused(
    world: World, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(AwsError) as refused:
        world.api.send_command({**SEND, **change})
    assert refused.value.code == code
    assert world.runners == []


@pytest.mark.parametrize("late", [False, True])
def test_a_host_takes_commands_only_once_its_agent_has_registered(world: World, *, late: bool) -> None:
    world.hosts = (replace(A, launched=time.time() + (-2 if late else 60)),)
    if late:
        world.send()
        return
    with pytest.raises(AwsError) as refused:
        world.send()
    assert refused.value.code == "InvalidInstanceId"
    assert world.api.describe_instance_information({})["InstanceInformationList"] == []


def test_one_host_without_power_refuses_the_whole_command(world: World) -> None:
    world.dead.add(B.instance)
    with pytest.raises(AwsError) as refused:
        world.send(A, B)
    assert (
        refused.value.message == f"Instances [[{B.instance}]] not in a valid state for account 123456789012"
    )
    rows = world.api.describe_instance_information({})["InstanceInformationList"]
    assert [row["PingStatus"] for row in rows] == ["Online", "ConnectionLost"]


def test_listings_are_filtered_paged_and_newest_first(world: World) -> None:
    commands = [world.send(A if n % 2 else B) for n in range(5)]
    listed = world.api.list_commands({"MaxResults": 3})
    assert [row["CommandId"] for row in listed["Commands"]] == commands[:1:-1]
    rest = world.api.list_commands({"MaxResults": 3, "NextToken": listed["NextToken"]})
    assert [row["CommandId"] for row in rest["Commands"]] == [commands[1], commands[0]]
    on_b = world.api.list_command_invocations({"InstanceId": B.instance})
    assert len(on_b["CommandInvocations"]) == 3
    status = {"Filters": [{"key": "Status", "value": "Success"}]}
    assert world.api.list_commands(status)["Commands"] == []


def test_an_unknown_invocation_does_not_exist(world: World) -> None:
    command = world.send()
    for asked in (
        {"CommandId": "x", "InstanceId": A.instance},
        {"CommandId": command, "InstanceId": B.instance},
    ):
        with pytest.raises(AwsError) as refused:
            world.api.get_command_invocation(asked)
        assert refused.value.code == "InvocationDoesNotExist"
