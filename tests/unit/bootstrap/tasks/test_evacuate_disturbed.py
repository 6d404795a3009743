"""An evacuation that is killed, refused, hurried or met by another order or an election: no dip, no trace."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bootstrap.engine.client import EngineError
from bootstrap.engine.service import SURGE_LABEL
from bootstrap.tasks import evacuate
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, Result
from tests.unit.bootstrap.support.evacuating import NOTICE, run, target, three_services
from tests.unit.bootstrap.support.fake_host import Killed, killing
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm


@pytest.fixture
def swarm() -> FakeSwarm:
    return three_services()


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", range(6))
def test_killed_at_any_effect_and_run_again_it_ends_the_same(
    swarm: FakeSwarm, number: int, side: str
) -> None:
    doomed = next(task.node for task in swarm.of("single") if task.is_running)
    specs = {name: swarm.spec(name) for name in swarm.service_rows}
    effects = itertools.count()
    mortal = partial(killing, when=lambda: next(effects) == number, side=side)
    originals: tuple[Any, Any] = swarm.update_node, swarm.update_service
    swarm.update_node, swarm.update_service = map(mortal, originals)  # type: ignore[method-assign]
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
        if not started and SURGE_LABEL in swarm.spec("web")["Labels"]:
            started.append(True)
            results["n03"] = run(swarm, "n03")

    clock = replace(swarm.clock, sleep=second)
    first = evacuate.run(swarm, Arguments((target("n02"),), swarm.time + NOTICE), clock)
    assert started
    assert first.nodes[0].fate is Fate.SAFE
    assert results["n03"].nodes[0].fate is Fate.SAFE
    assert swarm.fewest["web"] == 6
    assert {name: swarm.spec(name) for name in specs} == specs


def test_what_an_earlier_order_left_half_done_is_evacuated_without_a_dip(
    swarm: FakeSwarm,
) -> None:
    doomed = next(task.node for task in swarm.of("single") if task.is_running)
    left = {"Availability": "pause", "Labels": {"swarmkeeper.evacuate": f"{swarm.time - 9:.0f} 4"}}
    swarm.node_rows[doomed]["Spec"].update(left)
    newer = Arguments((replace(target(doomed), version=5),), swarm.time + NOTICE)
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
            hurried.append(Result(AgentTask.EVACUATE, ok=False))
            hurried.append(run(swarm, "n02"))

    clock = replace(swarm.clock, sleep=warned)
    evacuate.run(swarm, Arguments((target("n02"),), began + 600), clock)
    assert hurried[1].nodes[0].fate is Fate.DRAINED
    assert swarm.time < began + 20 + NOTICE


def test_an_engine_that_refuses_for_a_while_is_asked_again(swarm: FakeSwarm) -> None:
    swarm.refusals = 3
    assert run(swarm, "n02").ok
    assert swarm.refusals == 0
    assert swarm.fewest["web"] == 6


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
    result = evacuate.run(swarm, Arguments((target("n02"),), swarm.time + NOTICE), clock)
    assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest == {"web": 6, "single": 1}
    assert swarm.on("n02") == []
