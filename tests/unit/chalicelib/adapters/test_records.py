"""One contract for the table and for the fake that other tests use in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.adapters import wiring
from chalicelib.adapters.ports import World
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.cluster import Breaker, Discovery, Host, Overview
from chalicelib.state.incident import Incident
from chalicelib.state.instance import LifecycleAction, Role, Transition
from chalicelib.state.job import Job, JobStage
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import SentCommand
from chalicelib.state.postponed import Postponed
from chalicelib.state.scheduled_change import ScheduledChange
from chalicelib.state.settings import ClusterSettings, Recommendations
from tests.unit.chalicelib.conftest import TABLE
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, WORKER_2, Lab, a_node, instance

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(params=["memory", "dynamodb"])
def world(request: pytest.FixtureRequest) -> World:
    """Have the fake's records or the table's; all else does not matter here."""
    if request.param == "memory":
        return Lab(workers=0, settled=False, rebalance=True).world()
    request.getfixturevalue("table")
    return on_table()


def on_table() -> World:
    """Connect to the real world, with clients of this test's moto."""
    wiring._world.cache_clear()  # noqa: SLF001
    return wiring.connected()


FULL = a_node(
    state=NodeState.EVACUATING,
    version=3,
    since=START + 0.25,
    reason="because",
    node="abc",
    earlier=(SentCommand("c-1", MANAGERS[0]), SentCommand("c-2", MANAGERS[1])),
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
    gentle=True,
    postponed=(Postponed(START, START + 10, START + 3600, 600.0, "a hint", drill=True),),
    notices=(
        ScheduledChange(START, False, START + 99, code="REBOOT"),
        ScheduledChange(START - 0.5, True, START, START + 9, arn="a"),
    ),
)


def test_an_unknown_instance_has_no_owner_and_no_record(world: World) -> None:
    assert world.nodes.find_owner(WORKER) is None
    assert world.nodes.get("blue", WORKER) is None
    assert world.nodes.list_all("blue") == ()


@pytest.mark.parametrize("node", [a_node(), FULL])
def test_a_registered_node_is_found_as_it_was(world: World, node: object) -> None:
    world.nodes.register([node])  # type: ignore[list-item]
    assert world.nodes.find_owner(WORKER) == "blue"
    assert world.nodes.get("blue", WORKER) == node
    assert world.nodes.get("green", WORKER) is None


def test_one_that_ended_before_it_was_seen_has_no_address_and_is_found_all_the_same(world: World) -> None:
    """Terminated instances have lost theirs; one such record must not be in the way of all others."""
    node = a_node(address="", state=NodeState.GONE)
    world.nodes.register((node,))
    assert world.nodes.list_all("blue") == (node,)


def test_registering_again_changes_nothing(world: World) -> None:
    world.nodes.register([FULL])
    world.nodes.register([a_node()])
    assert world.nodes.get("blue", WORKER) == FULL


def test_a_record_of_an_instance_that_another_cluster_owns_leaves_the_owner(world: World) -> None:
    world.nodes.register([a_node(cluster="green", instance=WORKER)])
    world.nodes.register([a_node()], owned=False)
    assert world.nodes.find_owner(WORKER) == "green"
    assert world.nodes.get("blue", WORKER) == a_node()


def test_a_whole_cluster_is_registered_and_listed_without_its_other_items(world: World) -> None:
    nodes = [a_node(instance=instance(number)) for number in range(60)]
    world.nodes.register(nodes)
    world.managers.record("blue", MANAGERS)
    world.lease.acquire("blue", "me", START, 10)
    world.managers.record_breaker("blue", MANAGERS[0], Breaker(1), START)
    world.nodes.register([a_node(cluster="green", instance=WORKER)])
    assert world.nodes.list_all("blue") == tuple(nodes)


def test_a_move_replaces_the_record_that_was_read(world: World) -> None:
    world.nodes.register([a_node()])
    after = a_node().enter(NodeState.LEAVING, since=START, reason="ended", due=START)
    assert world.nodes.replace(a_node(), after)
    assert world.nodes.get("blue", WORKER) == after


@pytest.mark.parametrize(
    "stale", [a_node(version=2), a_node(state=NodeState.LEAVING), a_node(instance=WORKER_2)]
)
def test_a_move_of_anything_else_is_refused(world: World, stale: object) -> None:
    world.nodes.register([a_node()])
    assert not world.nodes.replace(stale, replace(stale, version=9))  # type: ignore[arg-type, type-var]
    assert world.nodes.list_all("blue") == (a_node(),)


def test_given_many_moves_expected_all_but_those_of_records_that_were_not_read(world: World) -> None:
    """More than one call takes, with one lost race in each part."""
    nodes = [a_node(instance=instance(number)) for number in range(150)]
    world.nodes.register(nodes)
    stale = {3, 120}
    before = [replace(node, version=7) if number in stale else node for number, node in enumerate(nodes)]
    pairs = [(node, node.enter(NodeState.LEAVING, since=START, reason="x", due=START)) for node in before]
    assert world.nodes.replace_all(pairs) == [number not in stale for number in range(150)]
    found = world.nodes.list_all("blue")
    assert [node.state is NodeState.IN_SERVICE for node in found] == [n in stale for n in range(150)]
    assert world.nodes.replace_all(pairs[3:4]) == [False]
    assert world.nodes.replace_all([]) == []


def test_given_a_record_that_exists_expected_the_owner_and_the_others_registered(world: World) -> None:
    world.nodes.register([FULL], owned=False)
    world.nodes.register([a_node(), *(a_node(instance=instance(100 + number)) for number in range(60))])
    assert (world.nodes.get("blue", WORKER), world.nodes.find_owner(WORKER)) == (FULL, "blue")
    assert len(world.nodes.list_all("blue")) == 61


def test_given_one_read_expected_managers_settings_and_the_node(world: World) -> None:
    assert world.clusters.read("blue", WORKER) == Overview()
    world.nodes.register([FULL, a_node(cluster="green")])
    world.managers.record("blue", MANAGERS)
    world.settings.update("blue", {"paused": True})
    settings = ClusterSettings(paused=True)
    assert world.clusters.read("blue", WORKER) == Overview(MANAGERS, settings, FULL)
    assert world.clusters.read("blue") == Overview(MANAGERS, settings)
    assert world.clusters.read("green", WORKER) == Overview(node=a_node(cluster="green"))


def test_open_work_is_what_has_a_due_time_in_its_order(world: World) -> None:
    late = replace(FULL, instance=instance(1), due=START + 50)
    soon = replace(FULL, instance=instance(2), due=START - 1.5)
    world.nodes.register([late, soon, FULL, a_node(instance=WORKER_2), replace(FULL, cluster="green")])
    assert world.nodes.list_open("blue", START + 1e6) == (soon, FULL, late)
    assert world.nodes.list_open("blue", START + 30) == (soon, FULL)
    assert world.nodes.list_open("blue", START - 2) == ()


def test_closed_work_is_no_longer_open(world: World) -> None:
    world.nodes.register([FULL])
    world.nodes.replace(FULL, FULL.enter(NodeState.EVACUATED, since=START, reason="safe"))
    assert world.nodes.list_open("blue", START + 1e6) == ()


def test_managers_are_hosts_with_their_state_and_breaker(world: World) -> None:
    assert world.managers.list_ids("blue") == ()
    assert world.managers.list_hosts("blue") == ()
    world.managers.record("blue", MANAGERS)
    first = replace(FULL, instance=MANAGERS[0], role=Role.MANAGER)
    world.nodes.register([first, a_node(instance=MANAGERS[1])])
    world.managers.record_breaker("blue", MANAGERS[1], Breaker(2, START + 30, START - 5.5), START)
    assert world.managers.list_ids("blue") == MANAGERS
    assert world.managers.list_hosts("blue") == (
        Host(MANAGERS[0], NodeState.EVACUATING, address="10.0.0.10", node="abc"),
        Host(MANAGERS[1], breaker=Breaker(2, START + 30, START - 5.5), address="10.0.0.10"),
        Host(MANAGERS[2], NodeState.GONE),
    )
    many = [instance(number) for number in range(120)]
    world.managers.record("blue", many)
    assert [host.instance for host in world.managers.list_hosts("blue")] == many, "whoever tags so many"
    world.managers.record("blue", ())
    assert world.managers.list_ids("blue") == ()


def test_breakers_are_closed_until_something_is_recorded(world: World) -> None:
    assert world.managers.get_breaker("blue", MANAGERS[0]) == Breaker()
    world.managers.record_breaker("blue", MANAGERS[0], Breaker(1, 0.0, START), START)
    assert world.managers.get_breaker("blue", MANAGERS[0]) == Breaker(1, 0.0, START)


def test_one_holder_has_the_lease_and_may_renew_it(world: World) -> None:
    assert world.lease.acquire("blue", "me", START, 10) == 0
    assert world.lease.acquire("blue", "you", START + 9, 10) is None
    assert world.lease.acquire("green", "you", START, 10) == 0
    assert world.lease.acquire("blue", "me", START + 9, 10) == 0
    assert world.lease.acquire("blue", "you", START + 18, 10) is None


def test_a_lease_ends_by_time_or_by_release(world: World) -> None:
    world.lease.acquire("blue", "me", START, 10)
    assert world.lease.acquire("blue", "you", START + 10, 10) == 0
    assert not world.lease.release("blue", "me")
    assert world.lease.acquire("blue", "me", START + 11, 10) is None
    assert world.lease.release("blue", "you")
    assert world.lease.acquire("blue", "me", START + 11, 10) == 0


def test_a_requested_recheck_keeps_the_holder_from_letting_go_before_it(world: World) -> None:
    assert world.lease.request_recheck("blue", START) == 0
    world.lease.acquire("blue", "me", START, 10)
    assert world.lease.request_recheck("blue", START + 1) == 1
    assert world.lease.request_recheck("blue", START + 2) == 2
    assert not world.lease.release("blue", "me", 0)
    assert world.lease.acquire("blue", "me", START + 3, 10) == 2
    assert world.lease.request_recheck("blue", START + 13) == 0, "it is over: nobody would hear it"
    assert world.lease.release("blue", "me", 2)
    assert world.lease.acquire("blue", "you", START + 14, 10) == 0


def test_one_handler_takes_the_discovery(world: World) -> None:
    never = world.discoveries.latest()
    assert never == Discovery()
    assert world.discoveries.begin(never, START, 30)
    assert not world.discoveries.begin(never, START + 1, 30)
    assert world.discoveries.begin(world.discoveries.latest(), START + 30, 30)
    world.discoveries.finish(START + 30, ["blue", "green"])
    assert world.discoveries.look_up(WORKER) == (world.discoveries.latest(), None)
    world.nodes.register([a_node()])
    assert world.discoveries.look_up(WORKER) == (world.discoveries.latest(), "blue")
    assert world.discoveries.latest() == Discovery(START + 30, 0.0, ("blue", "green"))
    assert not world.discoveries.begin(never, START + 40, 30)
    assert world.discoveries.begin(world.discoveries.latest(), START + 40, 30)
    world.discoveries.finish(START + 29, ["blue"])
    newer = Discovery(START + 30, START + 70, ("blue", "green"))
    assert world.discoveries.latest() == newer, "a slower, older one"


def test_an_ended_record_carries_whole_seconds_for_the_time_to_live(table: DynamoDBClient) -> None:
    on_table().nodes.register([a_node(expires=START + 0.7)])
    key = {"cluster": {"S": "blue"}, "item": {"S": f"node#{WORKER}"}}
    assert table.get_item(TableName=TABLE, Key=key)["Item"]["expires"] == {"N": str(int(START))}


@pytest.mark.usefixtures("aws")
def test_other_refusals_of_the_table_are_raised() -> None:
    world = on_table()
    with pytest.raises(ClientError, match="ResourceNotFound"):
        world.nodes.replace(a_node(), a_node())
    with pytest.raises(ClientError, match="ResourceNotFound"):
        world.lease.release("blue", "me")


def test_a_cluster_is_treated_as_usual_until_something_else_is_set(world: World) -> None:
    assert world.settings.get("blue") == ClusterSettings()
    world.settings.update("blue", {"recommendations": Recommendations.EVACUATE, "drills": True})
    world.settings.update("blue", {"paused": True})
    assert world.settings.get("blue") == ClusterSettings(Recommendations.EVACUATE, drills=True, paused=True)
    world.settings.update("blue", {"paused": False, "drills": False})
    assert world.settings.get("blue") == ClusterSettings(Recommendations.EVACUATE)
    assert world.settings.get("green") == ClusterSettings()


INCIDENT = Incident(
    key="join#i-1#5", at=START, what="it broke", left="all", fix="mount it", record="{}", expires=START + 60
)


def test_an_incident_is_opened_once_until_it_expires_or_is_forgotten(world: World) -> None:
    assert world.incidents.record("blue", INCIDENT, START)
    assert not world.incidents.record("blue", replace(INCIDENT, what="again"), START + 59)
    assert world.incidents.list_all("blue") == (INCIDENT,)
    world.incidents.mark_notified("blue", INCIDENT.key)
    assert world.incidents.list_all("blue") == (replace(INCIDENT, notified=True),)
    assert world.incidents.get("blue", INCIDENT.key) == replace(INCIDENT, notified=True)
    assert world.incidents.get("blue", "another") is None
    assert world.incidents.record("blue", INCIDENT, START + 60)
    world.incidents.delete("blue", INCIDENT.key)
    assert world.incidents.list_all("blue") == ()
    world.incidents.mark_notified("blue", INCIDENT.key)
    assert world.incidents.list_all("blue") == (), "forgotten while it was told"


def test_an_incident_that_cannot_be_read_is_shown_as_such_and_notifies_nobody(table: DynamoDBClient) -> None:
    world = on_table()
    world.incidents.record("blue", INCIDENT, START)
    table.put_item(
        TableName=TABLE,
        Item={"cluster": {"S": "blue"}, "item": {"S": "incident#a"}, "told": {"BOOL": True}},
    )
    broken, known = world.incidents.list_all("blue")
    assert (broken.key, broken.notified, broken.what) == (
        "a",
        True,
        "this incident cannot be read: KeyError 'name'",
    )
    assert known == INCIDENT


def test_a_job_is_begun_by_one_and_replaced_only_as_it_was_read(world: World) -> None:
    first = Job(
        task=AgentTask.INIT, since=START + 0.5, instance="i-1", due=START, reason="ordered", wanted=True
    )
    other = replace(first, instance="i-2")
    assert world.jobs.replace("blue", None, first)
    assert not world.jobs.replace("blue", None, other)
    assert world.jobs.replace("green", None, other)
    done = first.revise(stage=JobStage.DONE, due=None, command="c-1", manager="i-1", attempts=1, result="{}")
    assert world.jobs.replace("blue", first, done)
    assert not world.jobs.replace("blue", first, first.revise(reason="too late"))
    assert world.jobs.list_all("blue") == (done,)


def test_a_job_that_is_due_is_no_node_with_open_work(world: World) -> None:
    world.nodes.register([FULL])
    world.jobs.replace("blue", None, Job(task=AgentTask.INIT, since=START, due=START))
    assert world.nodes.list_open("blue", START + 60) == (FULL,)


def test_fleets_have_an_owner_too(world: World) -> None:
    world.nodes.record_owners("blue", ["fleet-1", "sfr-2"])
    assert (world.nodes.find_owner("fleet-1"), world.nodes.find_owner("sfr-2")) == ("blue", "blue")


def test_items_that_cannot_be_read_stop_no_cluster(
    table: DynamoDBClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a later version, or changed by hand: they are named in the log, and all others are read."""
    world = on_table()
    good = a_node(instance=MANAGERS[0], role=Role.MANAGER, due=START)
    world.nodes.register([good, *(a_node(instance=name, due=START) for name in (WORKER, *MANAGERS[1:]))])
    world.managers.record("blue", MANAGERS)
    broken: list[tuple[str, dict[str, Any]]] = [
        (f"node#{WORKER}", {"state": {"S": "dancing"}}),
        (f"node#{MANAGERS[1]}", {"hooks": {"L": [{"M": {"group": {"S": "workers"}}}]}}),
        (f"node#{MANAGERS[2]}", {"attempts": {"N": "1.5"}, "address": {"M": {}}}),
        ("errand#inspect", {"stage": {"S": "dancing"}, "version": {"N": "7"}}),
        ("errand#dance", {"task": {"S": "dance"}}),
    ]
    for item, attributes in broken:
        where = {"cluster": {"S": "blue"}, "item": {"S": item}}
        known = table.get_item(TableName=TABLE, Key=where).get("Item", where)
        table.put_item(TableName=TABLE, Item={**known, **attributes})
    assert world.nodes.list_all("blue") == (good,)
    assert world.nodes.list_open("blue", START) == (good,)
    assert world.nodes.get("blue", WORKER) is None
    assert [host.state for host in world.managers.list_hosts("blue")] == [
        NodeState.IN_SERVICE,
        NodeState.GONE,
        NodeState.GONE,
    ]
    (job,) = world.jobs.list_all("blue")
    assert (job.task, job.stage, job.version) == (AgentTask.INSPECT, JobStage.FAILED, 7)
    for item, _ in broken:
        assert f"the item (blue, {item}) cannot be read: " in caplog.text
    assert world.jobs.replace("blue", job, job.revise(stage=JobStage.OPEN))
    assert world.jobs.list_all("blue")[0].is_open


def put(table: DynamoDBClient, cluster: str, item: str, **attributes: Any) -> None:
    table.put_item(TableName=TABLE, Item={"cluster": {"S": cluster}, "item": {"S": item}, **attributes})


BROKEN: list[dict[str, Any]] = [
    {},
    {"N": "7"},
    {"S": "seven"},
    {"L": [{"N": "1"}]},
    {"M": {"a": {"BOOL": True}}},
    {"NULL": True},
]


@pytest.mark.parametrize("broken", BROKEN, ids=repr)
def test_settings_that_cannot_be_read_are_the_defaults_and_the_others_are_kept(
    table: DynamoDBClient, broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    names = ("recommendations", "drills") if broken else ()
    put(table, "blue", "settings", paused={"BOOL": True}, **dict.fromkeys(names, broken))
    assert on_table().settings.get("blue") == ClusterSettings(paused=True)
    assert caplog.text.count("the item (blue, settings) cannot be read: ") == len(names)


@pytest.mark.parametrize("broken", BROKEN[2:], ids=repr)
def test_a_breaker_the_managers_and_an_owner_that_cannot_be_read_count_as_none(
    table: DynamoDBClient, broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    world = on_table()
    world.nodes.register([a_node(instance=MANAGERS[0])])
    put(table, "blue", "breaker#" + MANAGERS[0], failures=broken, open_until=broken, good=broken)
    assert world.managers.get_breaker("blue", MANAGERS[0]) == Breaker()
    put(table, "blue", "cluster", managers=broken)
    assert world.managers.list_hosts("blue") == ()
    world.managers.record("blue", MANAGERS[:1])
    assert [host.breaker for host in world.managers.list_hosts("blue")] == [Breaker()]
    put(table, WORKER, "home")
    assert world.nodes.find_owner(WORKER) is None
    for item in ("blue, breaker#" + MANAGERS[0], "blue, cluster", f"{WORKER}, home"):
        assert f"the item ({item}) cannot be read: " in caplog.text


@pytest.mark.parametrize("broken", BROKEN[2:], ids=repr)
def test_a_discovery_that_cannot_be_read_is_replaced_by_the_next(
    table: DynamoDBClient, broken: dict[str, Any]
) -> None:
    world = on_table()
    put(table, "*", "census", taken=broken, busy_until=broken, clusters=broken)
    assert world.discoveries.latest() == Discovery()
    world.discoveries.finish(START, ["blue"])
    assert world.discoveries.latest() == Discovery(START, clusters=("blue",))


@pytest.mark.parametrize(
    ("until", "calls"),
    [({"N": "9e15"}, {"N": "3"}), *((broken, {"N": "3"}) for broken in BROKEN[2:])]
    + [({"N": str(START - 1)}, broken) for broken in BROKEN[2:]],
    ids=repr,
)
def test_a_lease_that_cannot_be_read_is_nobodys_and_is_taken(
    table: DynamoDBClient, until: dict[str, Any], calls: dict[str, Any]
) -> None:
    world = on_table()
    put(table, "blue", "lease", holder={"S": "who"}, until=until, calls=calls)
    assert world.lease.request_recheck("blue", START) == 0
    found = world.lease.acquire("blue", "me", START, 15.0)
    assert found == (3 if calls == {"N": "3"} else 0)
    assert world.lease.acquire("blue", "you", START, 15.0) is None
    assert world.lease.release("blue", "me")


def test_a_lease_of_which_only_the_calls_cannot_be_read_is_asked_for_no_recheck(
    table: DynamoDBClient,
) -> None:
    world = on_table()
    put(table, "blue", "lease", holder={"S": "who"}, until={"N": str(START + 9)}, calls={"S": "three"})
    assert world.lease.request_recheck("blue", START) == 0
    assert world.lease.acquire("blue", "me", START + 10, 15.0) == 0


@pytest.mark.parametrize("letter", ["x", "ß", "界"])
def test_the_key_of_an_incident_fits_whatever_a_fleet_calls_its_failure(world: World, letter: str) -> None:
    """DynamoDB takes 1,024 bytes; moto refuses more, too."""
    long = [replace(INCIDENT, key=f"fleet#fleet-1#{letter * 1024}{end}") for end in ("", "!")]
    for incident in long:
        assert world.incidents.record("blue", incident, START)
        assert not world.incidents.record("blue", incident, START), "known"
        assert world.incidents.get("blue", incident.key) == incident
    world.incidents.mark_notified("blue", long[0].key)
    world.incidents.delete("blue", long[1].key)
    (left,) = world.incidents.list_all("blue")
    assert (left.key, left.notified) == (long[0].key, True)
