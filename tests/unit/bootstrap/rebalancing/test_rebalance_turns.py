"""When a rebalance may act: not beside another one or an evacuation, nor too early or too often."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL
from bootstrap.engine.service import EXCLUSION_LABEL
from bootstrap.engine.snapshot import Snapshot
from bootstrap.rebalancing.lease import LEASE_S, Lease
from bootstrap.rebalancing.rolling import update_seconds
from bootstrap.rebalancing.run import RETRY_BUSY_S, Run
from bootstrap.rebalancing.start_wave import MODE_LABEL
from bootstrap.specs.exclusion import Pace, exclude_nodes
from bootstrap.specs.surge import raise_replicas
from bootstrap.tasks import evacuate
from chalicelib.protocol.messages import AgentTask, Arguments, Balance, Fate, Rebalance, Result, Target
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance
from tests.unit.bootstrap.support.rebalances import OPTED_IN, marked, meanwhile, only, run, uneven


@pytest.fixture
def swarm() -> FakeSwarm:
    return uneven()


def test_while_nodes_are_evacuated_nothing_is_begun(swarm: FakeSwarm) -> None:
    swarm.add_service("last", 3)
    swarm.node_rows["n01"]["Spec"].update(
        Availability="pause", Labels={"swarmkeeper.evacuate": f"{swarm.time + 100:.0f}"}
    )
    swarm._start(swarm.services()[1], 99, "n01")  # noqa: SLF001
    result = run(swarm)
    assert only(result).balance is Balance.LEFT
    assert only(result).reason == "an evacuation is under way, of host-01"
    assert result.wait > 0
    assert swarm.updates == []


@pytest.mark.parametrize("moment", range(0, 12, 3))
@pytest.mark.parametrize("doomed", ["n02", "n04"])
def test_an_evacuation_during_a_surge_has_the_right_of_way_and_nothing_dips(moment: int, doomed: str) -> None:
    swarm = uneven()
    spec = json.dumps(swarm.spec("web"))
    ticks, results = itertools.count(), list[Result]()
    number = int(doomed[1:])

    def warned() -> None:
        if next(ticks) == moment:
            target = Target(instance(number), f"10.0.0.{number}")
            results.append(evacuate.run(swarm, Arguments((target,), swarm.time + 120), swarm.clock))

    run(swarm, meanwhile(swarm, warned))
    for result in results:
        assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest["web"] == 9
    assert json.dumps(swarm.spec("web")) == spec
    assert not any(EXCLUSION_LABEL in row["Spec"]["Labels"] for row in swarm.service_rows.values())


def test_a_mark_is_not_even_taken_away_while_its_service_is_evacuated(swarm: FakeSwarm) -> None:
    """Any other update makes Swarm stop the old tasks before the new ones run."""
    service = swarm.services()[0]
    service = replace(service, spec=raise_replicas(service, (3,), swarm.time, swarm.time + 60))
    service = replace(service, spec=exclude_nodes(service, ["n02"], "start-first", Pace()))
    swarm.update_service(service, dict(service.spec))
    swarm.scale("web", 11)
    swarm.node_rows["n02"]["Spec"].update(
        Availability="pause", Labels={EVACUATION_DEADLINE_LABEL: f"{swarm.time + 60}"}
    )
    swarm.updates.clear()
    result = run(swarm, budget=3)
    assert swarm.updates == []
    assert marked(swarm)
    assert only(result).balance is Balance.FAILED
    assert result.wait > 0
    swarm.avail("n02", "active")
    swarm.settle()
    assert run(swarm).ok
    assert swarm.spec("web")["Mode"]["Replicated"]["Replicas"] == 11
    assert not marked(swarm)
    assert EXCLUSION_LABEL not in swarm.spec("web")["Labels"]


def test_two_at_once_never_act_at_the_same_time(swarm: FakeSwarm) -> None:
    second = list[Result]()

    def other() -> None:
        if marked(swarm) and not second:
            second.append(Result(AgentTask.REBALANCE, ok=False))
            second[0] = run(swarm, cooldown=60)

    first = run(swarm, meanwhile(swarm, other))
    assert only(first).balance is Balance.MOVED
    assert second[0].ok
    assert second[0].spreads == ()
    assert second[0].wait > 0
    assert second[0].facts["reason"].startswith("another rebalance is under way, by the agent on host-01")
    assert swarm.updates == ["web", "web"]


def test_after_a_poll_that_outlasted_the_lease_nothing_is_changed_if_another_has_it(
    swarm: FakeSwarm,
) -> None:
    everything, other, looks = swarm.full_snapshot, Lease(swarm, swarm.clock, "other"), itertools.count()

    def slow(*watched: Any) -> Snapshot:
        found = everything(*watched)
        if next(looks) == 1:
            assert not other.take()
            swarm.sleep(LEASE_S + 1)
            assert other.take()
        return found

    swarm.full_snapshot = slow  # type: ignore[method-assign, assignment]
    result = run(swarm)
    assert swarm.updates == []
    assert only(result).reason.startswith("its lease was taken over by other")


def test_a_manual_call_waits_for_the_lease(swarm: FakeSwarm) -> None:
    swarm.create_config("swarmkeeper.rebalance", {"holder": "x", "until": f"{swarm.time + LEASE_S}"})
    assert only(run(swarm)).balance is Balance.MOVED


def test_before_the_cool_down_is_over_nothing_is_changed(swarm: FakeSwarm) -> None:
    run(swarm)
    swarm.add_node()
    swarm.updates.clear()
    swarm.sleep(10)
    result = run(swarm, cooldown=60)
    assert result.ok
    assert 45 < result.wait <= 50
    assert swarm.updates == []
    swarm.sleep(result.wait)
    assert only(run(swarm, cooldown=60)).balance is Balance.MOVED


def test_a_rebalance_that_moved_nothing_begins_no_cool_down(swarm: FakeSwarm) -> None:
    run(swarm)
    swarm.sleep(60)
    assert only(run(swarm, cooldown=60)).balance is Balance.BALANCED
    swarm.add_node()
    assert only(run(swarm, cooldown=60)).balance is Balance.MOVED


def test_a_service_in_an_endless_update_keeps_no_cool_down_from_the_others(swarm: FakeSwarm) -> None:
    swarm.add_service("stuck", 3, Labels=dict(OPTED_IN))
    swarm.service_rows["stuck"]["UpdateStatus"] = {"State": "updating"}
    first = run(swarm, cooldown=300)
    assert {one.service: one.balance for one in first.spreads} == {
        "web": Balance.MOVED,
        "stuck": Balance.LEFT,
    }
    assert first.wait == RETRY_BUSY_S
    swarm.add_node()
    swarm.updates.clear()
    assert run(swarm, cooldown=300).wait > 250
    assert swarm.updates == []


def test_after_a_surge_that_failed_there_is_a_cool_down_too(swarm: FakeSwarm) -> None:
    swarm.sick.add("n04")
    assert only(run(swarm, cooldown=300)).balance is Balance.FAILED
    swarm.updates.clear()
    assert run(swarm, cooldown=300).wait > 200
    assert swarm.updates == []


def slow(swarm: FakeSwarm) -> float:
    """Rebalance a service that takes its time; answer how many seconds."""
    pace = {"Parallelism": 1, "Delay": 30 * 10**9, "Order": "start-first"}
    swarm.avail("n04", "drain")
    swarm.add_service("slow", 8, Labels={**OPTED_IN, MODE_LABEL: "rolling"}, UpdateConfig=pace)
    swarm.avail("n04", "active")
    swarm.settle()
    snapshot = swarm.full_snapshot()
    return update_seconds(snapshot.service_by_id["slow"], snapshot)


def test_a_service_that_is_put_off_keeps_no_cool_down_from_those_that_were_moved(swarm: FakeSwarm) -> None:
    first = run(swarm, cooldown=300, budget=slow(swarm) + 1)
    assert {one.service: one.balance for one in first.spreads} == {
        "web": Balance.MOVED,
        "slow": Balance.LEFT,
    }
    assert 0 < first.wait < RETRY_BUSY_S
    swarm.add_node()
    swarm.updates.clear()
    assert run(swarm, cooldown=300).wait > 250
    assert swarm.updates == []


def test_a_service_that_is_put_off_does_not_repeat_what_failed() -> None:
    run = Run(Rebalance(), ("slow", "web"), ("old",), 0, 600, 0)
    run = run.with_outcome("slow", Balance.LEFT, wait=60).with_outcome("web", Balance.FAILED)
    assert run.retry_after == 0
    run = run.with_outcome("old", Balance.FAILED, "its surge is left", RETRY_BUSY_S)
    assert run.retry_after == RETRY_BUSY_S


def test_a_surge_that_had_to_be_left_is_ended_before_the_cool_down_is_over(swarm: FakeSwarm) -> None:
    def paused() -> None:
        if marked(swarm):
            swarm.service_rows["web"]["UpdateStatus"] = {"State": "paused"}

    first = run(swarm, meanwhile(swarm, paused), cooldown=900)
    assert (first.ok, first.wait, marked(swarm)) == (False, RETRY_BUSY_S, True)
    swarm.service_rows["web"].pop("UpdateStatus")
    swarm.sleep(RETRY_BUSY_S)
    assert run(swarm, cooldown=900).wait == 0
    assert not marked(swarm)
