"""A rebalance against a swarm in memory: the fewest moves, never below strength, no trace."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.errors import AgentError
from chalicelib.protocol.messages import Balance, Mode
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm
from tests.unit.bootstrap.support.rebalances import OPTED_IN, meanwhile, only, run, uneven


@pytest.fixture
def swarm() -> FakeSwarm:
    return uneven()


def test_the_fewest_tasks_move_and_never_fewer_run_and_the_spec_ends_as_it_was(swarm: FakeSwarm) -> None:
    spec, before = swarm.spec("web"), {task.id for task in swarm.of("web")}
    result = run(swarm)
    report = only(result)
    assert result.ok
    assert (report.balance, report.mode, report.moves, report.restarted) == (Balance.MOVED, Mode.SURGE, 3, 3)
    assert report.before == {"host-02": 5, "host-03": 4}
    assert report.plan == report.after == {"host-02": 3, "host-03": 3, "host-04": 3}
    assert len({task.id for task in swarm.of("web")} - before) == 3
    assert swarm.fewest["web"] == 9
    assert json.dumps(swarm.spec("web")) == json.dumps(spec)
    assert swarm.updates == ["web", "web"]


def test_a_node_that_joins_a_zone_is_filled_and_the_preferences_are_back_afterwards() -> None:
    swarm = FakeSwarm(managers=1, workers=0)
    swarm.avail("n01", "drain")
    for zone in "abc":
        swarm.add_node(zone=zone)
        fresh = swarm.add_node(zone=zone)
    swarm.avail(fresh, "drain")
    preferences = {"Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]}
    swarm.add_service("web", 42, Labels=dict(OPTED_IN), template={"Placement": preferences})
    swarm.avail(fresh, "active")
    spec = json.dumps(swarm.spec("web"))
    report = only(run(swarm))
    assert report.before == {"host-02": 7, "host-03": 7, "host-04": 7, "host-05": 7, "host-06": 14}
    assert (report.balance, report.moves, report.restarted) == (Balance.MOVED, 7, 7)
    assert list(report.after.values()) == [7] * 6
    assert swarm.fewest["web"] == 42
    assert json.dumps(swarm.spec("web")) == spec


def test_a_balanced_service_is_not_touched_and_said_to_be_balanced(swarm: FakeSwarm) -> None:
    run(swarm)
    version = swarm.service_rows["web"]["Version"]["Index"]
    report = only(run(swarm))
    assert (report.balance, report.moves, report.restarted) == (Balance.BALANCED, 0, 0)
    assert swarm.service_rows["web"]["Version"]["Index"] == version


@pytest.mark.parametrize("labels", [{}, None])
def test_labels_that_were_absent_or_empty_end_so(labels: dict[str, str] | None) -> None:
    swarm = uneven(Labels=labels)
    if labels is None:
        del swarm.service_rows["web"]["Spec"]["Labels"]
    spec = json.dumps(swarm.spec("web"))
    assert only(run(swarm, services=("web",))).balance is Balance.MOVED
    assert json.dumps(swarm.spec("web")) == spec


def test_others_are_never_touched_unless_they_are_named(swarm: FakeSwarm) -> None:
    swarm.avail("n04", "drain")
    swarm.add_service("other", 4)
    swarm.avail("n04", "active")
    assert [report.service for report in run(swarm).spreads] == ["web"]
    assert "n04" not in swarm.spread("other")
    assert only(run(swarm, services=("other",))).balance is Balance.MOVED
    assert "n04" in swarm.spread("other")


def test_a_name_that_no_service_has_is_one_clear_error_and_changes_nothing(swarm: FakeSwarm) -> None:
    with pytest.raises(AgentError, match="no service is called nosuch"):
        run(swarm, services=("nosuch", "web"))
    assert swarm.updates == []


def test_a_dry_run_tells_the_plan_and_changes_nothing(swarm: FakeSwarm, capsys: Any) -> None:
    rows = json.dumps([swarm.service_rows, swarm.node_rows, swarm.config_rows])
    report = only(run(swarm, dry_run=True))
    assert (report.balance, report.moves, report.restarted) == (Balance.PLANNED, 3, 0)
    assert report.plan == {"host-02": 3, "host-03": 3, "host-04": 3}
    assert report.after == report.before
    assert json.dumps([swarm.service_rows, swarm.node_rows, swarm.config_rows]) == rows
    assert "##### 5" in capsys.readouterr().err


@settings(max_examples=15)
@given(
    replicas=st.integers(1, 14),
    old=st.integers(1, 3),
    new=st.integers(1, 3),
    others=st.integers(0, 4),
)
def test_fewer_tasks_than_wanted_never_run_and_the_spread_ends_even(
    replicas: int, old: int, new: int, others: int
) -> None:
    swarm = FakeSwarm(managers=1, workers=old)
    swarm.avail("n01", "drain")
    swarm.add_service("other", others)
    swarm.add_service("web", replicas, Labels=dict(OPTED_IN))
    for _ in range(new):
        swarm.add_node()
    spec, planned = swarm.spec("web"), only(run(swarm, dry_run=True)).moves
    result = run(swarm)
    assert result.ok
    assert only(result).restarted == planned
    assert swarm.fewest.get("web", replicas) == replicas
    assert swarm.spec("web") == spec
    counts = [swarm.spread("web").get(node.id, 0) for node in swarm.nodes() if node.availability == "active"]
    assert max(counts) - min(counts) <= 1


def test_many_moves_are_made_in_waves() -> None:
    swarm = uneven(replicas=24)
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, swarm.running("web"))

    report = only(run(swarm, meanwhile(swarm, look)))
    assert (report.moves, report.restarted) == (8, 8)
    assert most == 24 + 5
    assert swarm.fewest["web"] == 24
    assert swarm.spread("web") == {"n02": 8, "n03": 8, "n04": 8}


def test_no_more_moves_are_made_than_allowed_and_the_rest_is_reported(swarm: FakeSwarm) -> None:
    report = only(run(swarm, max_moves=2))
    assert (report.balance, report.moves, report.restarted) == (Balance.MOVED, 2, 2)
    assert report.reason == "1 move is left: max_moves=2 does not allow more"
    assert swarm.spread("web")["n04"] == 2


@pytest.mark.parametrize("dry_run", [True, False])
def test_moves_that_a_service_cannot_use_go_to_others(*, dry_run: bool) -> None:
    swarm = uneven(4)
    swarm.avail("n04", "drain")
    swarm.add_service("whole", 18, Labels={**OPTED_IN, "swarmkeeper.rebalance": "rolling"})
    swarm.add_service("unclear", 18, Labels={**OPTED_IN, "swarmkeeper.rebalance": "later"})
    swarm.avail("n04", "active")
    reports = {report.service: report for report in run(swarm, max_moves=3, dry_run=dry_run).spreads}
    done = Balance.PLANNED if dry_run else Balance.MOVED
    assert (reports["web"].balance, reports["web"].moves) == (done, 1)
    assert (reports["whole"].balance, reports["whole"].moves) == (Balance.LEFT, 6)
    assert reports["whole"].reason == "max_moves=3 does not allow it"
    assert sorted(reports["whole"].plan.values()) == [6, 6, 6]
    assert reports["unclear"].balance is Balance.LEFT
    assert "neither surge nor rolling" in reports["unclear"].reason


def test_what_the_budget_does_not_allow_is_not_begun(swarm: FakeSwarm) -> None:
    result = run(swarm, budget=10)
    assert only(result).balance is Balance.LEFT
    assert "a wave takes about 19 s, 10 s are left" in only(result).reason
    assert swarm.updates == []


def test_an_update_that_no_run_has_time_for_is_not_tried_again_but_explained() -> None:
    pace = {"Parallelism": 1, "Delay": 30 * 10**9, "Order": "start-first"}
    swarm = uneven(replicas=100, UpdateConfig=pace)
    result = run(swarm, mode="rolling")
    assert (only(result).balance, result.wait) == (Balance.LEFT, 0)
    assert only(result).reason == (
        "its update takes about 3200 s, 600 s are left, and no run has more: see its update-delay,"
        " update-parallelism and update-monitor"
    )
    assert swarm.updates == []


@pytest.mark.parametrize("state", ["updating", "paused", "rollback_started", "rollback_paused"])
def test_a_service_in_an_update_of_its_own_is_left(swarm: FakeSwarm, state: str) -> None:
    swarm.service_rows["web"]["UpdateStatus"] = {"State": state}
    result = run(swarm)
    assert only(result).balance is Balance.LEFT
    assert "its own update" in only(result).reason
    assert (result.wait > 0) == ("paused" not in state)
    assert swarm.updates == []
