"""A rebalance that is killed, disturbed or fails: never below strength, and no trace in the end."""

from __future__ import annotations

import itertools
import json

import pytest

from bootstrap.engine.service import SURGE_LABEL
from chalicelib.protocol.messages import Balance
from tests.unit.bootstrap.support.fake_engine import copied
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm
from tests.unit.bootstrap.support.rebalances import OPTED_IN, kill, marked, meanwhile, only, run, uneven


@pytest.fixture
def swarm() -> FakeSwarm:
    return uneven()


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(
    ("fault", "number"),
    [*(("none", number) for number in range(4)), *(("sick", number) for number in range(1, 8))],
)
def test_killed_at_any_effect_and_run_again_it_ends_the_same(number: int, side: str, fault: str) -> None:
    swarm = uneven()
    spec = json.dumps(swarm.spec("web"))
    if fault == "sick":
        swarm.sick.add("n04")
    kill(swarm, number, side, budget=40)
    swarm.sleep(1)
    swarm.sick.clear()
    results = [run(swarm), run(swarm)]  # the first one may find a surge that was given up, and ends that
    assert results[1].ok
    assert results[0].ok or fault == "sick"
    assert swarm.fewest["web"] == 9
    assert json.dumps(swarm.spec("web")) == spec
    assert swarm.spread("web") == {"n02": 3, "n03": 3, "n04": 3}


@pytest.mark.parametrize("wanted", [4, 11, 15])
@pytest.mark.parametrize("moment", range(0, 20, 2))
def test_a_users_scale_at_any_moment_wins(moment: int, wanted: int) -> None:
    swarm = uneven()
    ticks = itertools.count()

    def user() -> None:
        if next(ticks) == moment:
            swarm.scale("web", wanted)

    run(swarm, meanwhile(swarm, user))
    if next(ticks) > moment:
        swarm.settle()
        assert swarm.spec("web")["Mode"]["Replicated"]["Replicas"] == wanted
        assert swarm.running("web") == wanted
    assert not marked(swarm)


@pytest.mark.parametrize("polls", range(12))
def test_a_stack_deployed_at_any_moment_costs_one_wave_at_most(swarm: FakeSwarm, polls: int) -> None:
    """Swarm's scale-down stops serving tasks on full nodes and keeps starting ones on empty nodes."""
    spec, counter = swarm.spec("web"), itertools.count()

    def deploy() -> None:
        if next(counter) == polls:
            swarm.update_service(next(iter(swarm.services())), copied(spec))

    report = only(run(swarm, meanwhile(swarm, deploy)))
    assert report.balance in (Balance.MOVED, Balance.BALANCED)
    assert swarm.fewest["web"] >= 9 - report.moves
    assert swarm.spec("web") == spec
    assert swarm.spread("web") == {"n02": 3, "n03": 3, "n04": 3}


def test_new_tasks_that_do_not_come_to_run_are_taken_away_and_none_that_serves(swarm: FakeSwarm) -> None:
    spec = json.dumps(swarm.spec("web"))
    swarm.sick.add("n04")
    swarm.add_service("last", 2, Labels=dict(OPTED_IN))
    before = {task.id for task in swarm.of("web") if task.is_running}
    swarm.fewest.clear()
    result = run(swarm)
    failed, left = sorted(result.spreads, key=lambda one: one.balance.value)
    assert not result.ok
    assert (failed.service, failed.balance) == ("web", Balance.FAILED)
    assert (
        failed.reason == "9 of 12 tasks run when their time was over; its replicas and its spec are as before"
    )
    assert left.service == "last"
    assert swarm.fewest["web"] == 9
    assert {task.id for task in swarm.of("web") if task.is_running} == before
    assert json.dumps(swarm.spec("web")) == spec


def test_a_plain_scale_down_would_have_stopped_tasks_that_serve(swarm: FakeSwarm) -> None:
    """A check on the fake itself, so that the test above can fail."""
    swarm.sick.add("n04")
    swarm.scale("web", 12)
    swarm.sleep(3)
    swarm.scale("web", 9)
    swarm.sleep(3)
    assert swarm.running("web") == 6


def test_new_tasks_that_run_for_a_moment_only_do_not_count(swarm: FakeSwarm) -> None:
    spec = json.dumps(swarm.spec("web"))
    swarm.crashing.add("n04")
    result = run(swarm)
    assert only(result).balance is Balance.FAILED
    assert swarm.fewest["web"] == 9
    assert swarm.spread("web") == {"n02": 5, "n03": 4}
    assert json.dumps(swarm.spec("web")) == spec


@pytest.mark.parametrize("ahead", [-90.0, 90.0])
def test_the_clock_of_another_manager_that_leads_changes_nothing(ahead: float) -> None:
    """It says when tasks were created; the agent's own clock says how long they have run."""
    for sick in (False, True):
        swarm = uneven()
        for row in swarm.task_rows.values():
            row["CreatedAt"] = swarm.stamp(swarm.time - 60 + ahead)
        swarm.ahead = ahead
        swarm.crashing.update(["n04"] if sick else [])
        told = only(run(swarm))
        assert told.balance is (Balance.FAILED if sick else Balance.MOVED)
        assert told.reason.startswith("new tasks ended 9 times" if sick else "balanced")
        assert swarm.fewest["web"] == 9


def test_after_the_first_failed_service_no_other_is_begun() -> None:
    swarm = uneven()
    swarm.avail("n04", "drain")
    swarm.add_service("zoo", 4, Labels=dict(OPTED_IN))
    swarm.avail("n04", "active")
    swarm.sick.add("n04")
    left = next(report for report in run(swarm).spreads if report.service == "zoo")
    assert (left.balance, left.reason) == (Balance.LEFT, "stopped at the first failed service: web")
    assert "zoo" not in swarm.updates


def test_tasks_without_a_place_are_taken_away_by_a_plain_scale_down() -> None:
    swarm = uneven()
    ticks = itertools.count()

    def closed() -> None:
        if next(ticks) == 0:
            for node in ("n02", "n03", "n04"):
                swarm.avail(node, "pause")
            for row in swarm.task_rows.values():
                if row["Status"]["State"] != "running":
                    row.update(NodeID="", Status={"State": "pending"})

    result = run(swarm, meanwhile(swarm, closed))
    assert only(result).balance is Balance.FAILED
    assert swarm.fewest["web"] == 9
    assert swarm.updates == ["web", "web"]
    assert swarm.spread("web") == {"n02": 5, "n03": 4}


def test_a_label_that_no_surge_wrote_stops_nothing() -> None:
    swarm = uneven(Labels={**OPTED_IN, SURGE_LABEL: "[]"})
    assert only(run(swarm)).restarted == 3
    assert swarm.spread("web") == {"n02": 3, "n03": 3, "n04": 3}


def test_a_surge_left_by_an_earlier_run_is_ended_even_if_not_asked_for(
    swarm: FakeSwarm,
) -> None:
    spec = json.dumps(swarm.spec("web"))
    swarm.add_service("last", 3)
    kill(swarm, 1, "after", budget=60)
    assert marked(swarm)
    reports = {report.service: report for report in run(swarm, services=("last",)).spreads}
    assert reports["web"].reason == "the surge that an earlier run began is ended"
    assert json.dumps(swarm.spec("web")) == spec
    assert swarm.running("web") == 9
