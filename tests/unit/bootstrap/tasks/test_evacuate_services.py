"""An evacuation of services with wishes, updates and changes of their own, and of jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bootstrap.engine.client import RefusedError
from bootstrap.engine.service import EXCLUSION_LABEL, SURGE_LABEL, Service
from bootstrap.tasks import evacuate
from chalicelib.protocol.messages import Arguments, Fate, Way
from tests.unit.bootstrap.support.evacuating import NOTICE, run, target, three_services, way
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm


@pytest.fixture
def swarm() -> FakeSwarm:
    return three_services()


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
    result = evacuate.run(swarm, Arguments((target("n02"),), swarm.time + NOTICE), clock)
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
        if not changed and SURGE_LABEL in row["Spec"]["Labels"]:
            changed.append(True)
            row["Spec"]["Labels"]["owner"] = "ada"
            row["Spec"]["Mode"]["Replicated"]["Replicas"] = 3
            row["Spec"]["TaskTemplate"]["Placement"] = {"Constraints": ["node.role==worker"]}
            row["Version"]["Index"] += 1
        sleep(seconds)

    doomed = next(task.node for task in swarm.of("single") if task.is_running)
    clock = replace(swarm.clock, sleep=user)
    assert evacuate.run(swarm, Arguments((target(doomed),), swarm.time + NOTICE), clock).ok
    spec = swarm.spec("single")
    assert changed
    assert spec["Labels"] == {"owner": "ada"}
    assert spec["Mode"] == {"Replicated": {"Replicas": 3}}
    assert spec["TaskTemplate"]["Placement"] == {"Constraints": ["node.role==worker"]}
    assert "UpdateConfig" not in spec


@pytest.mark.parametrize("label", ["yes", "[]", "{}", '{"nodes": 1, "ours": {}}'])
def test_a_label_that_no_evacuation_wrote_stops_none(swarm: FakeSwarm, label: str) -> None:
    swarm.service_rows["agents"]["Spec"]["Labels"] = {EXCLUSION_LABEL: label}
    assert run(swarm, "n02").nodes[0].fate is Fate.SAFE
    assert swarm.spec("agents")["Labels"] == {EXCLUSION_LABEL: label}


def test_a_service_that_cannot_be_updated_delays_no_other_and_not_the_drain(swarm: FakeSwarm) -> None:
    update, deadline = swarm.update_service, swarm.time + NOTICE
    doomed = next(task.node for task in swarm.of("single") if task.is_running)

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


def test_a_users_own_constraint_against_an_evacuating_node_stays() -> None:
    swarm = FakeSwarm(workers=4)
    swarm.add_service("web", 3, template={"Placement": {"Constraints": ["node.id!=n02"]}})
    spec = swarm.spec("web")
    assert run(swarm, "n02", "n03").ok
    assert swarm.spec("web") == spec


@pytest.mark.parametrize(("completes", "fate"), [(True, Fate.SAFE), (False, Fate.DRAINED)])
def test_a_job_runs_until_the_drain_and_one_that_is_cut_short_is_reported(
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
    result = evacuate.run(swarm, Arguments((target("n02"),), began + NOTICE), clock)
    assert result.nodes[0].fate is fate
    assert way(result, "job") == (Way.GLOBAL if completes else Way.DRAIN, 1)
    assert swarm.time > began + 40
