"""Calls that AWS refuses for a while are waited out in the handler, as long as its budget allows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.adapters import wiring
from chalicelib.adapters.patience import BUDGET_S, CALL_S, LONGEST_BACK_OFF_S, Patience
from chalicelib.errors import ThrottledError
from chalicelib.events import InvocationEnded, SpotInterruptionWarning
from chalicelib.routing import handle
from chalicelib.state.instance import Role
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.adapters.support.aws_calls import WRITES, Calls
from tests.unit.chalicelib.conftest import TABLE
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, FakeClock, FakeHosts, a_node
from tests.unit.chalicelib.support.samples import sample

if TYPE_CHECKING:
    from chalicelib.adapters.ports import World

pytestmark = pytest.mark.usefixtures("table")
NOTICE_S = 120.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def patience(clock: FakeClock) -> Patience:
    patience = Patience(clock)
    patience.begin()
    return patience


@pytest.fixture
def world(clock: FakeClock, patience: Patience) -> World:
    """Have the real records in service, and hosts in memory."""
    world = replace(wiring.connect(TABLE, "", "dev", patience), hosts=FakeHosts(clock))
    managers = [a_node(instance=name, role=Role.MANAGER, node="abc") for name in MANAGERS]
    world.nodes.register([a_node(), *managers])
    world.managers.record("blue", MANAGERS)
    return replace(world, timeouts=replace(world.timeouts, hedge_s=0.0))


def database(world: World) -> Any:
    nodes: Any = world.nodes
    return nodes.table.client


def warn(world: World) -> None:
    handle(SpotInterruptionWarning, sample("spot_interruption_warning", START, instance_id=WORKER), world)


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        ("ProvisionedThroughputExceededException", 400, {}),
        ("ThrottlingException", 400, {}),
        ("RequestLimitExceeded", 400, {}),
        ("InternalServerError", 500, {}),
        ("Unheard", 503, {}),
        (
            "TransactionCanceledException",
            400,
            {"CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}]},
        ),
    ],
)
def test_given_no_writes_for_20_s_expected_the_command_inside_the_notice(
    world: World, clock: FakeClock, error: str, status: int, body: dict[str, Any]
) -> None:
    Calls(clock, WRITES, START + 20, error, status, body).watch(database(world))
    warn(world)
    hosts: Any = world.hosts
    (sent,) = hosts.sent
    assert START + 20 <= sent.at <= START + 20 + 3 * LONGEST_BACK_OFF_S


def test_given_no_database_for_20_s_expected_the_command_inside_the_notice(
    world: World, clock: FakeClock
) -> None:
    every = WRITES | {"GetItem", "BatchGetItem", "Query"}
    Calls(clock, every, START + 20).watch(database(world))
    warn(world)
    hosts: Any = world.hosts
    assert START + 20 <= hosts.sent[0].at <= START + 20 + 3 * LONGEST_BACK_OFF_S


def test_given_a_table_without_writes_at_all_expected_an_error_inside_lambdas_time(
    world: World, clock: FakeClock
) -> None:
    calls = Calls(clock, WRITES, START + 1e6).watch(database(world))
    with pytest.raises(ExceptionGroup) as raised:
        warn(world)
    assert raised.group_contains(ClientError, match="ProvisionedThroughputExceeded")
    assert START + BUDGET_S - LONGEST_BACK_OFF_S <= clock.time <= START + BUDGET_S + CALL_S
    assert calls.made["PutItem"] < 60, "pauses grow"


def test_given_a_used_up_budget_expected_some_seconds_for_each_call_all_the_same(
    world: World, clock: FakeClock
) -> None:
    clock.sleep(BUDGET_S)
    Calls(clock, WRITES, clock.time + CALL_S / 2).watch(database(world))
    assert world.lease.acquire("blue", "me", clock.time, 10) == 0


def test_given_a_lasting_refusal_expected_it_at_once(world: World, clock: FakeClock) -> None:
    Calls(clock, WRITES, START + 1e6, "AccessDeniedException").watch(database(world))
    with pytest.raises(ExceptionGroup) as raised:
        warn(world)
    assert raised.group_contains(ClientError, match="AccessDenied")
    assert clock.time == START


def test_given_keys_that_are_not_processed_expected_pauses_until_the_budget_ends(
    world: World, clock: FakeClock
) -> None:
    """DynamoDB answers part of a batch where the rest would exceed the read units."""

    def leave_all(params: dict[str, Any], **_: Any) -> None:
        asked.append(clock.time)
        kept.append(params)

    asked: list[float] = []
    kept: list[Any] = []
    client = database(world)
    client.meta.events.register("provide-client-params.dynamodb.BatchGetItem", leave_all)
    client.meta.events.register(
        "after-call.dynamodb.BatchGetItem",
        lambda parsed, **_: parsed.update(Responses={}, UnprocessedKeys=kept[-1]["RequestItems"]),
    )
    with pytest.raises(ThrottledError, match="0 of 2 items read"):
        world.clusters.read("blue")
    assert START + BUDGET_S - LONGEST_BACK_OFF_S <= clock.time <= START + BUDGET_S
    assert len(asked) < 60


def test_given_run_command_throttled_for_30_s_expected_safe_inside_the_notice(
    world: World, clock: FakeClock
) -> None:
    """Both ways: the command goes out inside the notice, and its end is heard although it is not shown."""
    hosts: Any = world.hosts
    throttle = hosts._throttle  # noqa: SLF001

    def refuse() -> None:
        hosts.throttled = int(any(began <= clock.time < began + 30 for began in outages))
        throttle()

    outages = [START]
    hosts._throttle = refuse  # noqa: SLF001
    warn(world)
    (sent,) = hosts.sent
    assert START + 30 <= sent.at <= START + 45
    clock.time = max(clock.time, sent.at + hosts.takes)
    outages = [clock.time]
    ended = sample("ssm_invocation_success", clock.time, command_id=sent.id, instance_id=sent.manager)
    handle(InvocationEnded, ended, world)
    node = world.nodes.get("blue", WORKER)
    assert node is not None
    assert (node.state, clock.time < START + NOTICE_S) == (NodeState.EVACUATED, True)


def test_given_ec2_throttled_for_a_while_expected_the_discovery_all_the_same(
    world: World, clock: FakeClock
) -> None:
    ec2: Any = world.ec2
    calls = Calls(clock, ["DescribeInstances"], START + 10, "RequestLimitExceeded", 503, xml=True).watch(
        ec2.connect()
    )
    assert world.ec2.discover() == ()
    assert calls.made["DescribeInstances"] > 3
    assert START + 10 <= clock.time <= START + 10 + LONGEST_BACK_OFF_S
