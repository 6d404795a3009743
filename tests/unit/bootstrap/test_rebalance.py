"""A rebalance against a swarm in memory: fewest moves, never below strength, no trace, whatever happens."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.clock import Clock
from bootstrap.errors import AgentError
from bootstrap.lease import LASTS
from bootstrap.surge import SURGE_LABEL
from bootstrap.swarm import EngineError
from bootstrap.tasks import evacuate, rebalance
from bootstrap.view import MARK_LABEL
from chalicelib.protocol import Arguments, Balance, Fate, Mode, Rebalance, Result, SpreadReport, Subject
from tests.unit.bootstrap.fake_swarm import FakeSwarm, instance

OPT_IN = {"rebalance.on.node.create": "true"}
EFFECTS = ("update_node", "update_service", "create_config", "update_config")


class Killed(BaseException):
    """The agent's process ended here."""


def run(swarm: FakeSwarm, clock: Clock | None = None, budget: float = 0, **asked: Any) -> Result:
    deadline = swarm.time + budget if budget else 0.0
    return rebalance.run(
        swarm, Arguments(deadline=deadline, rebalance=Rebalance(**asked)), clock or swarm.clock
    )


def only(result: Result) -> SpreadReport:
    (report,) = result.spreads
    return report


def meanwhile(swarm: FakeSwarm, act: Callable[[], Any]) -> Clock:
    """A clock with which ``act`` is called after each step of time."""

    def sleep(seconds: float) -> None:
        swarm.sleep(seconds)
        act()

    return replace(swarm.clock, sleep=sleep)


def marked(swarm: FakeSwarm, service: str = "web") -> bool:
    return SURGE_LABEL in swarm.spec(service)["Labels"]


def uneven(replicas: int = 9, **spec: Any) -> FakeSwarm:
    """Three workers, of which the third has just joined: 5/4/0."""
    swarm = FakeSwarm(managers=1, workers=3)
    swarm.avail("n01", "drain")
    swarm.avail("n04", "drain")
    swarm.add_service("web", replicas, **{"Labels": dict(OPT_IN), **spec})
    swarm.avail("n04", "active")
    swarm.updates.clear()
    return swarm


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


def kill(swarm: FakeSwarm, number: int, side: str, budget: float) -> None:
    """Run, and die before or after the numbered effect."""
    effects, dead = itertools.count(), list[bool]()

    def killing(effect: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any, **changes: Any) -> None:
            mine = next(effects) == number
            if dead or (mine and side == "before"):
                dead.append(True)
                raise Killed
            effect(*args, **changes)
            if mine:
                dead.append(True)
                raise Killed

        return call

    originals = {name: getattr(swarm, name) for name in EFFECTS}
    for name, effect in originals.items():
        setattr(swarm, name, killing(effect))
    with pytest.raises(Killed):
        run(swarm, budget=budget)
    for name, effect in originals.items():
        setattr(swarm, name, effect)


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


@settings(max_examples=15, deadline=None)
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
    swarm.add_service("web", replicas, Labels=dict(OPT_IN))
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


def test_no_more_moves_are_made_than_allowed_and_the_rest_is_told(swarm: FakeSwarm) -> None:
    report = only(run(swarm, max_moves=2))
    assert (report.balance, report.moves, report.restarted) == (Balance.MOVED, 2, 2)
    assert report.reason == "1 move is left: max_moves=2 is reached"
    assert swarm.spread("web")["n04"] == 2


def test_new_tasks_that_do_not_come_to_run_are_taken_away_and_none_that_serves(swarm: FakeSwarm) -> None:
    spec = json.dumps(swarm.spec("web"))
    swarm.sick.add("n04")
    swarm.add_service("last", 2, Labels=dict(OPT_IN))
    before = {task.id for task in swarm.of("web") if task.running}
    swarm.fewest.clear()
    result = run(swarm)
    failed, left = sorted(result.spreads, key=lambda one: one.balance.value)
    assert not result.ok
    assert (failed.service, failed.balance) == ("web", Balance.FAILED)
    assert failed.reason == "9 of 12 tasks run after 60 s; its replicas and its spec are as before"
    assert left.service == "last"
    assert swarm.fewest["web"] == 9
    assert {task.id for task in swarm.of("web") if task.running} == before
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


def test_after_the_first_failed_service_no_other_is_begun() -> None:
    swarm = uneven()
    swarm.avail("n04", "drain")
    swarm.add_service("zoo", 4, Labels=dict(OPT_IN))
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


def test_what_the_budget_does_not_allow_is_not_begun(swarm: FakeSwarm) -> None:
    result = run(swarm, budget=10)
    assert only(result).balance is Balance.LEFT
    assert "a wave takes about 19 s, 10 s are left" in only(result).reason
    assert result.wait > 0
    assert swarm.updates == []


@pytest.mark.parametrize("state", ["updating", "paused", "rollback_started", "rollback_paused"])
def test_a_service_in_an_update_of_its_own_is_left(swarm: FakeSwarm, state: str) -> None:
    swarm.service_rows["web"]["UpdateStatus"] = {"State": state}
    result = run(swarm)
    assert only(result).balance is Balance.LEFT
    assert "its own update" in only(result).reason
    assert (result.wait > 0) == ("paused" not in state)
    assert swarm.updates == []


def test_an_unknown_mode_label_leaves_the_service_and_says_so() -> None:
    swarm = uneven(Labels={**OPT_IN, "swarmkeeper.rebalance": "fast"})
    assert only(run(swarm)).reason == "label swarmkeeper.rebalance=fast is neither surge nor rolling"
    assert swarm.updates == []
    assert only(run(swarm, mode="surge")).balance is Balance.MOVED


def test_rolling_restarts_every_task_at_the_services_own_pace() -> None:
    config = {"Parallelism": 3, "Delay": 0, "Order": "start-first", "FailureAction": "rollback"}
    swarm = uneven(UpdateConfig=config, Labels={**OPT_IN, "swarmkeeper.rebalance": "rolling"})
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
            subject = Subject(instance(number), f"10.0.0.{number}")
            results.append(evacuate.run(swarm, Arguments((subject,), swarm.time + 120), swarm.clock))

    run(swarm, meanwhile(swarm, warned))
    for result in results:
        assert result.nodes[0].fate is Fate.SAFE
    assert swarm.fewest["web"] == 9
    assert json.dumps(swarm.spec("web")) == spec
    assert not any(MARK_LABEL in row["Spec"]["Labels"] for row in swarm.service_rows.values())


def test_two_at_once_never_act_at_the_same_time(swarm: FakeSwarm) -> None:
    second = list[Result]()

    def other() -> None:
        if marked(swarm) and not second:
            second.append(Result(task=rebalance.Task.REBALANCE, ok=False))
            second[0] = run(swarm, cooldown=60)

    first = run(swarm, meanwhile(swarm, other))
    assert only(first).balance is Balance.MOVED
    assert second[0].ok
    assert second[0].spreads == ()
    assert second[0].wait > 0
    assert second[0].facts["reason"].startswith("another rebalance is under way, by the agent on host-01")
    assert swarm.updates == ["web", "web"]


def test_a_manual_call_waits_for_the_lease(swarm: FakeSwarm) -> None:
    swarm.create_config("swarmkeeper.rebalance", {"holder": "x", "until": f"{swarm.time + LASTS}"})
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


def test_nodes_that_join_one_after_the_other_cost_one_run(swarm: FakeSwarm) -> None:
    began = swarm.time

    def joins() -> None:
        if swarm.time - began in (5, 12):
            swarm.add_node()

    report = only(run(swarm, meanwhile(swarm, joins), settle=10))
    assert swarm.updates == ["web", "web"]
    assert report.restarted == 5
    assert max(swarm.spread("web").values()) == 2


def test_a_node_that_has_joined_but_is_not_verified_yet_is_waited_for_but_not_for_ever(
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
    update, refusals = swarm.update_service, [3]

    def refused(*args: Any) -> None:
        if refusals[0]:
            refusals[0] -= 1
            raise EngineError("The swarm does not have a leader")
        update(*args)

    swarm.update_service = refused  # type: ignore[method-assign]
    assert only(run(swarm)).balance is Balance.MOVED
    assert swarm.fewest["web"] == 9


def test_a_label_that_no_surge_wrote_stops_nothing() -> None:
    swarm = uneven(Labels={**OPT_IN, SURGE_LABEL: "[]"})
    assert only(run(swarm)).restarted == 3
    assert swarm.spread("web") == {"n02": 3, "n03": 3, "n04": 3}


def test_a_surge_left_by_an_earlier_run_is_ended_even_if_its_service_is_not_asked_for(
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
