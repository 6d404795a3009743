"""The app as it is deployed: each handler with the genuine payload that its own rule selects."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from chalice.test import Client

import app as deployed
from chalicelib.adapters import run_command, wiring
from chalicelib.adapters.ports import WallClock, World
from chalicelib.adapters.run_command import Agent, SsmHosts
from chalicelib.delivery.watch import POLL_S
from chalicelib.errors import SettingError
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.conftest import aws, moto, table
from tests.unit.chalicelib.support.fakes import a_node
from tests.unit.chalicelib.support.samples import sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ec2.type_defs import TagTypeDef

__all__ = ["aws", "moto", "table"]  # fixtures

SAMPLES = {
    "on_spot_interruption_warning": ["spot_interruption_warning", "drill_interruption_warning"],
    "guard_spot_interruption_warning": ["spot_interruption_warning", "drill_interruption_warning"],
    "on_rebalance_recommended": ["rebalance_recommendation"],
    "on_instance_state_changed": ["instance_running", "instance_terminated"],
    "on_spot_request_fulfilled": ["spot_request_fulfillment"],
    "on_fleet_instance_changed": [
        "ec2_fleet_instance_launched",
        "ec2_fleet_instance_terminated",
        "ec2_fleet_instance_termination_notified",
        "spot_fleet_instance_launched",
        "spot_fleet_instance_terminated",
        "spot_fleet_instance_termination_notified",
    ],
    "on_fleet_noted": [
        "ec2_fleet_information",
        "ec2_fleet_request_change",
        "ec2_fleet_state_change",
        "spot_fleet_information",
        "spot_fleet_request_change",
        "spot_fleet_state_change",
    ],
    "on_fleet_failed": ["ec2_fleet_error", "spot_fleet_error"],
    "on_launch_held": ["asg_launch_lifecycle"],
    "on_termination_held": ["asg_terminate_lifecycle"],
    "on_health_notice": ["health_scheduled_change"],
    "on_command_finished": ["ssm_invocation_success", "ssm_invocation_failed"],
    "tick": [],
}
CALLS = [
    "status",
    "evacuate",
    "give_back",
    "configure",
    "pause",
    "resume",
    "redrive",
    "init",
    "rotate_tokens",
    "recover",
    "promote",
    "demote",
    "rebalance",
]
OTHERS = [path.stem for path in (Path(__file__).parents[1] / "samples").glob("*.json")]
ROOT = Path(__file__).parent.parent.parent
INSTANCE = "i-0123456789abcdef0"
NOW = 1_795_168_800.0


@pytest.fixture
def world(table: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: ARG001
    monkeypatch.setattr(run_command, "published", lambda: Agent("bucket", "agent-0.pyz", "0" * 64))
    for made in (wiring._world, wiring._ec2):  # noqa: SLF001
        made.cache_clear()  # clients of an earlier test
    return wiring.connected()


@pytest.fixture
def lambdas() -> Iterator[Client]:
    with Client(deployed.app, stage_name="dev", project_dir=str(ROOT)) as client:
        yield client


def run_manager() -> str:
    """Run a manager instance of cluster blue in moto's EC2."""
    tags: list[TagTypeDef] = [
        {"Key": "swarmkeeper:cluster", "Value": "blue"},
        {"Key": "swarmkeeper:role", "Value": "manager"},
        {"Key": "swarmkeeper:stage", "Value": "dev"},
    ]
    answer = boto3.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return answer["Instances"][0]["InstanceId"]


def matches(pattern: Any, event: Any) -> bool:
    """EventBridge's rule for patterns of exact values, and of prefixes."""
    if isinstance(pattern, dict):
        return all(matches(pattern[name], event.get(name)) for name in pattern)
    prefixes = tuple(one["prefix"] for one in pattern if isinstance(one, dict))
    return event in pattern or (isinstance(event, str) and event.startswith(prefixes))


def invoke(lambdas: Client, name: str, payload: object) -> Any:
    return lambdas.lambda_.invoke(name, payload).payload


def test_there_is_one_function_for_each_event_the_schedule_and_each_manual_call() -> None:
    assert set(deployed.app.handler_map) == {*SAMPLES, *CALLS}


def source(name: str) -> Any:
    """Return the event source of a handler, as Chalice will deploy it."""
    return next(source for source in deployed.app.event_sources if source.name == name)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "tick"])
def test_the_deployed_pattern_selects_the_genuine_payloads_and_no_others(name: str) -> None:
    pattern = json.loads(json.dumps(source(name).event_pattern))
    assert sorted(other for other in OTHERS if matches(pattern, sample(other))) == sorted(SAMPLES[name])


@pytest.mark.parametrize(
    ("field", "value"),
    [("status", "InProgress"), ("status", "Pending"), ("document-name", "AWS-RunPatchBaseline")],
)
def test_commands_still_running_and_other_documents_are_not_selected(field: str, value: str) -> None:
    payload = sample("ssm_invocation_success")
    payload["detail"][field] = value
    assert not matches(source("on_command_finished").event_pattern, payload)


def test_the_tick_comes_every_minute() -> None:
    assert source("tick").schedule_expression.to_string() == "rate(1 minute)"


def test_a_warning_is_recorded_and_sent(
    world: World, lambdas: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(WallClock, "sleep", lambda _, seconds: pauses.append(seconds))
    manager = run_manager()
    world.nodes.register([a_node(instance=INSTANCE, launched=0.0)])
    world.managers.record("blue", [manager])
    now = int(time.time())
    reasons = invoke(lambdas, "on_spot_interruption_warning", sample("spot_interruption_warning", now))
    node = world.nodes.get("blue", INSTANCE)
    assert node is not None
    assert (node.state, node.manager, node.deadline) == (NodeState.EVACUATING, manager, now + 120)
    assert reasons == [node.reason]
    assert max(pauses, default=0.0) < POLL_S, "its guard stays, as the runs of warnings are few"
    command = boto3.client("ssm").list_commands()["Commands"][0]
    assert (command["CommandId"], command["Comment"]) == (node.command, "evacuate blue")


def test_an_ended_instance_leaves(world: World, lambdas: Client) -> None:
    world.nodes.register([a_node(instance=INSTANCE, launched=0.0)])
    world.managers.record("blue", [run_manager()])
    assert invoke(lambdas, "on_instance_state_changed", sample("instance_terminated")) == [
        "the instance is terminated"
    ]
    node = world.nodes.get("blue", INSTANCE)
    assert node is not None
    assert node.state is NodeState.LEAVING


def test_the_end_of_a_command_is_fetched(world: World, lambdas: Client) -> None:
    manager = run_manager()
    sent = boto3.client("ssm").send_command(
        InstanceIds=[manager],
        DocumentName="AWS-RunShellScript",
        Comment="leave blue",
        Parameters={"commands": ["true"]},
    )
    command = sent["Command"]["CommandId"]
    leaving = a_node(
        state=NodeState.LEAVING, launched=0.0, command=command, manager=manager, due=NOW, attempts=9
    )
    world.nodes.register([leaving, a_node(instance=manager)])
    payload = sample("ssm_invocation_success", instance_id=manager, command_id=command)
    (reason,) = invoke(lambdas, "on_command_finished", payload)
    assert "leaving: Success: " in reason, "moto's output is not an agent's"
    node = world.nodes.get("blue", leaving.instance)
    assert node is not None
    assert node.is_unsent


def test_a_tick_takes_a_discovery(world: World, lambdas: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SsmHosts, "find_reachable", lambda *_: frozenset())  # moto has no such call
    manager = run_manager()
    event = lambdas.events.generate_cw_event("aws.events", "Scheduled Event", {}, ["arn:aws:events:rule"])
    (reason,) = invoke(lambdas, "tick", event)  # which looks at the swarm, too, in one minute of five
    assert reason.startswith("1 overdue: 1 to send, 0 commands to ask for")
    assert world.managers.list_ids("blue") == (manager,)
    assert world.nodes.find_owner(manager) == "blue"


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "tick"])
def test_a_malformed_event_does_not_fail_the_function(world: World, lambdas: Client, name: str) -> None:
    payload = sample("spot_fleet_error") | {"detail-type": "nonsense"}
    assert invoke(lambdas, name, payload) == []
    assert world.discoveries.latest().taken == 0


def test_status_shows_what_is_recorded(world: World, lambdas: Client) -> None:
    assert invoke(lambdas, "status", None) == {"census": 0.0, "clusters": {}}
    world.nodes.register([a_node()])
    world.discoveries.finish(5.0, ["blue", "green"])
    shown = json.loads(json.dumps(invoke(lambdas, "status", {"cluster": "blue"})["clusters"]))
    assert shown == {
        "blue": {
            "settings": {
                "recommendations": "note",
                "drills": False,
                "notify": True,
                "paused": False,
                "rebalance": True,
                "settle": 20.0,
                "cooldown": 300.0,
                "out_share": 0.3334,
                "description": "",
            },
            "waiting": [],
            "managers": [],
            "nodes": [json.loads(json.dumps(asdict(a_node())))],
            "incidents": [],
            "errands": [],
            "states": {"in-service": 1},
            "left_out": {"nodes": 0, "incidents": 0},
        }
    }
    assert set(invoke(lambdas, "status", {})["clusters"]) == {"blue", "green"}


def test_a_function_without_its_table_setting_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TABLE", raising=False)
    with pytest.raises(SettingError, match="TABLE is not set"):
        wiring.connected()
