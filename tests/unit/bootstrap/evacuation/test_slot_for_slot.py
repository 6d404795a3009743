"""Services whose tasks Swarm's own updater replaces, slot for slot or stop-first: what protects them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.tasks import evacuate
from chalicelib.protocol.messages import Arguments, End, Fate, Way
from tests.unit.bootstrap.support.evacuating import run, target, way
from tests.unit.bootstrap.support.fake_engine import FakeEngine
from tests.unit.bootstrap.support.fake_host import Killed
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm

NOTICE = 60.0
SLOTS: dict[str, Any] = {"ContainerSpec": {"Image": "web:1", "Env": ["ID={{.Task.Slot}}"]}}
ONLY_N02: dict[str, Any] = {"Placement": {"Constraints": ["node.id==n02"]}}
STOP_FIRST = {"swarmkeeper.evacuate": "stop-first"}


def pinned(name: str, **spec: Any) -> FakeSwarm:
    """Make a swarm with one service of one task, which runs on n02 and may run nowhere else."""
    swarm = FakeSwarm(managers=1, workers=3)
    template = {**spec.pop("template", {}), **ONLY_N02}
    swarm.add_service(name, 1, template=template, **spec)
    return swarm


def unpin(swarm: FakeSwarm, name: str) -> None:
    swarm.service_rows[name]["Spec"]["TaskTemplate"]["Placement"] = {"Constraints": ["node.role==worker"]}


@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.0, 1.5])
def test_its_node_made_active_in_a_slot_for_slot_move_costs_no_task(seconds: float) -> None:
    swarm = pinned("one", template=SLOTS)
    unpin(swarm, "one")
    began, acted = swarm.time, list[bool]()

    def sleep(length: float) -> None:
        swarm.sleep(length)
        if not acted and swarm.time >= began + seconds:
            acted.append(True)
            swarm.avail("n02", "active")

    clock = replace(swarm.clock, sleep=sleep)
    result = evacuate.run(swarm, Arguments((target("n02"),), began + NOTICE), clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert way(result, "one") == (Way.START_FIRST, 1)
    assert swarm.fewest["one"] == 1


@pytest.mark.parametrize("end", [End.FOR_A_WHILE, End.ANNOUNCED])
def test_what_must_stop_first_serves_on_where_it_has_no_other_place(end: End) -> None:
    swarm = pinned("db", Labels=STOP_FIRST)
    began, gone = swarm.time, list[float]()

    def sleep(length: float) -> None:
        swarm.sleep(length)
        if not gone and not swarm.running("db"):
            gone.append(swarm.time - began)

    targets = (replace(target("n02"), end=end),)
    result = evacuate.run(swarm, Arguments(targets, began + NOTICE), replace(swarm.clock, sleep=sleep))
    assert "db (1: no other node has room for it)" in result.nodes[0].detail
    if end is End.ANNOUNCED:
        assert result.nodes[0].fate is Fate.DRAINED
        assert NOTICE - 20 < gone[0] < NOTICE
    else:
        assert result.nodes[0].fate is Fate.UNFINISHED
        assert gone == []


@pytest.mark.parametrize("fault", ["sick", "crashing"])
def test_what_moves_slot_for_slot_stays_where_no_end_is_announced(fault: str) -> None:
    swarm = pinned("one", template=SLOTS)
    unpin(swarm, "one")
    before = swarm.spec("one")
    getattr(swarm, fault).update({"n01", "n03", "n04"})
    result = run(swarm, "n02", notice=30.0, end=End.FOR_A_WHILE)
    assert swarm.fewest["one"] == 1
    assert result.nodes[0].fate is Fate.UNFINISHED
    assert "one (1: it stays, as no end is announced and" in result.nodes[0].detail
    assert swarm.spec("one") == before


@pytest.mark.parametrize(
    ("spec", "fault", "why"),
    [
        ({"template": SLOTS}, "crashing", "its new task does not serve: task: non-zero exit (1)"),
        ({"Labels": STOP_FIRST}, "sick", "its new task does not serve yet: starting"),
    ],
)
def test_what_swarm_replaced_by_one_that_does_not_stay_is_not_safe(
    spec: dict[str, Any], fault: str, why: str
) -> None:
    swarm = pinned("one", **spec)
    unpin(swarm, "one")
    before = swarm.spec("one")
    getattr(swarm, fault).update({"n01", "n03", "n04"})
    result = run(swarm, "n02", notice=30.0, end=End.ANNOUNCED)
    assert result.nodes[0].fate is Fate.DRAINED
    assert why in result.nodes[0].detail
    assert result.services[0].reason.endswith(why)
    assert swarm.spec("one") == before


def test_what_crashes_once_and_then_stays_is_safe() -> None:
    swarm = pinned("one", template=SLOTS)
    unpin(swarm, "one")
    swarm.crashing.update({"n01", "n03", "n04"})

    def sleep(length: float) -> None:
        swarm.sleep(length)
        if any(task.state == "failed" for task in swarm.of("one")):
            swarm.crashing.clear()

    clock = replace(swarm.clock, sleep=sleep)
    result = evacuate.run(swarm, Arguments((target("n02"),), swarm.time + NOTICE), clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert "does not serve" not in result.services[0].reason


@pytest.mark.parametrize("seconds", [0.25, 0.5])
def test_after_a_run_that_died_behind_its_drain_the_next_one_tells_why(seconds: float) -> None:
    swarm = pinned("db")
    drained = swarm.update_node

    def dying(node: Any, **changes: Any) -> None:
        drained(node, **changes)
        if changes.get("Availability") == "drain":
            raise Killed

    swarm.update_node = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        run(swarm, "n02", notice=NOTICE)
    swarm.update_node = drained  # type: ignore[method-assign]
    swarm.sleep(seconds)
    result = run(swarm, "n02", notice=20.0)
    assert result.nodes[0].fate is Fate.DRAINED
    assert result.nodes[0].detail.endswith("db (1: no other node has room for it)")


@pytest.mark.parametrize("container", [{"Image": "web:1"}, SLOTS["ContainerSpec"]])
def test_of_many_services_single_ones_start_first_and_no_more_than_nodes_bear(container: Any) -> None:
    swarm = FakeSwarm(managers=1, workers=3)
    for number in range(20):
        template = {"ContainerSpec": container, **ONLY_N02}
        FakeEngine.add_service(swarm, f"s{number:02}", 1 if number > 14 else 4, template=template)
    swarm.settle()
    for row in swarm.service_rows.values():
        row["Spec"]["TaskTemplate"]["Placement"] = {}
    swarm.updates.clear()
    most: Counter[str] = Counter()

    def sleep(length: float) -> None:
        swarm.sleep(length)
        begun = [task for task in swarm.rows() if task.node != "n02" and task.state == "starting"]
        if swarm.node_rows["n02"]["Spec"]["Availability"] != "drain":
            most["starting"] = max(most["starting"], len(begun))

    clock = replace(swarm.clock, sleep=sleep)
    result = evacuate.run(swarm, Arguments((target("n02"),), swarm.time + NOTICE), clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert set(swarm.updates[:5]) == {f"s{number}" for number in range(15, 20)}
    assert 30 <= most["starting"] < 30 + 4
