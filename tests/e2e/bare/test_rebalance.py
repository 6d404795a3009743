"""Rebalances by the real agent on a real swarm: fewest moves, never below strength, no trace."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound
from docker.types import UpdateConfig

from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL
from bootstrap.engine.service import EXCLUSION_LABEL, SURGE_LABEL
from bootstrap.rebalancing.lease import LEASE_NAME as LEASE
from chalicelib.protocol.messages import AgentTask, Balance, Fate, Rebalance, SpreadReport
from tests.lab.observe.load import start_load
from tests.lab.observe.watch import Verdict, Watch
from tests.lab.state import Lab
from tests.lab.swarm import engine, formation, services, uneven_services
from tests.lab.swarm.agent import Agent, Said, install
from tests.lab.swarm.uneven_services import set_availability, workers

WEB, STRENGTH = "web", 9
SICK = ["/bin/sh", "-c", "case $(hostname) in *{}) exec /idle;; esac; exec /serve"]


@pytest.fixture(scope="module")
def lab(bare: Lab, zipapp: Path) -> Lab:
    install(bare, zipapp)
    return bare


@pytest.fixture(autouse=True)
def fresh(lab: Lab) -> None:
    """Each test begins with all nodes in service, and without services or lease."""
    client = engine.manager(lab)
    for service in client.services.list():
        service.remove()
    for node in engine.nodes(engine.manager(lab)):
        engine.change_node(lab, node.id, in_service)
    forget_lease(lab)
    formation.wait_ready(lab, len(lab.hosts))


def in_service(spec: dict[str, Any]) -> dict[str, Any]:
    labels = {key: value for key, value in spec.get("Labels", {}).items() if key != EVACUATION_DEADLINE_LABEL}
    return {"Labels": labels, "Availability": "active"}


def in_zone(zone: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda spec: {"Labels": {**spec.get("Labels", {}), "zone": zone}}


def forget_lease(lab: Lab) -> None:
    """Do at once to the lease of a dead holder what the time does."""
    try:
        engine.manager(lab).api.remove_config(LEASE)
    except NotFound:
        return


def five_and_four(lab: Lab, image: str = "web:1", **settings: Any) -> None:
    """Nine tasks on the first two workers, five and four; the third has just become active."""
    set_availability(lab, workers(lab)[2], "drain")
    given = {"labels": {"rebalance.on.node.create": "true"}, **settings}
    services.create(lab, WEB, image, STRENGTH, constraints=["node.role==worker"], **given)
    services.wait_running(lab)
    set_availability(lab, workers(lab)[2], "active")


def agent(lab: Lab, notice: float = 120.0, **asked: Any) -> Agent:
    return Agent(lab.hosts[0], AgentTask.REBALANCE, notice=notice, rebalance=Rebalance(**asked))


def rebalance(lab: Lab, notice: float = 120.0, **asked: Any) -> Said:
    return agent(lab, notice, **asked).wait()


def only(said: Said) -> SpreadReport:
    (report,) = said.result.spreads
    return report


counts, spec = (
    partial(uneven_services.count_tasks, service=WEB),
    partial(uneven_services.dump_spec, service=WEB),
)


@dataclass
class Seen:
    """What was seen of the service meanwhile."""

    verdict: Verdict | None = None

    @property
    def told(self) -> tuple[int, int]:
        """The fewest that ran, and how many were started."""
        assert self.verdict
        return self.verdict.fewest, self.verdict.started


@contextmanager
def watching(lab: Lab) -> Iterator[Seen]:
    seen, watch = Seen(), Watch(lab)
    yield seen
    watch.wait_for_next_poll()
    watch.stop()
    (seen.verdict,) = watch.verdicts()


def test_the_fewest_tasks_move_under_load_and_no_request_fails(lab: Lab, tmp_path: Path) -> None:
    five_and_four(lab)
    before = spec(lab)
    load = start_load(lab, [WEB], 20, tmp_path / "load.jsonl")
    with watching(lab) as seen:
        said = rebalance(lab)
        time.sleep(2)  # no task is to stop and no request to fail afterwards either
    answers = load.stop()
    report = only(said)
    assert (said.status, report.balance, report.moves, report.restarted) == (0, Balance.MOVED, 3, 3)
    assert sorted(report.before.values()) == [4, 5]
    assert list(report.after.values()) == list(report.plan.values()) == counts(lab) == [3, 3, 3]
    assert seen.told == (STRENGTH, 3)
    assert spec(lab) == before
    assert [answer for answer in answers if not answer.ok] == []
    assert len(answers) > 50
    assert said.updates(WEB) == 2


def test_a_balanced_service_is_not_touched_and_a_dry_run_changes_nothing(lab: Lab) -> None:
    five_and_four(lab)
    before = spec(lab)
    planned = rebalance(lab, dry_run=True)
    assert (only(planned).balance, only(planned).moves) == (Balance.PLANNED, 3)
    assert "##### 5" in planned.told
    assert (spec(lab), counts(lab).count(0)) == (before, 1)
    assert only(rebalance(lab)).balance is Balance.MOVED
    with watching(lab) as seen:
        said = rebalance(lab)
    assert (only(said).balance, said.updates(WEB)) == (Balance.BALANCED, 0)
    assert seen.told == (STRENGTH, 0)


@pytest.mark.parametrize("running", [STRENGTH, STRENGTH + 3])
def test_killed_in_the_middle_of_a_surge_and_run_again_it_ends_the_same(lab: Lab, running: int) -> None:
    five_and_four(lab)
    before = spec(lab)
    with watching(lab) as seen:
        first = agent(lab)
        engine.wait_until(
            lambda: SURGE_LABEL in spec(lab) and sum(counts(lab)) >= running,
            f"of the surge {running} run",
        )
        first.kill()
        assert SURGE_LABEL in spec(lab)
        forget_lease(lab)
        said = rebalance(lab)
    assert said.status == 0
    assert seen.told == (STRENGTH, 3)
    assert (counts(lab), spec(lab)) == ([3, 3, 3], before)


def test_an_empty_node_in_one_of_two_zones_is_filled_as_planned(lab: Lab) -> None:
    manager, *other_managers = (host for host in lab.hosts if host.role == "manager")
    for host in other_managers:
        set_availability(lab, host, "drain")
    hosts = [manager, *workers(lab)]
    for host, zone in zip(hosts, "aabb", strict=True):
        engine.change_node(lab, formation.node_of(lab, host).id, in_zone(zone))
    set_availability(lab, hosts[3], "drain")
    zones = {"preferences": [("spread", "node.labels.zone")], "maxreplicas": 4}
    services.create(lab, WEB, "web:1", 8, labels={"rebalance.on.node.create": "true"}, **zones)
    services.wait_running(lab)
    set_availability(lab, hosts[3], "active")
    before = spec(lab)
    with watching(lab) as seen:
        said = rebalance(lab)
    report = only(said)
    assert (said.status, report.balance) == (0, Balance.MOVED)
    assert sorted(report.before.values()) == [2, 2, 4]
    assert report.after == report.plan == dict.fromkeys(report.plan, 2)
    assert seen.told == (8, report.moves)
    assert spec(lab) == before


def test_a_users_own_scale_wins(lab: Lab) -> None:
    five_and_four(lab, "checked:1")
    running = agent(lab)
    engine.wait_until(lambda: SURGE_LABEL in spec(lab), "the surge is marked")
    engine.wait_until(lambda: uneven_services.scale(lab, WEB, 10), "no update of the agent comes first")
    said = running.wait()
    assert said.status == 0
    assert json.loads(spec(lab))["Mode"]["Replicated"]["Replicas"] == 10
    assert SURGE_LABEL not in spec(lab)
    assert sorted(counts(lab)) == [3, 3, 4]


def test_rolling_restarts_all_at_the_services_own_pace(lab: Lab) -> None:
    pace = UpdateConfig(parallelism=3, delay=500_000_000, order="start-first")
    five_and_four(lab, update_config=pace)
    with watching(lab) as seen:
        said = rebalance(lab, mode="rolling")
    report = only(said)
    assert (said.status, report.balance, report.restarted) == (0, Balance.MOVED, 9)
    assert seen.told == (STRENGTH, 9)
    assert min(counts(lab)) > 0
    assert "the first forced update restarts 3 tasks at a time" in said.told
    update = json.loads(spec(lab))["UpdateConfig"]
    assert (update["Parallelism"], update["Delay"], update["Order"]) == (3, 500_000_000, "start-first")


def test_new_tasks_that_do_not_come_to_run_are_taken_away_and_none_that_serves(lab: Lab) -> None:
    new, began = workers(lab)[2].name, time.monotonic()
    five_and_four(lab, "checked:1", command=[word.format(new[-3:]) for word in SICK])
    slow = time.monotonic() - began  # the longer a start takes on a busy machine, the more a wave needs
    before = spec(lab)
    with watching(lab) as seen:
        said = rebalance(lab, notice=max(32.0, 25.0 + slow))
    assert (said.status, only(said).balance) == (1, Balance.FAILED)
    assert seen.told == (STRENGTH, 0)
    assert (sorted(counts(lab)), spec(lab)) == ([0, 4, 5], before)


def test_two_at_once_never_act_at_the_same_time(lab: Lab) -> None:
    five_and_four(lab, "checked:1", env=["WARM_UP=8"])
    with watching(lab) as seen:
        first = agent(lab)
        engine.wait_until(lambda: SURGE_LABEL in spec(lab), "the surge is marked")
        second = rebalance(lab, cooldown=120)
        third = rebalance(lab)
        done = first.wait()
    assert second.result.spreads == ()
    assert second.result.wait > 0
    assert "another rebalance is under way" in second.told
    assert only(done).balance is Balance.MOVED
    assert only(third).balance is Balance.BALANCED
    assert seen.told == (STRENGTH, 3)
    fourth = rebalance(lab, cooldown=120)
    assert 0 < fourth.result.wait <= 120


def test_an_evacuation_during_a_surge_has_the_right_of_way(lab: Lab) -> None:
    five_and_four(lab, "checked:1")
    before, doomed = spec(lab), workers(lab)[0]
    with watching(lab) as seen:
        moving = agent(lab)
        engine.wait_until(lambda: SURGE_LABEL in spec(lab), "the surge is marked")
        evacuated = Agent(lab.hosts[0], AgentTask.EVACUATE, doomed).wait()
        said = moving.wait()
    assert evacuated.result.nodes[0].fate is Fate.SAFE
    assert said.status == 0
    assert seen.verdict
    assert seen.verdict.fewest == STRENGTH
    assert spec(lab) == before
    assert EXCLUSION_LABEL not in before
    assert counts(lab)[0] == 0
    assert sum(counts(lab)) == STRENGTH
