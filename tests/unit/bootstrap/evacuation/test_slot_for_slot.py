"""Services whose tasks Swarm's own updater replaces, slot for slot or stop-first: what protects them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bootstrap.tasks import evacuate
from chalicelib.protocol.messages import Arguments, End, Fate, Way
from tests.unit.bootstrap.support.evacuating import target, way
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
