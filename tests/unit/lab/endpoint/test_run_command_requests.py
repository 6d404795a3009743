"""Run Command as Systems Manager does it: which requests it refuses, and what it lists."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab.endpoint.messages import AwsError
from tests.unit.lab.support.pretended_scripts import A, B, World, a_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from a_world(tmp_path)


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
