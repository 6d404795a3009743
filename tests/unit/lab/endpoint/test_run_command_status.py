"""Run Command as Systems Manager does it: a command's way from pending to its end, as shown and as told."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.endpoint.run_command.execution import Ending
from tests.lab.faults.armed_faults import Fault, Kind
from tests.lab.observe.journal import CommandChange
from tests.unit.lab.support.pretended_scripts import A, B, World, a_world, until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from a_world(tmp_path)


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
