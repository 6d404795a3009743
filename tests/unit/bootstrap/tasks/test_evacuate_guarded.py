"""An evacuation whose replacements fail, whose services are changed meanwhile, or whose work has ended."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.clock import Clock
from bootstrap.engine.service import EXCLUSION_LABEL, SURGE_LABEL
from bootstrap.tasks import evacuate, give_back
from chalicelib.protocol.messages import Arguments, End, Fate, Result, Way
from tests.unit.bootstrap.support.evacuating import run, target, three_services, way
from tests.unit.bootstrap.support.fake_engine import copied
from tests.unit.bootstrap.support.fake_host import Killed
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm

SHORT = 40.0  # seconds of notice
MOMENTS = [  # polls before somebody acts
    *(1, 7, 13),
    *(pytest.param(polls, marks=pytest.mark.exhaustive) for polls in range(0, 28, 2)),
]
Change = Callable[[FakeSwarm, str], None]


def acting(swarm: FakeSwarm, act: Callable[[], None], when: Callable[[], bool]) -> Clock:
    """Make a clock with which somebody acts once, as soon as ``when`` says so."""
    done: list[bool] = []

    def sleep(seconds: float) -> None:
        if not done and when():
            done.append(True)
            act()
        swarm.sleep(seconds)

    return replace(swarm.clock, sleep=sleep)


def evacuated(swarm: FakeSwarm, node: str, clock: Clock, *, end: End = End.NOT_SAID) -> Result:
    targets = (replace(target(node), end=end),)
    return evacuate.run(swarm, Arguments(targets, swarm.time + SHORT), clock)


def home(swarm: FakeSwarm, service: str = "single") -> str:
    return next(task.node for task in swarm.of(service) if task.is_running)


def unmarked(swarm: FakeSwarm) -> bool:
    labels = {label for row in swarm.service_rows.values() for label in row["Spec"]["Labels"]}
    return not labels & {EXCLUSION_LABEL, SURGE_LABEL}


@pytest.mark.parametrize("fault", ["sick", "crashing"])
def test_what_cannot_run_elsewhere_serves_until_the_end_and_is_named(fault: str) -> None:
    swarm = three_services()
    specs = {name: swarm.spec(name) for name in swarm.service_rows}
    doomed, began, stopped = home(swarm), swarm.time, list[float]()
    getattr(swarm, fault).update(set(swarm.node_rows) - {doomed})
    old = next(task.id for task in swarm.of("single") if task.is_running)

    def sleep(seconds: float) -> None:
        swarm.sleep(seconds)
        if not stopped and swarm.task_rows[old]["DesiredState"] != "running":
            stopped.append(swarm.time)

    result = evacuated(swarm, doomed, replace(swarm.clock, sleep=sleep))
    assert result.nodes[0].fate is Fate.DRAINED
    assert way(result, "single") == (Way.DRAIN, 1)
    assert "single (1: its new tasks do not serve" in result.nodes[0].detail
    assert SHORT - 20 < stopped[0] - began < SHORT - 10
    assert {name: swarm.spec(name) for name in specs} == specs


def test_what_cannot_run_elsewhere_is_not_stopped_where_no_end_is_announced() -> None:
    swarm = three_services()
    specs = {name: swarm.spec(name) for name in swarm.service_rows}
    doomed = home(swarm)
    swarm.sick = set(swarm.node_rows) - {doomed}
    result = evacuated(swarm, doomed, swarm.clock, end=End.FOR_A_WHILE)
    assert result.nodes[0].fate is Fate.UNFINISHED
    assert "single (1: its new tasks do not serve" in result.nodes[0].detail
    assert swarm.fewest["single"] == 1
    assert swarm.node_rows[doomed]["Spec"]["Availability"] == "pause"
    assert {name: swarm.spec(name) for name in specs} == specs


def test_an_announced_end_takes_over_from_one_that_was_not() -> None:
    swarm = three_services()
    doomed = home(swarm)
    swarm.sick = set(swarm.node_rows) - {doomed}
    evacuated(swarm, doomed, swarm.clock, end=End.FOR_A_WHILE)
    assert run(swarm, doomed).nodes[0].fate is Fate.DRAINED


def scale_up(swarm: FakeSwarm, service: str) -> None:
    swarm.scale(service, swarm.fewest["wanted"] + 1)


def scale_down(swarm: FakeSwarm, service: str) -> None:
    swarm.scale(service, swarm.fewest["wanted"] - 1)


def deploy(swarm: FakeSwarm, service: str) -> None:
    row = swarm.service_rows[service]
    read = next(one for one in swarm.services() if one.id == service)
    swarm.update_service(read, copied(row["before"]))


@pytest.mark.parametrize("service", ["single", "web"])
@pytest.mark.parametrize("change", [scale_up, scale_down, deploy])
@pytest.mark.parametrize("polls", MOMENTS)
def test_a_change_by_somebody_else_at_any_moment_costs_no_task_and_stays(
    service: str, change: Change, polls: int
) -> None:
    swarm = three_services()
    doomed, wanted = home(swarm, service), swarm.spec(service)["Mode"]["Replicated"]["Replicas"]
    if change is scale_down and wanted == 1:
        return
    swarm.service_rows[service]["before"] = swarm.spec(service)
    swarm.fewest["wanted"] = wanted
    counter, acted = itertools.count(), list[bool]()

    def act() -> None:
        acted.append(True)
        change(swarm, service)

    result = evacuated(swarm, doomed, acting(swarm, act, lambda: next(counter) >= polls))
    more = 1 if change is scale_up else -1 if change is scale_down else 0
    after = wanted + more if acted else wanted
    assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest[service] >= min(wanted, after)
    assert swarm.spec(service)["Mode"]["Replicated"]["Replicas"] == after
    assert unmarked(swarm)


def test_a_constraint_of_its_user_equal_to_ours_stays() -> None:
    swarm = three_services()
    doomed = home(swarm)
    swarm.sick = set(swarm.node_rows) - {doomed, "n01"}

    def constrain() -> None:
        row = swarm.service_rows["single"]
        placement = row["Spec"]["TaskTemplate"]["Placement"]
        placement["Constraints"] = [*placement.get("Constraints", []), f"node.id!={doomed}"]
        row["Version"]["Index"] += 1

    clock = acting(swarm, constrain, lambda: SURGE_LABEL in swarm.spec("single")["Labels"])
    evacuated(swarm, doomed, clock)
    assert swarm.spec("single")["TaskTemplate"]["Placement"]["Constraints"] == [f"node.id!={doomed}"]
    assert unmarked(swarm)


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        ({"Condition": "none"}, "complete"),
        ({"Condition": "none"}, "failed"),
        ({"Condition": "on-failure"}, "complete"),
        ({"Condition": "any", "MaxAttempts": 2}, "failed"),
    ],
)
def test_work_that_has_ended_is_not_done_again(policy: dict[str, Any], state: str) -> None:
    swarm = FakeSwarm(managers=1, workers=3)
    swarm.add_service("batch", 3, template={"RestartPolicy": policy})
    doomed = home(swarm, "batch")
    ended = next(task.id for task in swarm.of("batch") if task.node != doomed)
    swarm.task_rows[ended].update(Status={"State": state}, DesiredState="shutdown")
    swarm.done.add(ended)
    swarm.updates.clear()
    result = run(swarm, doomed, notice=SHORT)
    assert "batch" not in swarm.updates
    assert way(result, "batch") == (Way.DRAIN, 1)
    assert "a move would run them again" in result.services[0].reason


def test_a_service_whose_slots_are_named_keeps_them_and_the_result_says_so() -> None:
    swarm = FakeSwarm(managers=1, workers=3)
    named: dict[str, Any] = {"ContainerSpec": {"Image": "web:1", "Env": ["ID={{.Task.Slot}}"]}}
    swarm.add_service("kafka", 4, template=named)
    seen: set[int] = set()

    def sleep(seconds: float) -> None:
        swarm.sleep(seconds)
        seen.update(task.slot for task in swarm.of("kafka") if task.is_wanted)

    result = evacuated(swarm, home(swarm, "kafka"), replace(swarm.clock, sleep=sleep))
    assert seen == {1, 2, 3, 4}
    assert swarm.fewest["kafka"] == 4
    assert result.nodes[0].fate is Fate.SAFE
    assert (
        result.services[0].reason == "moved slot for slot: its slots are named in its spec ({{.Task.Slot}})"
    )


def test_what_would_lose_the_largest_part_is_moved_first() -> None:
    swarm = FakeSwarm(managers=1, workers=2)
    for name, replicas in (("a-many", 6), ("b-pair", 2), ("c-single", 1)):
        swarm.add_service(name, replicas, template={"Placement": {"Constraints": ["node.id==n02"]}})
    for row in swarm.service_rows.values():
        row["Spec"]["TaskTemplate"]["Placement"] = {}
    swarm.updates.clear()
    run(swarm, "n02")
    assert swarm.updates[:3] == ["c-single", "b-pair", "a-many"]


def test_a_node_of_whose_two_tasks_one_fits_elsewhere_leaves_the_spec_as_it_was() -> None:
    swarm = FakeSwarm(managers=1, workers=2)
    limits = {"Placement": {"Constraints": ["node.role==worker"], "MaxReplicas": 2}}
    swarm.add_service("pair", 3, template=limits)
    specs, doomed = swarm.spec("pair"), max(swarm.spread("pair").items(), key=lambda row: row[1])[0]
    result = run(swarm, doomed, notice=SHORT)
    assert swarm.spec("pair") == specs
    assert result.services[0].reason == "room for 1 of 2 tasks"


def test_what_an_evacuation_could_not_end_ends_with_the_give_back() -> None:
    swarm = three_services()
    doomed, specs = home(swarm), swarm.spec("single")

    def die() -> None:
        raise Killed

    clock = acting(swarm, die, lambda: SURGE_LABEL in swarm.spec("single")["Labels"])
    with pytest.raises(Killed):
        evacuated(swarm, doomed, clock)
    assert give_back.run(swarm, Arguments((target(doomed),)), swarm.clock).ok
    swarm.sleep(10)
    assert swarm.spec("single") == specs
    assert swarm.fewest["single"] == 1
