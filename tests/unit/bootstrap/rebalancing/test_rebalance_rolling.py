"""Rebalances by a forced update, and what is not begun because of a label, a bound or an update."""

from __future__ import annotations

import re

import pytest

from chalicelib.protocol.messages import Balance, Mode
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm
from tests.unit.bootstrap.support.rebalances import OPTED_IN, meanwhile, only, run, uneven


@pytest.fixture
def swarm() -> FakeSwarm:
    return uneven()


def test_an_unknown_mode_label_leaves_the_service_and_says_so() -> None:
    swarm = uneven(Labels={**OPTED_IN, "swarmkeeper.rebalance": "fast"})
    assert only(run(swarm)).reason == "label swarmkeeper.rebalance=fast is neither surge nor rolling"
    assert swarm.updates == []
    assert only(run(swarm, mode="surge")).balance is Balance.MOVED


def test_rolling_restarts_every_task_at_the_services_own_pace() -> None:
    config = {"Parallelism": 3, "Delay": 0, "Order": "start-first", "FailureAction": "rollback"}
    swarm = uneven(UpdateConfig=config, Labels={**OPTED_IN, "swarmkeeper.rebalance": "rolling"})
    spec = swarm.spec("web")
    report = only(run(swarm))
    assert (report.balance, report.mode, report.restarted) == (Balance.MOVED, Mode.ROLLING, 9)
    assert swarm.spread("web")["n04"] > 0
    assert swarm.updates == ["web"]
    spec["TaskTemplate"]["ForceUpdate"] = 1
    assert swarm.spec("web") == spec
    assert [text[:40] for text in report.warnings] == [
        "update-delay 0 s is shorter than its tas",
        "the first forced update restarts 3 tasks",
    ]


def test_a_rolling_update_that_swarm_pauses_has_failed(swarm: FakeSwarm) -> None:
    def paused() -> None:
        if swarm.updates:
            swarm.service_rows["web"]["UpdateStatus"] = {"State": "paused"}

    result = run(swarm, meanwhile(swarm, paused), mode="rolling")
    assert not result.ok
    assert only(result).reason == "Swarm shows its update as paused: see docker service ps web"


def test_an_update_that_goes_on_though_tasks_fail_has_failed_and_nothing_follows(
    swarm: FakeSwarm,
) -> None:
    swarm.add_service("zoo", 3, Labels=dict(OPTED_IN))
    swarm.sick.add("n04")

    def goes_on() -> None:
        if status := swarm.service_rows["web"].get("UpdateStatus"):
            status["State"] = "completed"

    result = run(swarm, meanwhile(swarm, goes_on), mode="rolling")
    failed = next(one for one in result.spreads if one.service == "web")
    assert failed.balance is Balance.FAILED
    assert re.match(r"after it was moved, [0-8] of 9 tasks run", failed.reason)
    assert not result.ok
    assert "zoo" not in swarm.updates


def test_a_bound_on_moves_is_none_on_restarts_where_all_tasks_are_restarted(swarm: FakeSwarm) -> None:
    told = "max_moves counts moves: all its 9 tasks are restarted"
    assert told in only(run(swarm, mode="rolling", max_moves=3, dry_run=True)).warnings
    assert told not in only(run(swarm, mode="rolling", dry_run=True)).warnings


def test_over_several_empty_nodes_it_ends_even_too() -> None:
    """One scale-up of all would not, as measured and as the swarm in memory does."""
    swarm = FakeSwarm(managers=1, workers=3)
    swarm.avail("n01", "drain")
    for node in ("n03", "n04"):
        swarm.avail(node, "drain")
    swarm.add_service("web", 9, Labels=dict(OPTED_IN))
    for node in ("n03", "n04"):
        swarm.avail(node, "active")
    report = only(run(swarm))
    assert (report.moves, report.restarted) == (6, 6)
    assert swarm.spread("web") == {"n02": 3, "n03": 3, "n04": 3}
    assert swarm.fewest["web"] == 9
