"""An evacuation against a swarm in memory: no dip, no trace, and what becomes of the nodes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.engine.node import Node
from bootstrap.specs.exclusion import Pace, exclude_nodes, has_exclusion
from bootstrap.tasks import evacuate
from chalicelib.protocol.messages import Arguments, End, Fate, Target, Way
from tests.unit.bootstrap.support.evacuating import NOTICE, run, target, three_services, way
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm


@pytest.fixture
def swarm() -> FakeSwarm:
    return three_services()


def test_no_replicated_service_dips_and_every_spec_ends_as_it_was(swarm: FakeSwarm) -> None:
    doomed = next(task.node for task in swarm.of("single") if task.is_running)
    specs = {name: swarm.spec(name) for name in swarm.service_rows}
    before = {task.id for task in swarm.tasks() if task.is_wanted and task.node != doomed}

    result = run(swarm, doomed)

    assert result.ok
    assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest == {"web": 6, "single": 1}
    assert {name: swarm.spec(name) for name in specs} == specs
    assert before <= {task.id for task in swarm.tasks() if task.is_wanted}
    assert swarm.on(doomed) == []
    assert way(result, "single") == (Way.START_FIRST, 1)
    assert way(result, "agents") == (Way.GLOBAL, 1)


def test_one_update_moves_a_service_and_one_restores_it(swarm: FakeSwarm) -> None:
    swarm.updates.clear()
    run(swarm, "n02", "n03")
    assert sorted(swarm.updates).count("web") == 2


def test_without_room_the_tasks_serve_until_the_drain_which_comes_inside_the_budget() -> None:
    swarm = FakeSwarm(managers=1, workers=1)
    swarm.add_service("db", 1, template={"Placement": {"Constraints": ["node.role==worker"]}})
    deadline = swarm.time + NOTICE
    result = run(swarm, "n02")
    assert result.nodes[0].fate is Fate.DRAINED
    assert result.services[0].way is Way.DRAIN
    assert result.services[0].reason == "no other node has room for it"
    assert deadline - 30 < swarm.time < deadline
    assert "node.id" not in json.dumps(swarm.spec("db"))


def test_without_an_announced_end_no_task_is_stopped_that_has_no_other_place() -> None:
    swarm = FakeSwarm(managers=1, workers=1)
    swarm.add_service("db", 1, template={"Placement": {"Constraints": ["node.role==worker"]}})
    swarm.add_service("web", 2)
    deadline = swarm.time + NOTICE
    result = run(swarm, "n02", end=End.FOR_A_WHILE)
    assert swarm.time > deadline, "it may have room until the end"
    assert (result.ok, result.nodes[0].fate) == (False, Fate.UNFINISHED)
    assert result.nodes[0].detail.startswith("1 tasks are left on it, of db")
    assert [task.node for task in swarm.of("db") if task.is_running] == ["n02"]
    assert [task.node for task in swarm.of("web") if task.is_running] == ["n01", "n01"]
    (node,) = (node for node in swarm.nodes() if node.id == "n02")
    assert node.availability == "pause", "it gets no new tasks"


def test_nobody_elses_run_stops_what_stays_on_a_node_without_an_announced_end() -> None:
    swarm = FakeSwarm(managers=1, workers=2)
    swarm.add_service(
        "db", 2, template={"Placement": {"Constraints": ["node.role==worker"], "MaxReplicas": 1}}
    )
    run(swarm, "n02", end=End.FOR_A_WHILE)
    assert run(swarm, "n03").nodes[0].fate is Fate.DRAINED
    assert [task.node for task in swarm.of("db") if task.is_running] == ["n02"]


def test_an_announced_end_empties_a_node_that_had_kept_its_tasks() -> None:
    swarm = FakeSwarm(managers=1, workers=1)
    swarm.add_service("db", 1, template={"Placement": {"Constraints": ["node.role==worker"]}})
    run(swarm, "n02", end=End.FOR_A_WHILE)
    began = swarm.time
    assert run(swarm, "n02").nodes[0].fate is Fate.DRAINED
    assert swarm.time < began + NOTICE


def test_room_that_appears_during_the_notice_is_used() -> None:
    swarm = FakeSwarm(managers=1, workers=1)
    swarm.add_service("db", 1, template={"Placement": {"Constraints": ["node.role==worker"]}})
    sleep, began = swarm.sleep, swarm.time

    def joined(seconds: float) -> None:
        if swarm.time > began + 20 and len(swarm.node_rows) == 2:
            swarm.add_node("worker")
        sleep(seconds)

    clock = replace(swarm.clock, sleep=joined)
    result = evacuate.run(swarm, Arguments((target("n02"),), swarm.time + NOTICE), clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest["db"] == 1


def test_an_instance_that_is_no_node_is_one_clear_error_and_changes_nothing(swarm: FakeSwarm) -> None:
    nodes, specs = json.dumps(swarm.node_rows), json.dumps(swarm.service_rows)
    arguments = Arguments((Target("i-0badc0ffee0badc0f", "10.9.9.9"),), swarm.time + NOTICE)
    result = evacuate.run(swarm, arguments, swarm.clock)
    assert not result.ok
    assert result.nodes[0].fate is Fate.ABSENT
    assert "i-0badc0ffee0badc0f" in result.nodes[0].detail
    assert (json.dumps(swarm.node_rows), json.dumps(swarm.service_rows)) == (nodes, specs)


def test_a_node_that_is_down_already_is_left_to_swarm(swarm: FakeSwarm) -> None:
    swarm.cut("n02")
    result = run(swarm, "n02")
    assert result.ok
    assert result.nodes[0].fate is Fate.DOWN


def test_an_evacuating_manager_is_demoted_after_its_tasks_left() -> None:
    swarm = FakeSwarm(managers=3, workers=2)
    swarm.add_service("web", 4)
    result = run(swarm, "n02")
    roles = {node.id: node.role for node in swarm.nodes()}
    assert result.ok
    assert roles["n02"] == "worker"
    assert roles["n01"] == roles["n03"] == "manager"
    assert swarm.fewest["web"] == 4


def test_an_evacuating_leader_is_not_demoted_while_tasks_move() -> None:
    """Its election would make Swarm stop the old tasks before the new ones run."""
    swarm = FakeSwarm(managers=3, workers=3)
    swarm.add_service("web", 4, template={"Placement": {"Constraints": ["node.role==worker"]}})
    swarm.node_rows["n01"]["ManagerStatus"]["Leader"] = False
    swarm.node_rows["n02"]["ManagerStatus"]["Leader"] = True
    demoted: list[bool] = []
    update = swarm.update_node

    def seen(node: Node, **changes: Any) -> None:
        if "Role" in changes:
            demoted.append(any(has_exclusion(service) for service in swarm.services()))
        update(node, **changes)

    swarm.update_node = seen  # type: ignore[method-assign]
    assert run(swarm, "n02", "n04").ok
    assert demoted == [False]


def test_an_evacuating_manager_that_the_quorum_needs_is_not_demoted() -> None:
    swarm = FakeSwarm(managers=3, workers=2)
    swarm.node_rows["n03"]["ManagerStatus"]["Reachability"] = "unreachable"
    assert run(swarm, "n02").ok
    assert {node.id: node.role for node in swarm.nodes()}["n02"] == "manager"


def test_a_node_that_somebody_made_active_again_is_neither_drained_nor_avoided(swarm: FakeSwarm) -> None:
    run(swarm, "n02")
    swarm.node_rows["n02"]["Spec"]["Availability"] = "active"
    swarm.add_service("late", 4)
    swarm.time += 3600
    swarm.fewest.clear()
    assert [task.service for task in swarm.on("n02") if task.service == "late"]
    assert run(swarm, "n03").nodes[0].fate is Fate.SAFE
    assert swarm.node_rows["n02"]["Spec"]["Availability"] == "active"
    assert swarm.fewest == {"web": 6, "single": 1, "late": 4}


def test_a_node_made_active_again_is_evacuated_as_well_as_the_first_time(
    swarm: FakeSwarm,
) -> None:
    run(swarm, "n02")
    swarm.node_rows["n02"]["Spec"]["Availability"] = "active"
    swarm.add_service("late", 4)
    swarm.time += 3600
    swarm.fewest.clear()
    assert run(swarm, "n02").nodes[0].fate is Fate.SAFE
    assert swarm.fewest == {"web": 6, "single": 1, "late": 4}


def test_the_swarm_in_memory_dips_at_a_plain_drain(swarm: FakeSwarm) -> None:
    """A check on the fake itself, so that the tests above can fail."""
    node = next(node for node in swarm.nodes() if node.id == "n02")
    swarm.update_node(node, Availability="drain")
    swarm.sleep(5)
    assert swarm.fewest["web"] < 6


def test_the_swarm_in_memory_dips_when_an_update_is_hastily_followed_by_another(swarm: FakeSwarm) -> None:
    """The same: this is what waiting for the first update avoids."""
    for nodes in (["n02"], ["n02", "n03"]):
        service = next(service for service in swarm.services() if service.name == "web")
        swarm.update_service(service, exclude_nodes(service, nodes, "start-first", Pace()))
        swarm.sleep(0.5)
    assert swarm.fewest["web"] < 6
