"""Whose instance it is, is found out with few calls to EC2."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.actions import LifecycleResult
from chalicelib.adapters.ports import World
from chalicelib.discovery import MIN_INTERVAL_S
from chalicelib.errors import DiscoveryLateError
from chalicelib.events import FleetInstanceChanged, HealthNotice, InstanceStateChanged, LaunchLifecycleAction
from chalicelib.routing import handle, search_owner
from chalicelib.state.cluster import Discovery
from chalicelib.state.instance import DiscoveredInstance, InstanceState, LifecycleAction, Transition
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from tests.unit.chalicelib.support.fakes import (
    START,
    WORKER,
    WORKER_2,
    Lab,
    RushingClock,
    a_discovered_instance,
    a_node,
    instance,
)
from tests.unit.chalicelib.support.samples import sample
from tests.unit.chalicelib.support.stories import tick

UNMANAGED = instance(999)


def find(name: str, time: float, world: World) -> str | None:
    """Find the owner cluster of an instance, as an event that cannot wait does."""
    return world.nodes.find_owner(name) or search_owner(name, time, world)


def test_a_known_instance_costs_no_call_to_ec2() -> None:
    lab = Lab(settled=False)
    lab.nodes.register([a_node()])
    assert find(WORKER, START, lab.world()) == "blue"
    assert lab.ec2.asked == 0


def test_an_unknown_instance_brings_one_discovery_that_registers_everything() -> None:
    lab = Lab(workers=3, settled=False)
    assert find(WORKER, START, lab.world()) == "blue"
    assert lab.ec2.asked == 1
    assert len(lab.nodes.list_all("blue")) == 6
    assert lab.discoveries.latest() == Discovery(START, 0.0, ("blue",))


def test_an_instance_absent_from_a_later_discovery_is_unmanaged_without_a_call() -> None:
    lab = Lab(settled=False)
    lab.discoveries.finish(START, ["blue"])
    assert find(UNMANAGED, START, lab.world()) is None
    assert lab.ec2.asked == 0


def test_an_unmanaged_instance_after_the_last_discovery_waits_for_the_next() -> None:
    lab = Lab(settled=False)
    lab.discoveries.finish(START - 1, [])
    assert find(UNMANAGED, START, lab.world()) is None
    assert lab.ec2.asked == 1
    assert START + 1 <= lab.clock.time < START + 3


def test_an_event_from_the_future_does_not_wait_for_it() -> None:
    lab = Lab(settled=False)
    assert find(UNMANAGED, START + 1000, lab.world()) is None
    assert lab.clock.time == START


def test_the_discovery_of_a_dead_handler_is_taken_over_or_the_error_says_so() -> None:
    lab = Lab(settled=False)
    lab.discoveries.begin(Discovery(), START - 20, 30)
    assert find(WORKER, START, lab.world()) == "blue"
    assert lab.ec2.asked == 1
    lab = Lab(settled=False)
    lab.discoveries.begin(Discovery(), START, 60)
    with pytest.raises(DiscoveryLateError, match=f"open whose {WORKER} is"):
        find(WORKER, START, lab.world())
    assert lab.clock.time - START < 60, "enough of a notice is left for Lambda's own retry"


def test_an_instance_is_known_once_registered_whatever_the_discovery_still_does() -> None:
    lab = Lab(settled=False)
    lab.discoveries.begin(Discovery(), START, 60)
    sleep = lab.clock.sleep

    def registered(seconds: float) -> None:
        sleep(seconds)
        lab.nodes.register([a_node()])

    lab.clock.sleep = registered  # type: ignore[method-assign]
    assert find(WORKER, START, lab.world()) == "blue"
    assert lab.clock.time - START < 2


def test_a_discovery_that_fails_in_one_cluster_serves_others_and_does_not_count() -> None:
    lab = Lab(settled=False)
    lab.ec2.instances[UNMANAGED] = a_discovered_instance(UNMANAGED, cluster="amber")
    nodes = lab.nodes.list_all

    def broken(cluster: str) -> tuple[Node, ...]:
        if cluster == "amber":
            raise ZeroDivisionError
        return nodes(cluster)

    lab.nodes.list_all = broken  # type: ignore[method-assign]
    assert find(WORKER, START, lab.world()) == "blue"
    assert lab.discoveries.latest().taken == 0
    lab.clock.sleep(60)
    with pytest.raises(ExceptionGroup, match="could not be recorded in some clusters"):
        find(instance(998), START, lab.world())


def test_an_event_does_not_wait_for_all_records_and_the_tick_completes_them() -> None:
    lab = Lab(workers=4)
    lab.ec2.turn(WORKER_2, InstanceState.TERMINATED)
    fresh = instance(900)
    lab.ec2.instances[fresh] = a_discovered_instance(fresh, launched=START)
    move = lab.nodes.replace
    lab.nodes.replace = None  # type: ignore[method-assign, assignment]
    assert find(fresh, START, lab.world()) == "blue"
    assert lab.discoveries.latest().taken == START
    assert lab.node(fresh).state is NodeState.JOINING
    lab.nodes.replace = move  # type: ignore[method-assign]
    assert lab.node(WORKER_2).state is NodeState.IN_SERVICE
    tick(lab)
    assert lab.node(WORKER_2).state is NodeState.LEAVING


def test_a_launch_that_waits_while_its_instance_is_registered_is_not_abandoned() -> None:
    lab = Lab()
    fresh = instance(900)
    lab.nodes.owners[fresh] = "blue"
    sleep = lab.clock.sleep

    def registered(seconds: float) -> None:
        sleep(seconds)
        lab.nodes.register([a_node(instance=fresh, state=NodeState.JOINING, due=lab.clock.time)])

    lab.clock.sleep = registered  # type: ignore[method-assign]
    handle(LaunchLifecycleAction, sample("asg_launch_lifecycle", START, EC2InstanceId=fresh), lab.world())
    assert lab.autoscaling.completed == []
    assert len(lab.node(fresh).hooks) == 1


HELD = LifecycleAction("workers", "join", "token-1", Transition.LAUNCHING, START)


def test_a_launch_hook_before_ec2_lists_its_instance_is_completed_all_the_same() -> None:
    lab, fresh = Lab(), instance(900)
    lab.autoscaling.open_actions[fresh] = (HELD,)
    assert (
        handle(LaunchLifecycleAction, sample("asg_launch_lifecycle", START, EC2InstanceId=fresh), lab.world())
        == []
    )
    lab.ec2.instances[fresh] = a_discovered_instance(fresh, launched=START, group="workers")
    for _ in range(3):
        tick(lab)
    assert lab.node(fresh).state is NodeState.IN_SERVICE
    assert lab.autoscaling.completed[0] == (fresh, "", LifecycleResult.CONTINUE)


def test_a_change_that_is_scheduled_for_an_instance_of_this_minute_is_noted() -> None:
    lab, fresh = Lab(), instance(900)
    lab.ec2.instances[fresh] = a_discovered_instance(fresh, launched=START)
    entities = [{"entityValue": fresh}]
    assert handle(
        HealthNotice, sample("health_scheduled_change", START, affectedEntities=entities), lab.world()
    )
    assert len(lab.node(fresh).notices) == 1


def test_a_discovery_failing_for_minutes_notifies_people_and_overdue_work_is_done() -> None:
    lab = Lab()
    lab.ec2.discover = denied  # type: ignore[method-assign]
    lab.nodes.records["blue", WORKER] = a_node(state=NodeState.EVACUATING, due=START, deadline=START + 600)
    for _ in range(6):
        with pytest.raises(ExceptionGroup):
            tick(lab)
    ((subject, text),) = lab.messages.published
    assert subject == "Swarmkeeper *: census instances"
    assert "not authorized" in text
    assert lab.clock.time >= START + 300, "it might have passed"
    assert lab.hosts.sent


def denied() -> tuple[DiscoveredInstance, ...]:
    raise PermissionError("not authorized to perform ec2:DescribeInstances")


def test_a_group_that_cannot_be_asked_notifies_people_and_costs_no_discovery() -> None:
    lab = Lab()
    lab.ec2.instances[WORKER] = a_discovered_instance(group="workers")
    lab.autoscaling.open_actions[WORKER] = (HELD,)
    lab.autoscaling.refuses = True
    tick(lab)
    assert lab.discoveries.latest().taken == START + 60
    assert lab.node().hooks == ()
    assert [subject for subject, _ in lab.messages.published] == ["Swarmkeeper *: census groups"]
    lab.autoscaling.list_open = None  # type: ignore[method-assign, assignment]
    lab.ec2.instances[WORKER] = a_discovered_instance()
    tick(lab)
    assert lab.discoveries.latest().taken == START + 120


LAUNCHES = {
    "instance_running": (InstanceStateChanged, "instance_id"),
    "ec2_fleet_instance_launched": (FleetInstanceChanged, "instance_id"),
}


def launch(name: str, payload: str, time: float, world: World) -> list[str]:
    kind, detail = LAUNCHES[payload]
    return handle(kind, sample(payload, time, **{detail: name}), world)


@pytest.mark.parametrize("payload", LAUNCHES)
def test_a_thousand_foreign_launches_cost_few_calls_and_no_handler_waits(payload: str) -> None:
    lab = Lab()
    lab.discoveries.finish(START - 30, ["blue"])
    lab.clock.sleep = None  # type: ignore[method-assign, assignment]
    for number in range(1000):
        lab.clock.time = START + number * 0.06
        assert launch(instance(1000 + number), payload, lab.clock.time, lab.world()) == []
    assert lab.ec2.asked <= 1 + 60 / MIN_INTERVAL_S


@pytest.mark.parametrize("payload", LAUNCHES)
def test_a_launch_while_another_handler_asks_ec2_is_left_to_the_tick_which_joins_it(payload: str) -> None:
    lab, fresh = Lab(), instance(900)
    lab.discoveries.begin(lab.discoveries.latest(), START - 1, 3.0)
    lab.ec2.instances[fresh] = a_discovered_instance(fresh, launched=START, group="workers")
    assert launch(fresh, payload, START, lab.world()) == []
    assert (lab.clock.time, lab.ec2.asked) == (START, 0)
    for _ in range(3):
        tick(lab)
    assert lab.node(fresh).state is NodeState.IN_SERVICE


@pytest.mark.parametrize("payload", LAUNCHES)
def test_a_launch_alone_brings_a_discovery_and_is_followed_at_once(payload: str) -> None:
    lab, fresh = Lab(), instance(900)
    lab.ec2.instances[fresh] = a_discovered_instance(fresh, launched=START)
    assert launch(fresh, payload, START, lab.world()) != []
    assert lab.ec2.asked == 1
    assert [sent.manager for sent in lab.hosts.sent] == [fresh]


def test_a_launch_for_which_a_group_waits_waits_for_the_discovery_of_another_handler() -> None:
    lab, fresh = Lab(), instance(900)
    lab.discoveries.begin(lab.discoveries.latest(), START - 1, 3.0)
    lab.ec2.instances[fresh] = a_discovered_instance(fresh, launched=START, group="workers")
    payload = sample("asg_launch_lifecycle", START, EC2InstanceId=fresh)
    assert handle(LaunchLifecycleAction, payload, lab.world()) != []
    assert lab.clock.time > START
    assert len(lab.node(fresh).hooks) == 1


def test_a_storm_of_unmanaged_instances_brings_few_calls() -> None:
    lab = Lab(clock=RushingClock(), settled=False)
    began = lab.clock.now()

    def seek(number: int) -> str | None:
        return find(instance(number), began, lab.world())

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(seek, range(500, 700))) == {None}
    elapsed = lab.clock.now() - began
    assert lab.ec2.asked <= 2 + elapsed / 2
