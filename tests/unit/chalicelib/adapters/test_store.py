"""One contract for the table and for the fake that other tests use in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from chalicelib.adapters.dynamodb.store import DynamoStore
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.cluster import Breaker, Discovery, Host
from chalicelib.state.incident import Incident
from chalicelib.state.instance import LifecycleAction, Role, Transition
from chalicelib.state.job import Job, JobStage
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.scheduled_change import ScheduledChange
from chalicelib.state.settings import ClusterSettings, Recommendations
from tests.unit.chalicelib.conftest import TABLE
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, WORKER_2, a_node, instance
from tests.unit.chalicelib.support.memory import MemoryStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from chalicelib.adapters.ports import Store


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    return DynamoStore(request.getfixturevalue("table"), TABLE)


FULL = a_node(
    state=NodeState.EVACUATING,
    version=3,
    since=START + 0.25,
    reason="because",
    node="abc",
    fate="unfinished",
    deadline=START + 120,
    due=START + 30,
    command="c-1",
    manager="i-1",
    attempts=2,
    hooks=(
        LifecycleAction("workers", "leave", "token-2", Transition.TERMINATING, START, START + 60),
        LifecycleAction("workers", "found without its event", "", Transition.TERMINATING, START),
    ),
    back=START + 3600,
    drill=True,
    hinted=START - 5,
    notices=(
        ScheduledChange(START, False, START + 99, code="REBOOT"),
        ScheduledChange(START - 0.5, True, START, START + 9, arn="a"),
    ),
)


def test_an_unknown_instance_has_no_home_and_no_record(store: Store) -> None:
    assert store.owner_cluster(WORKER) is None
    assert store.node("blue", WORKER) is None
    assert store.nodes("blue") == ()


@pytest.mark.parametrize("node", [a_node(), FULL])
def test_an_enrolled_node_is_found_as_it_was(store: Store, node: object) -> None:
    store.register([node])  # type: ignore[list-item]
    assert store.owner_cluster(WORKER) == "blue"
    assert store.node("blue", WORKER) == node
    assert store.node("green", WORKER) is None


def test_one_that_ended_before_it_was_seen_has_no_address_and_is_found_all_the_same(store: Store) -> None:
    """Terminated instances have lost theirs; one such record must not be in the way of all others."""
    node = a_node(address="", state=NodeState.GONE)
    store.register((node,))
    assert store.nodes("blue") == (node,)


def test_enrolling_again_changes_nothing(store: Store) -> None:
    store.register([FULL])
    store.register([a_node()])
    assert store.node("blue", WORKER) == FULL


def test_a_record_of_what_is_at_home_elsewhere_leaves_it_there(store: Store) -> None:
    store.register([a_node(cluster="green", instance=WORKER)])
    store.register([a_node()], owned=False)
    assert store.owner_cluster(WORKER) == "green"
    assert store.node("blue", WORKER) == a_node()


def test_a_whole_cluster_is_enrolled_and_listed_without_its_other_items(store: Store) -> None:
    nodes = [a_node(instance=instance(number)) for number in range(60)]
    store.register(nodes)
    store.record_managers("blue", MANAGERS)
    store.acquire("blue", "me", START, 10)
    store.record_breaker("blue", MANAGERS[0], Breaker(1), START)
    store.register([a_node(cluster="green", instance=WORKER)])
    assert store.nodes("blue") == tuple(nodes)


def test_a_move_replaces_the_record_that_was_read(store: Store) -> None:
    store.register([a_node()])
    after = a_node().enter(NodeState.LEAVING, since=START, reason="ended", due=START)
    assert store.replace_record(a_node(), after)
    assert store.node("blue", WORKER) == after


@pytest.mark.parametrize(
    "stale", [a_node(version=2), a_node(state=NodeState.LEAVING), a_node(instance=WORKER_2)]
)
def test_a_move_of_anything_else_is_refused(store: Store, stale: object) -> None:
    store.register([a_node()])
    assert not store.replace_record(stale, replace(stale, version=9))  # type: ignore[arg-type, type-var]
    assert store.nodes("blue") == (a_node(),)


def test_open_work_is_what_has_a_due_time_in_its_order(store: Store) -> None:
    late = replace(FULL, instance=instance(1), due=START + 50)
    soon = replace(FULL, instance=instance(2), due=START - 1.5)
    store.register([late, soon, FULL, a_node(instance=WORKER_2), replace(FULL, cluster="green")])
    assert store.open("blue", START + 1e6) == (soon, FULL, late)
    assert store.open("blue", START + 30) == (soon, FULL)
    assert store.open("blue", START - 2) == ()


def test_closed_work_is_no_longer_open(store: Store) -> None:
    store.register([FULL])
    store.replace_record(FULL, FULL.enter(NodeState.EVACUATED, since=START, reason="safe"))
    assert store.open("blue", START + 1e6) == ()


def test_managers_are_hosts_with_their_state_and_breaker(store: Store) -> None:
    assert store.managers("blue") == ()
    assert store.hosts("blue") == ()
    store.record_managers("blue", MANAGERS)
    store.register([replace(FULL, instance=MANAGERS[0], role=Role.MANAGER), a_node(instance=MANAGERS[1])])
    store.record_breaker("blue", MANAGERS[1], Breaker(2, START + 30, START - 5.5), START)
    assert store.managers("blue") == MANAGERS
    assert store.hosts("blue") == (
        Host(MANAGERS[0], NodeState.EVACUATING, address="10.0.0.10"),
        Host(MANAGERS[1], breaker=Breaker(2, START + 30, START - 5.5), address="10.0.0.10"),
        Host(MANAGERS[2], NodeState.GONE),
    )
    many = [instance(number) for number in range(120)]
    store.record_managers("blue", many)
    assert [host.instance for host in store.hosts("blue")] == many, "whoever tags so many"
    store.record_managers("blue", ())
    assert store.managers("blue") == ()


def test_breakers_are_closed_until_something_is_recorded(store: Store) -> None:
    assert store.breaker("blue", MANAGERS[0]) == Breaker()
    store.record_breaker("blue", MANAGERS[0], Breaker(1, 0.0, START), START)
    assert store.breaker("blue", MANAGERS[0]) == Breaker(1, 0.0, START)


def test_one_holder_has_the_lease_and_may_renew_it(store: Store) -> None:
    assert store.acquire("blue", "me", START, 10) == 0
    assert store.acquire("blue", "you", START + 9, 10) is None
    assert store.acquire("green", "you", START, 10) == 0
    assert store.acquire("blue", "me", START + 9, 10) == 0
    assert store.acquire("blue", "you", START + 18, 10) is None


def test_a_lease_ends_by_time_or_by_release(store: Store) -> None:
    store.acquire("blue", "me", START, 10)
    assert store.acquire("blue", "you", START + 10, 10) == 0
    assert not store.release("blue", "me")
    assert store.acquire("blue", "me", START + 11, 10) is None
    assert store.release("blue", "you")
    assert store.acquire("blue", "me", START + 11, 10) == 0


def test_who_is_called_for_does_not_let_go_before_it_has_heard_it(store: Store) -> None:
    assert store.call("blue", START) == 0
    store.acquire("blue", "me", START, 10)
    assert (store.call("blue", START + 1), store.call("blue", START + 2)) == (1, 2)
    assert not store.release("blue", "me", 0)
    assert store.acquire("blue", "me", START + 3, 10) == 2
    assert store.call("blue", START + 13) == 0, "it is over: nobody would hear it"
    assert store.release("blue", "me", 2)
    assert store.acquire("blue", "you", START + 14, 10) == 0


def test_one_handler_takes_the_census(store: Store) -> None:
    never = store.discovery()
    assert never == Discovery()
    assert store.begin_discovery(never, START, 30)
    assert not store.begin_discovery(never, START + 1, 30)
    assert store.begin_discovery(store.discovery(), START + 30, 30)
    store.end_discovery(START + 30, ["blue", "green"])
    assert store.discovery() == Discovery(START + 30, 0.0, ("blue", "green"))
    assert not store.begin_discovery(never, START + 40, 30)
    assert store.begin_discovery(store.discovery(), START + 40, 30)
    store.end_discovery(START + 29, ["blue"])
    assert store.discovery() == Discovery(START + 30, START + 70, ("blue", "green")), "a slower, older one"


def test_an_ended_record_carries_whole_seconds_for_the_time_to_live(table: DynamoDBClient) -> None:
    DynamoStore(table, TABLE).register([a_node(expires=START + 0.7)])
    key = {"cluster": {"S": "blue"}, "item": {"S": f"node#{WORKER}"}}
    assert table.get_item(TableName=TABLE, Key=key)["Item"]["expires"] == {"N": str(int(START))}


def test_other_refusals_of_the_table_are_raised(aws: None) -> None:  # noqa: ARG001
    import boto3  # noqa: PLC0415

    store = DynamoStore(boto3.client("dynamodb"), "no-such-table")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        store.replace_record(a_node(), a_node())
    with pytest.raises(ClientError, match="ResourceNotFound"):
        store.release("blue", "me")


def test_a_cluster_is_treated_as_usual_until_something_else_is_set(store: Store) -> None:
    assert store.settings("blue") == ClusterSettings()
    store.update_settings("blue", {"recommendations": Recommendations.EVACUATE, "drills": True})
    store.update_settings("blue", {"paused": True})
    assert store.settings("blue") == ClusterSettings(Recommendations.EVACUATE, drills=True, paused=True)
    store.update_settings("blue", {"paused": False, "drills": False})
    assert store.settings("blue") == ClusterSettings(Recommendations.EVACUATE)
    assert store.settings("green") == ClusterSettings()


INCIDENT = Incident(
    key="join#i-1#5", at=START, what="it broke", left="all", remedy="mend", record="{}", expires=START + 60
)


def test_an_incident_is_opened_once_until_it_expires_or_is_forgotten(store: Store) -> None:
    assert store.open_incident("blue", INCIDENT, START)
    assert not store.open_incident("blue", replace(INCIDENT, what="again"), START + 59)
    assert store.incidents("blue") == (INCIDENT,)
    store.told("blue", INCIDENT.key)
    assert store.incidents("blue") == (replace(INCIDENT, notified=True),)
    assert store.incident("blue", INCIDENT.key) == replace(INCIDENT, notified=True)
    assert store.incident("blue", "another") is None
    assert store.open_incident("blue", INCIDENT, START + 60)
    store.forget("blue", INCIDENT.key)
    assert store.incidents("blue") == ()
    store.told("blue", INCIDENT.key)
    assert store.incidents("blue") == (), "forgotten while it was told"


def test_an_incident_that_cannot_be_read_is_shown_as_such_and_told_to_nobody(table: DynamoDBClient) -> None:
    store = DynamoStore(table, TABLE)
    store.open_incident("blue", INCIDENT, START)
    table.put_item(
        TableName=TABLE,
        Item={"cluster": {"S": "blue"}, "item": {"S": "incident#a"}, "told": {"BOOL": True}},
    )
    broken, known = store.incidents("blue")
    assert (broken.key, broken.notified, broken.what) == (
        "a",
        True,
        "this incident cannot be read: KeyError 'name'",
    )
    assert known == INCIDENT


def test_an_errand_is_begun_by_one_and_replaced_only_as_it_was_read(store: Store) -> None:
    first = Job(
        task=AgentTask.INIT, since=START + 0.5, instance="i-1", due=START, reason="ordered", wanted=True
    )
    other = replace(first, instance="i-2")
    assert store.replace_job("blue", None, first)
    assert not store.replace_job("blue", None, other)
    assert store.replace_job("green", None, other)
    done = first.revise(stage=JobStage.DONE, due=None, command="c-1", manager="i-1", attempts=1, result="{}")
    assert store.replace_job("blue", first, done)
    assert not store.replace_job("blue", first, first.revise(reason="too late"))
    assert store.jobs("blue") == (done,)


def test_an_errand_that_is_due_is_no_node_with_open_work(store: Store) -> None:
    store.register([FULL])
    store.replace_job("blue", None, Job(task=AgentTask.INIT, since=START, due=START))
    assert store.open("blue", START + 60) == (FULL,)


def test_fleets_have_a_home_too(store: Store) -> None:
    store.record_owners("blue", ["fleet-1", "sfr-2"])
    assert (store.owner_cluster("fleet-1"), store.owner_cluster("sfr-2")) == ("blue", "blue")
