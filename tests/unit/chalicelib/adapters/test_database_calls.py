"""What each kind of event costs in calls of DynamoDB: in a storm a cluster's records are a hot partition."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.adapters import wiring
from chalicelib.adapters.patience import Patience
from chalicelib.events import (
    InstanceStateChanged,
    InvocationEnded,
    RebalanceRecommended,
    SpotInterruptionWarning,
    Tick,
)
from chalicelib.routing import GUARD_FRESH_S, guard, handle
from chalicelib.state.instance import Role
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.adapters.support.aws_calls import Calls
from tests.unit.chalicelib.conftest import TABLE
from tests.unit.chalicelib.support.fakes import MANAGERS, START, Lab, a_node, instance
from tests.unit.chalicelib.support.samples import sample

if TYPE_CHECKING:
    from chalicelib.adapters.ports import World

pytestmark = pytest.mark.usefixtures("table")
WORKERS = [instance(number + 10) for number in range(120)]


class Counted:
    """A cluster of 123 nodes in the table, everything else in memory."""

    def __init__(self) -> None:
        self.lab = Lab(workers=120)
        self.patience = Patience(self.lab.clock)
        real = wiring.connect(TABLE, "", "dev", self.patience)
        fake = self.lab.world()
        outside = {name: getattr(fake, name) for name in ("hosts", "ec2", "autoscaling", "messages", "clock")}
        self.world: World = replace(real, timeouts=fake.timeouts, **outside)
        self.world.nodes.register(self.lab.nodes.list_all("blue"))
        managers = [a_node(instance=name, role=Role.MANAGER) for name in MANAGERS]
        self.world.nodes.register(managers)
        self.world.managers.record("blue", MANAGERS)
        self.world.discoveries.finish(START, ["blue"])
        nodes: Any = self.world.nodes
        self.calls = Calls(self.lab.clock).watch(nodes.table.client)

    def cost(self, kind: Any, payload: object) -> int:
        """Handle an event, and answer how many calls it took."""
        self.calls.made.clear()
        self.patience.begin()
        handle(kind, payload, self.world)
        return self.calls.made.total()

    def warn(self, name: str) -> int:
        payload = sample("spot_interruption_warning", self.lab.clock.time, instance_id=name)
        return self.cost(SpotInterruptionWarning, payload)

    def guard(self, name: str, began: float = START) -> int:
        """Guard a warning that was sent at START; answer how many calls it took."""
        self.calls.made.clear()
        self.lab.clock.time = began
        guard(sample("spot_interruption_warning", START, instance_id=name), self.world)
        return self.calls.made.total()

    def end(self) -> int:
        (sent,) = self.lab.hosts.sent
        self.lab.clock.time = max(self.lab.clock.time, sent.at + self.lab.hosts.takes)
        where = {"command_id": sent.id, "instance_id": sent.manager}
        payload = sample("ssm_invocation_success", self.lab.clock.time, **where)
        return self.cost(InvocationEnded, payload)


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_given_a_storm_expected_four_calls_for_each_warning(counted: Counted) -> None:
    """Owner, cluster and node, intent, and one word to the handler that sends."""
    lease = counted.world.lease
    lease.acquire("blue", "another", START, 15)
    lease.request_recheck("blue", START)
    assert [counted.warn(name) for name in WORKERS[:3]] == [4, 4, 4]


def test_given_an_evacuation_that_has_ended_expected_two_calls_of_its_guard(counted: Counted) -> None:
    """Owner and record. With the four of the warning's handler and a share of the end that is all."""
    counted.warn(WORKERS[0])
    counted.end()
    assert counted.guard(WORKERS[0]) == 2
    assert set(counted.calls.made) == {"GetItem"}


def test_given_an_evacuation_that_goes_on_expected_a_call_for_each_look(counted: Counted) -> None:
    counted.warn(WORKERS[0])
    node = counted.world.nodes.get("blue", WORKERS[0])
    assert node
    sent = replace(node, due=START + 60.0)  # a moment ago, at the first look
    counted.world.nodes.replace(node, sent)
    sleep, looks = counted.lab.clock.sleep, []

    def noted(seconds: float) -> None:
        looks.append(seconds)
        sleep(seconds)
        if len(looks) == 3:
            ended = sent.enter(NodeState.EVACUATED, since=counted.lab.clock.time, reason="safe")
            counted.world.nodes.replace(sent, ended)

    counted.lab.clock.sleep = noted  # type: ignore[method-assign]
    counted.guard(WORKERS[0])
    assert counted.calls.made == {"GetItem": 1 + len(looks), "PutItem": 1}


def test_given_a_guard_without_a_run_in_time_expected_no_call(counted: Counted) -> None:
    counted.warn(WORKERS[0])
    assert counted.guard(WORKERS[0], began=START + GUARD_FRESH_S) == 0


def test_given_a_warning_of_nobodys_instance_expected_two_calls_of_its_guard(counted: Counted) -> None:
    counted.world.discoveries.finish(START + 1, ["blue"])
    assert counted.guard(instance(9999)) == 2


def test_given_a_batch_of_100_expected_as_many_calls_as_for_one(counted: Counted) -> None:
    world = counted.world
    one = counted.warn(WORKERS[0])
    assert one <= 16, "the sending included"
    assert counted.end() <= 8
    counted.lab.hosts.sent.clear()
    lease = world.lease
    lease.acquire("blue", "another", START, 15)
    lease.request_recheck("blue", START)
    for name in WORKERS[1:100]:
        counted.warn(name)
    lease.release("blue", "another")
    assert counted.warn(WORKERS[100]) <= one
    assert len(counted.lab.hosts.sent[0].arguments.targets) == 100
    assert counted.end() <= 8


def test_given_a_duplicate_expected_no_write(counted: Counted) -> None:
    counted.warn(WORKERS[0])
    assert counted.warn(WORKERS[0]) == 2
    assert set(counted.calls.made) == {"GetItem", "BatchGetItem"}


def test_given_an_instance_of_nobody_expected_few_calls(counted: Counted) -> None:
    """Whose it is only a discovery can say; a change that can wait for the tick costs one call."""
    payload = sample("instance_terminated", START, instance_id=instance(9999), state="terminated")
    assert counted.cost(InstanceStateChanged, payload) == 1


def test_given_a_recommendation_expected_three_calls(counted: Counted) -> None:
    payload = sample("rebalance_recommendation", START, instance_id=WORKERS[0])
    assert counted.cost(RebalanceRecommended, payload) == 3


def test_given_a_new_instance_expected_owner_and_record_in_one_write(counted: Counted) -> None:
    counted.calls.made.clear()
    counted.world.nodes.register([a_node(instance=instance(500))])
    assert counted.calls.made == {"TransactWriteItems": 1}
    counted.world.nodes.register([a_node(instance=instance(1000 + number)) for number in range(100)])
    assert counted.calls.made == {"TransactWriteItems": 3}


def test_given_a_calm_cluster_expected_few_calls_of_a_tick(counted: Counted) -> None:
    assert counted.cost(Tick, {}) <= 12
    assert counted.calls.made["Query"] <= 5
