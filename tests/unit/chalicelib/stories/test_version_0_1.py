"""Records and commands in flight of version 0.1 are read and finished by today's code, and stay readable."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.actions import LifecycleResult
from chalicelib.adapters.dynamodb.items import (
    incident_from,
    incident_item,
    job_from,
    job_item,
    node_from,
    node_item,
)
from chalicelib.adapters.dynamodb.plain_items import (
    breaker_attributes,
    breaker_from,
    discovery_from,
    discovery_item,
    settings_from,
)
from chalicelib.admin.calls import call
from chalicelib.events import parse_comment
from chalicelib.protocol.codec import decode_arguments, decode_result, encode_arguments, encode_result
from chalicelib.protocol.messages import AgentTask, Balance
from chalicelib.rules import incidents
from chalicelib.state.cluster import Cluster
from chalicelib.state.job import JobStage
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.settings import ClusterSettings, Recommendations
from chalicelib.state.stored_names import as_stored
from tests.unit.chalicelib.support.fakes import instance
from tests.unit.chalicelib.support.version_0_1 import COMMANDS, SAVED, Upgrade, upgrade

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RETURNING, SCALED_IN, WARNED, DRILLED, SPARED = (instance(number) for number in (13, 14, 15, 16, 17))
LEAVING, GIVEN_UP, ACTIVATING, JOINING = (instance(number) for number in (12, 40, 43, 44))
FLEET_INCIDENT = "fleet#fleet-598fb973-87b7-422d-be4d-6b0809bfff0a#spotInstanceCountLimitExceeded"


@pytest.fixture
def upgraded(table: DynamoDBClient) -> Upgrade:
    return upgrade(table)


def saved(prefix: str) -> list[dict[str, Any]]:
    return [item for item in SAVED["items"] if item["item"]["S"].startswith(prefix)]


def end_of(upgraded: Upgrade, name: str) -> list[str]:
    """End the command that a node's record names."""
    node = upgraded.node(name)
    return upgraded.end(node.command, node.manager)


def test_the_saved_records_are_of_every_state_stage_and_kind() -> None:
    assert {item["state"]["S"] for item in saved("node#")} == {state.value for state in NodeState}
    assert {item["stage"]["S"] for item in saved("errand#")} == {
        stage.value for stage in set(JobStage) - {JobStage.ENDED}
    }
    kinds = {item["item"]["S"].partition("#")[0] for item in SAVED["items"]}
    records = {"node", "errand", "incident", "breaker", "settings", "cluster", "lease", "home", "census"}
    assert kinds == records


@pytest.mark.parametrize("item", saved("node#"), ids=lambda item: item["item"]["S"][-2:])
def test_a_node_is_stored_under_the_attributes_of_version_0_1(item: dict[str, Any]) -> None:
    assert node_item(node_from(item)) == item


@pytest.mark.parametrize("item", saved("errand#"), ids=lambda item: item["item"]["S"])
def test_a_job_is_stored_under_the_attributes_of_version_0_1(item: dict[str, Any]) -> None:
    job = job_from(item)
    assert job_item("blue", job) == item
    assert encode_arguments(decode_arguments(job.arguments)) == job.arguments
    assert not job.result or encode_result(decode_result(job.result)) == job.result


@pytest.mark.parametrize("item", saved("incident#"), ids=lambda item: item["name"]["S"])
def test_an_incident_is_stored_under_the_attributes_of_version_0_1(item: dict[str, Any]) -> None:
    assert incident_item("blue", incident_from(item)) == item


def test_breakers_settings_and_the_discovery_keep_their_attributes() -> None:
    for item in saved("breaker#"):
        assert breaker_attributes(breaker_from(item)).items() <= item.items()
    (discovery,) = saved("census")
    assert discovery_item(discovery_from(discovery)) == discovery
    (settings,) = saved("settings")
    assert settings_from(settings) == ClusterSettings(Recommendations.EVACUATE, drills=True, settle=20.0)


def test_a_dead_letter_carries_the_record_under_the_names_of_version_0_1() -> None:
    letters = [json.loads(item["record"]["S"]) for item in saved("incident#") if "record" in item]
    for_node, for_job = sorted(letters, key=lambda letter: "task" in letter)
    (node,) = (node_from(item) for item in saved("node#") if SCALED_IN in item["item"]["S"])
    (job,) = (job_from(item) for item in saved("errand#") if item["stage"]["S"] == "failed")
    cluster = Cluster("blue", 0.0)
    written = json.loads(incidents.node_work_given_up(node, cluster).record)
    later = {
        "earlier",
        "zone",
        "kind",
        "lifecycle",
        "gentle",
        "postponed",
        "labels",
        "claimed",
        "doubted_by",
        "doubted_at",
        "only_tagged",
    }
    assert written.keys() - later == for_node.keys()
    assert written["hooks"][0].keys() - {"warm"} == node_hooks(SCALED_IN)
    assert json.loads(incidents.job_failed(job, cluster).record).keys() - {"source"} == for_job.keys()


def node_hooks(name: str) -> set[str]:
    """Return the stored names of a lifecycle action's fields."""
    (item,) = (item for item in saved("node#") if name in item["item"]["S"])
    return set(item["hooks"]["L"][0]["M"])


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row["comment"])
def test_a_command_in_flight_is_read_as_version_0_1_sent_it(row: dict[str, Any]) -> None:
    assert parse_comment(row["comment"]) == (AgentTask(row["comment"].split()[0]), "blue")
    assert encode_arguments(decode_arguments(row["arguments"])) == row["arguments"]
    if row["status"] == "Success":
        assert encode_result(decode_result(row["output"])) == row["output"]


def test_an_evacuation_in_flight_is_finished_by_its_own_command(upgraded: Upgrade) -> None:
    assert end_of(upgraded, WARNED)
    assert (upgraded.node(WARNED).state, upgraded.node(WARNED).fate) == (NodeState.EVACUATED, "safe")
    assert upgraded.lab.hosts.sent == []


def test_an_evacuation_for_a_group_is_finished_and_its_hook_completed(upgraded: Upgrade) -> None:
    (hook,) = upgraded.node(SCALED_IN).hooks
    assert hook.heartbeat > hook.opened
    end_of(upgraded, SCALED_IN)
    assert (SCALED_IN, hook.token, LifecycleResult.CONTINUE) in upgraded.lab.autoscaling.completed
    assert upgraded.node(SCALED_IN).hooks == ()


def test_a_group_that_waits_gets_heartbeats_for_the_hook_of_the_old_record(upgraded: Upgrade) -> None:
    for row in COMMANDS:
        row_is_its = row["command"] == upgraded.node(SCALED_IN).command
        upgraded.lab.hosts.hung |= {row["instance"]} if row_is_its else set()
    before = upgraded.node(SCALED_IN).hooks[0].heartbeat
    upgraded.lab.clock.sleep(600)
    upgraded.tick()
    assert SCALED_IN in upgraded.lab.autoscaling.heartbeats or not upgraded.node(SCALED_IN).hooks
    assert not upgraded.node(SCALED_IN).hooks or upgraded.node(SCALED_IN).hooks[0].heartbeat > before


def test_a_join_in_flight_is_finished_and_its_group_goes_on(upgraded: Upgrade) -> None:
    token = upgraded.node(JOINING).hooks[0].token
    end_of(upgraded, JOINING)
    assert upgraded.node(JOINING).state is NodeState.ACTIVATING
    for _ in range(3):
        upgraded.tick()
    assert upgraded.node(JOINING).state is NodeState.IN_SERVICE
    assert (JOINING, token, LifecycleResult.CONTINUE) in upgraded.lab.autoscaling.completed


def test_a_rebalance_in_flight_is_concluded_with_its_result(upgraded: Upgrade) -> None:
    job = upgraded.job("rebalance")
    assert (job.is_open, job.automatic) == (True, True)
    upgraded.end(job.command, job.manager)
    ended = upgraded.job("rebalance")
    assert (ended.stage, ended.command) == (JobStage.DONE, job.command)
    assert decode_result(ended.result).spreads[0].balance is Balance.MOVED


def test_people_are_notified_of_an_incident_that_version_0_1_left_unpublished(upgraded: Upgrade) -> None:
    upgraded.tick()
    texts = [text for _, text in upgraded.lab.messages.published]
    assert len([text for text in texts if "spotInstanceCountLimitExceeded" in text]) == 1
    known = upgraded.world.incidents.get("blue", FLEET_INCIDENT)
    assert known
    assert known.notified
    assert as_stored(known)["told"] is True


def test_a_dead_letter_is_driven_again(upgraded: Upgrade) -> None:
    assert upgraded.node(GIVEN_UP).is_given_up
    call("redrive", {"cluster": "blue", "instance": GIVEN_UP}, upgraded.world)
    upgraded.tick()
    assert AgentTask.JOIN in [sent.task for sent in upgraded.lab.hosts.sent]
    assert not upgraded.node(GIVEN_UP).is_given_up


def test_the_lease_of_a_handler_that_is_gone_ends_and_work_is_sent(upgraded: Upgrade) -> None:
    upgraded.lab.hosts.broken = set()
    upgraded.lab.clock.sleep(60)
    call("evacuate", {"cluster": "blue", "instance": instance(42), "seconds": 60}, upgraded.world)
    assert upgraded.lab.hosts.sent[-1].task is AgentTask.EVACUATE


def test_ticks_finish_all_work_that_version_0_1_left_open(upgraded: Upgrade) -> None:
    for _ in range(8):
        upgraded.tick()
    expected = {
        WARNED: NodeState.EVACUATED,
        LEAVING: NodeState.GONE,
        RETURNING: NodeState.IN_SERVICE,
        DRILLED: NodeState.IN_SERVICE,
        SPARED: NodeState.EVACUATED,
        ACTIVATING: NodeState.IN_SERVICE,
        JOINING: NodeState.IN_SERVICE,
        GIVEN_UP: NodeState.JOINING,
    }
    assert {name: upgraded.node(name).state for name in expected} == expected
    assert not any(job.is_open for job in upgraded.world.jobs.list_all("blue"))


def test_status_shows_the_old_records_under_their_old_names(upgraded: Upgrade) -> None:
    shown = call("status", {"cluster": "blue"}, upgraded.world)
    cluster = shown["clusters"]["blue"]
    assert shown["census"] > 0
    keys = {"settings", "managers", "states", "nodes", "incidents", "left_out", "errands", "waiting"}
    assert set(cluster) == keys
    assert {row["told"] for row in cluster["incidents"]} == {True, False}
    hooks = [hook for row in cluster["nodes"] for hook in row["hooks"]]
    assert {"beat", "token", "opened"} <= set(hooks[0])
