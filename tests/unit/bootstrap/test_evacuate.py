"""An evacuation against a swarm in memory: no dip, no trace, whatever happens in between."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.shift import Pace, shifted
from bootstrap.swarm import EngineError, RefusedError
from bootstrap.tasks import evacuate
from bootstrap.view import MARK_LABEL, Node, Service
from chalicelib.protocol import Arguments, Fate, Result, Subject, Task, Way
from tests.unit.bootstrap.fake_swarm import FakeSwarm, instance

NOTICE = 120.0


class Killed(BaseException):
    """The agent's process ended here."""


def subject(node: str) -> Subject:
    number = int(node[1:])
    return Subject(instance(number), f"10.0.0.{number}")


def run(swarm: FakeSwarm, *nodes: str, notice: float = NOTICE) -> Result:
    subjects = tuple(subject(node) for node in nodes)
    return evacuate.run(swarm, Arguments(subjects, swarm.time + notice), swarm.clock)


def way(result: Result, service: str) -> tuple[Way, int]:
    return next((row.way, row.tasks) for row in result.services if row.service == service)


@pytest.fixture
def swarm() -> FakeSwarm:
    swarm = FakeSwarm(managers=1, workers=3)
    swarm.add_service("web", 6, UpdateConfig={"Parallelism": 1, "Order": "stop-first"})
    swarm.add_service("single", 1)
    swarm.add_service("agents", None)
    swarm.settle()
    return swarm


def test_no_replicated_service_dips_and_every_spec_ends_as_it_was(swarm: FakeSwarm) -> None:
    doomed = next(task.node for task in swarm.of("single") if task.running)
    specs = {name: swarm.spec(name) for name in swarm.service_rows}
    before = {task.id for task in swarm.tasks() if task.wanted and task.node != doomed}

    result = run(swarm, doomed)

    assert result.ok
    assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest == {"web": 6, "single": 1}
    assert {name: swarm.spec(name) for name in specs} == specs
    assert before <= {task.id for task in swarm.tasks() if task.wanted}
    assert swarm.on(doomed) == []
    assert way(result, "single") == (Way.START_FIRST, 1)
    assert way(result, "agents") == (Way.GLOBAL, 1)


def test_one_update_moves_a_service_and_one_restores_it(swarm: FakeSwarm) -> None:
    swarm.updates.clear()
    run(swarm, "n02", "n03")
    assert sorted(swarm.updates).count("web") == 2


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", range(6))
def test_killed_at_any_effect_and_run_again_it_ends_the_same(
    swarm: FakeSwarm, number: int, side: str
) -> None:
    doomed = next(task.node for task in swarm.of("single") if task.running)
    specs = {name: swarm.spec(name) for name in swarm.service_rows}
    effects = itertools.count()

    def killing(effect: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any, **changes: Any) -> None:
            mine = next(effects) == number
            if mine and side == "before":
                raise Killed
            effect(*args, **changes)
            if mine:
                raise Killed

        return call

    originals: tuple[Any, Any] = swarm.update_node, swarm.update_service
    swarm.update_node, swarm.update_service = map(killing, originals)  # type: ignore[method-assign]
    with pytest.raises(Killed):
        run(swarm, doomed)
    swarm.update_node, swarm.update_service = originals  # type: ignore[method-assign]
    for _ in range(5):
        swarm.step()
    assert run(swarm, doomed).ok
    assert swarm.fewest == {"web": 6, "single": 1}
    assert {name: swarm.spec(name) for name in specs} == specs


def test_a_second_warning_joins_the_running_job_without_a_dip(swarm: FakeSwarm) -> None:
    specs = {name: swarm.spec(name) for name in swarm.service_rows}
    swarm.add_node()
    results = {}
    started: list[bool] = []
    sleep = swarm.sleep

    def second(seconds: float) -> None:
        sleep(seconds)
        if not started and MARK_LABEL in swarm.spec("web")["Labels"]:
            started.append(True)
            results["n03"] = run(swarm, "n03")

    clock = replace(swarm.clock, sleep=second)
    first = evacuate.run(swarm, Arguments((subject("n02"),), swarm.time + NOTICE), clock)
    assert started
    assert first.nodes[0].fate is Fate.SAFE
    assert results["n03"].nodes[0].fate is Fate.SAFE
    assert swarm.fewest["web"] == 6
    assert {name: swarm.spec(name) for name in specs} == specs


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


def test_what_an_earlier_order_left_half_done_is_evacuated_without_a_dip_by_a_newer_one(
    swarm: FakeSwarm,
) -> None:
    doomed = next(task.node for task in swarm.of("single") if task.running)
    left = {"Availability": "pause", "Labels": {"swarmkeeper.evacuate": f"{swarm.time - 9:.0f} 4"}}
    swarm.node_rows[doomed]["Spec"].update(left)
    newer = Arguments((replace(subject(doomed), version=5),), swarm.time + NOTICE)
    result = evacuate.run(swarm, newer, swarm.clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest == {"web": 6, "single": 1}
    label = swarm.node_rows[doomed]["Spec"]["Labels"]["swarmkeeper.evacuate"]
    assert label == f"{newer.deadline:.0f} 5"


def test_a_shorter_notice_hurries_a_job_that_runs_without_haste() -> None:
    swarm = FakeSwarm(managers=1, workers=1)
    swarm.add_service("db", 1, template={"Placement": {"Constraints": ["node.role==worker"]}})
    sleep, began, hurried = swarm.sleep, swarm.time, list[Result]()

    def warned(seconds: float) -> None:
        sleep(seconds)
        if not hurried and swarm.time > began + 20:
            hurried.append(Result(Task.EVACUATE, ok=False))
            hurried.append(run(swarm, "n02"))

    clock = replace(swarm.clock, sleep=warned)
    evacuate.run(swarm, Arguments((subject("n02"),), began + 600), clock)
    assert hurried[1].nodes[0].fate is Fate.DRAINED
    assert swarm.time < began + 20 + NOTICE


def test_room_that_appears_during_the_notice_is_used() -> None:
    swarm = FakeSwarm(managers=1, workers=1)
    swarm.add_service("db", 1, template={"Placement": {"Constraints": ["node.role==worker"]}})
    sleep, began = swarm.sleep, swarm.time

    def joined(seconds: float) -> None:
        if swarm.time > began + 20 and len(swarm.node_rows) == 2:
            swarm.add_node("worker")
        sleep(seconds)

    clock = replace(swarm.clock, sleep=joined)
    result = evacuate.run(swarm, Arguments((subject("n02"),), swarm.time + NOTICE), clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest["db"] == 1


@pytest.mark.parametrize("state", ["updating", "paused", "rollback_started", "rollback_paused"])
def test_a_service_in_an_update_of_its_own_is_not_touched_before_the_drain(
    swarm: FakeSwarm, state: str
) -> None:
    swarm.service_rows["web"]["UpdateStatus"] = {"State": state}
    swarm.updates.clear()
    result = run(swarm, "n02")
    assert "web" not in swarm.updates
    row = next(row for row in result.services if row.service == "web")
    assert state in row.reason
    assert result.nodes[0].fate is Fate.DRAINED
    assert swarm.fewest["single"] == 1


def test_an_update_of_its_own_that_ends_in_time_is_followed_by_the_evacuation(swarm: FakeSwarm) -> None:
    swarm.service_rows["web"]["UpdateStatus"] = {"State": "updating"}
    began, sleep = swarm.time, swarm.sleep

    def ends(seconds: float) -> None:
        if swarm.time > began + 10:
            swarm.service_rows["web"]["UpdateStatus"] = {"State": "completed"}
        sleep(seconds)

    clock = replace(swarm.clock, sleep=ends)
    result = evacuate.run(swarm, Arguments((subject("n02"),), swarm.time + NOTICE), clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest["web"] == 6


def test_services_that_ask_for_stop_first_are_moved_one_by_one_and_named() -> None:
    swarm = FakeSwarm(managers=1, workers=3)
    for name in ("lock-a", "lock-b"):
        swarm.add_service(
            name,
            1,
            Labels={"swarmkeeper.evacuate": "stop-first"},
            template={"Placement": {"Constraints": ["node.id!=n01", "node.id!=n03", "node.id!=n04"]}},
        )
        swarm.service_rows[name]["Spec"]["TaskTemplate"]["Placement"]["Constraints"] = ["node.role==worker"]
    result = run(swarm, "n02")
    assert [(row.service, row.way) for row in result.services] == [
        ("lock-a", Way.STOP_FIRST),
        ("lock-b", Way.STOP_FIRST),
    ]
    assert result.services[0].seconds < result.services[1].seconds
    assert all("stop-first" in row.reason for row in result.services)


def test_a_users_change_during_the_evacuation_stays(swarm: FakeSwarm) -> None:
    changed: list[bool] = []
    sleep = swarm.sleep

    def user(seconds: float) -> None:
        row = swarm.service_rows["single"]
        if not changed and MARK_LABEL in row["Spec"]["Labels"]:
            changed.append(True)
            row["Spec"]["Labels"]["owner"] = "ada"
            row["Spec"]["Mode"]["Replicated"]["Replicas"] = 2
            row["Spec"]["TaskTemplate"]["Placement"]["Constraints"].append("node.role==worker")
            row["Version"]["Index"] += 1
        sleep(seconds)

    doomed = next(task.node for task in swarm.of("single") if task.running)
    clock = replace(swarm.clock, sleep=user)
    assert evacuate.run(swarm, Arguments((subject(doomed),), swarm.time + NOTICE), clock).ok
    spec = swarm.spec("single")
    assert changed
    assert spec["Labels"] == {"owner": "ada"}
    assert spec["Mode"] == {"Replicated": {"Replicas": 2}}
    assert spec["TaskTemplate"]["Placement"] == {"Constraints": ["node.role==worker"]}
    assert "UpdateConfig" not in spec


def test_an_instance_that_is_no_node_is_one_clear_error_and_changes_nothing(swarm: FakeSwarm) -> None:
    nodes, specs = json.dumps(swarm.node_rows), json.dumps(swarm.service_rows)
    arguments = Arguments((Subject("i-0badc0ffee0badc0f", "10.9.9.9"),), swarm.time + NOTICE)
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


def test_an_engine_that_refuses_for_a_while_is_asked_again(swarm: FakeSwarm) -> None:
    update, refusals = swarm.update_service, [3]

    def refused(service: Service, spec: dict[str, Any]) -> None:
        if refusals[0]:
            refusals[0] -= 1
            raise EngineError("The swarm does not have a leader")
        update(service, spec)

    swarm.update_service = refused  # type: ignore[method-assign]
    assert run(swarm, "n02").ok
    assert refusals == [0]
    assert swarm.fewest["web"] == 6


def test_a_doomed_manager_is_demoted_after_its_tasks_left() -> None:
    swarm = FakeSwarm(managers=3, workers=2)
    swarm.add_service("web", 4)
    result = run(swarm, "n02")
    roles = {node.id: node.role for node in swarm.nodes()}
    assert result.ok
    assert roles["n02"] == "worker"
    assert roles["n01"] == roles["n03"] == "manager"
    assert swarm.fewest["web"] == 4


def test_a_doomed_leader_is_not_demoted_while_tasks_move() -> None:
    """Its election would make Swarm stop the old tasks before the new ones run."""
    swarm = FakeSwarm(managers=3, workers=3)
    swarm.add_service("web", 4, template={"Placement": {"Constraints": ["node.role==worker"]}})
    swarm.node_rows["n01"]["ManagerStatus"]["Leader"] = False
    swarm.node_rows["n02"]["ManagerStatus"]["Leader"] = True
    demoted: list[bool] = []
    update = swarm.update_node

    def seen(node: Node, **changes: Any) -> None:
        if "Role" in changes:
            demoted.append(any(service.before is not None for service in swarm.services()))
        update(node, **changes)

    swarm.update_node = seen  # type: ignore[method-assign]
    assert run(swarm, "n02", "n04").ok
    assert demoted == [False]


def test_a_doomed_manager_that_the_quorum_needs_is_not_demoted() -> None:
    swarm = FakeSwarm(managers=3, workers=2)
    swarm.node_rows["n03"]["ManagerStatus"]["Reachability"] = "unreachable"
    assert run(swarm, "n02").ok
    assert {node.id: node.role for node in swarm.nodes()}["n02"] == "manager"


def test_two_agents_at_once_make_each_change_once(swarm: FakeSwarm) -> None:
    """Two looks at the same state make the same change; the version lets one win."""
    service = swarm.services()[0]
    swarm.update_service(service, dict(service.spec))
    with pytest.raises(EngineError, match="out of sequence"):
        swarm.update_service(service, dict(service.spec))


def test_an_election_that_makes_all_nodes_unknown_is_waited_for(swarm: FakeSwarm) -> None:
    """Each new leader knows no node's state for some seconds: that is not death."""
    sleep, began = swarm.sleep, swarm.time

    def election(seconds: float) -> None:
        for row in swarm.node_rows.values():
            row["Status"]["State"] = "unknown" if began < swarm.time < began + 6 else "ready"
        sleep(seconds)

    for row in swarm.node_rows.values():
        row["Status"]["State"] = "unknown"
    clock = replace(swarm.clock, sleep=election)
    result = evacuate.run(swarm, Arguments((subject("n02"),), swarm.time + NOTICE), clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest == {"web": 6, "single": 1}
    assert swarm.on("n02") == []


@pytest.mark.parametrize("label", ["yes", "[]", "{}", '{"nodes": 1, "ours": {}}'])
def test_a_label_that_no_evacuation_wrote_stops_none(swarm: FakeSwarm, label: str) -> None:
    swarm.service_rows["agents"]["Spec"]["Labels"] = {MARK_LABEL: label}
    assert run(swarm, "n02").nodes[0].fate is Fate.SAFE
    assert swarm.spec("agents")["Labels"] == {MARK_LABEL: label}


def test_a_service_that_cannot_be_updated_delays_no_other_and_not_the_drain(swarm: FakeSwarm) -> None:
    update, deadline = swarm.update_service, swarm.time + NOTICE
    doomed = next(task.node for task in swarm.of("single") if task.running)

    def refused(service: Service, spec: dict[str, Any]) -> None:
        if service.name == "single":
            raise RefusedError("the engine refused to update service single: its network is gone")
        update(service, spec)

    swarm.update_service = refused  # type: ignore[method-assign]
    result = run(swarm, doomed)
    assert way(result, "web")[0] is Way.START_FIRST
    assert way(result, "single") == (Way.DRAIN, 1)
    assert result.nodes[0].fate is Fate.DRAINED
    assert swarm.fewest["web"] == 6
    assert swarm.time < deadline


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


def test_a_node_that_somebody_made_active_again_is_evacuated_as_well_as_the_first_time(
    swarm: FakeSwarm,
) -> None:
    run(swarm, "n02")
    swarm.node_rows["n02"]["Spec"]["Availability"] = "active"
    swarm.add_service("late", 4)
    swarm.time += 3600
    swarm.fewest.clear()
    assert run(swarm, "n02").nodes[0].fate is Fate.SAFE
    assert swarm.fewest == {"web": 6, "single": 1, "late": 4}


def test_a_users_own_constraint_against_a_doomed_node_stays() -> None:
    swarm = FakeSwarm(workers=4)
    swarm.add_service("web", 3, template={"Placement": {"Constraints": ["node.id!=n02"]}})
    spec = swarm.spec("web")
    assert run(swarm, "n02", "n03").ok
    assert swarm.spec("web") == spec


@pytest.mark.parametrize(("completes", "fate"), [(True, Fate.SAFE), (False, Fate.DRAINED)])
def test_a_job_runs_until_the_drain_and_one_that_is_cut_short_is_told(
    swarm: FakeSwarm, completes: bool, fate: Fate
) -> None:
    swarm.add_service("job", 1, Mode={"ReplicatedJob": {"TotalCompletions": 1}})
    swarm._start(swarm.services()[-1], 0, "n02")  # noqa: SLF001
    row = next(row for row in swarm.task_rows.values() if row["ServiceID"] == "job")
    row.update(DesiredState="complete", Status={"State": "running"})
    sleep, began = swarm.sleep, swarm.time

    def works(seconds: float) -> None:
        if completes and swarm.time > began + 40:
            row["Status"]["State"] = "complete"
        sleep(seconds)

    clock = replace(swarm.clock, sleep=works)
    result = evacuate.run(swarm, Arguments((subject("n02"),), began + NOTICE), clock)
    assert result.nodes[0].fate is fate
    assert way(result, "job") == (Way.GLOBAL if completes else Way.DRAIN, 1)
    assert swarm.time > began + 40


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
        swarm.update_service(service, shifted(service, nodes, "start-first", Pace()))
        swarm.sleep(0.5)
    assert swarm.fewest["web"] < 6
