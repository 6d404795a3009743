"""What a rebalance waits for, and for how long: nodes that join, engines that refuse or are slow."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bootstrap.engine.client import RefusedError
from bootstrap.engine.service import Service
from chalicelib.protocol.messages import Balance
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm
from tests.unit.bootstrap.support.rebalances import meanwhile, only, run, uneven


@pytest.fixture
def swarm() -> FakeSwarm:
    return uneven()


def test_nodes_that_join_one_after_the_other_cost_one_run(swarm: FakeSwarm) -> None:
    began = swarm.time

    def joins() -> None:
        if swarm.time - began in (5, 12):
            swarm.add_node()

    report = only(run(swarm, meanwhile(swarm, joins), settle=10))
    assert swarm.updates == ["web", "web", "web"]  # up by three, by two more, and down: one surge
    assert report.restarted == 5
    assert max(swarm.spread("web").values()) == 2


def test_time_that_nodes_are_given_to_settle_is_not_taken_from_the_moves(swarm: FakeSwarm) -> None:
    assert only(run(swarm, settle=700)).balance is Balance.MOVED


def test_a_joined_node_that_is_not_verified_yet_is_waited_for_but_not_for_ever(
    swarm: FakeSwarm,
) -> None:
    swarm.avail("n01", "active")
    swarm.avail("n04", "drain")
    began = swarm.time

    def verified() -> None:
        if swarm.time - began > 30:
            swarm.avail("n04", "active")

    run(swarm, meanwhile(swarm, verified), settle=5)
    assert swarm.spread("web")["n04"] > 0
    swarm.avail("n04", "drain")
    before = swarm.time
    assert run(swarm, settle=5).ok
    assert 120 < swarm.time - before < 200


def test_an_engine_that_refuses_for_a_while_is_asked_again(swarm: FakeSwarm) -> None:
    swarm.refusals = 3
    assert only(run(swarm)).balance is Balance.MOVED
    assert swarm.refusals == 0
    assert swarm.fewest["web"] == 9


def test_a_service_that_the_engine_will_not_change_holds_nobody_up_for_long(
    swarm: FakeSwarm, capsys: pytest.CaptureFixture[str]
) -> None:
    update, began = swarm.update_service, swarm.time

    def refused(service: Service, spec: dict[str, Any]) -> None:
        if service.id == "web":
            raise RefusedError("the engine refused to update service web: network gone not found")
        update(service, spec)

    swarm.update_service = refused  # type: ignore[method-assign]
    result = run(swarm)
    assert only(result).balance is Balance.FAILED
    assert only(result).reason.startswith("the engine has refused for 60 s to change it")
    assert result.wait == 0, "nothing was begun, so nothing is to be ended"
    assert swarm.time < began + 70
    assert "network gone not found" in capsys.readouterr().err


def test_an_end_in_the_future_cools_down_no_longer_than_usual(swarm: FakeSwarm) -> None:
    run(swarm)
    swarm.time -= 3600
    assert run(swarm, cooldown=60).wait == 60
    swarm.time += 4000
    assert run(swarm, cooldown=60).wait == 0


def test_a_swarm_that_answers_slowly_is_not_asked_all_the_time(swarm: FakeSwarm) -> None:
    """A service that is not at strength is waited for, and all tasks are read for that."""
    swarm.node_rows["n02"]["Status"]["State"] = "unknown"
    tasks, readings = swarm.tasks, list[float]()

    def slow(**filters: list[str]) -> tuple[Any, ...]:
        readings.append(swarm.time)
        swarm.sleep(2)
        return tasks(**filters)

    swarm.tasks = slow  # type: ignore[method-assign]
    run(swarm, settle=0)
    gaps = [after - before for before, after in itertools.pairwise(readings)]
    assert len([gap for gap in gaps if gap >= 10]) >= 5
