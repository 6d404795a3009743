"""A rebalance whose looks at the swarm fall at odd moments: no wrong verdict, no dip."""

from __future__ import annotations

import itertools

from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL
from bootstrap.engine.service import SURGE_LABEL
from bootstrap.engine.task import Task
from bootstrap.specs.surge import raise_replicas
from chalicelib.protocol.messages import Balance, Result
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm
from tests.unit.bootstrap.support.rebalances import OPTED_IN, marked, meanwhile, run, uneven

ROLLING = {**OPTED_IN, "swarmkeeper.rebalance": "rolling"}


class Hurried(FakeSwarm):
    """A rolling update of ``web`` ends just after its tasks were listed, once it took a minute."""

    hurry = 0.0  # when, 0 for never

    def tasks(self, **filters: list[str]) -> tuple[Task, ...]:
        found = super().tasks(**filters)
        if filters and self.hurry and self.time > self.hurry:
            self.hurry = 0.0
            while self.service_rows["web"]["UpdateStatus"]["State"] == "updating":
                self.step()
        return found


def of(result: Result, service: str) -> tuple[Balance, str]:
    return next((one.balance, one.reason) for one in result.spreads if one.service == service)


def test_an_update_that_ends_during_a_poll_leaves_no_wrong_outcome_on_others() -> None:
    swarm = Hurried(managers=1, workers=3)
    swarm.avail("n01", "drain")
    swarm.add_service("balanced", 3, Labels=dict(OPTED_IN))
    swarm.avail("n04", "drain")
    swarm.add_service("web", 40, Labels=ROLLING)
    swarm.avail("n04", "active")
    swarm.settle()
    swarm.hurry = swarm.time + 70
    result = run(swarm, services=("web", "balanced"))
    assert not swarm.hurry
    assert of(result, "web")[0] is Balance.MOVED
    assert "tasks run: Swarm is at work" not in of(result, "balanced")[1]


def test_a_status_that_a_user_took_away_does_not_hold_the_run_up_until_its_deadline() -> None:
    swarm = uneven(Labels=ROLLING)
    began = swarm.time

    def labelled() -> None:
        status = swarm.service_rows["web"].get("UpdateStatus", {})
        if status.get("State") == "completed":
            swarm.service_rows["web"].pop("UpdateStatus")

    result = run(swarm, meanwhile(swarm, labelled), budget=600)
    assert of(result, "web")[0] is Balance.MOVED
    assert swarm.time < began + 150


def test_a_surge_that_cannot_be_ended_is_no_end_of_the_budget_for_others() -> None:
    swarm = uneven()
    swarm.add_service("last", 3, Labels=dict(OPTED_IN))
    service = next(one for one in swarm.services() if one.id == "web")
    swarm.update_service(service, raise_replicas(service, (3,), swarm.time, swarm.time + 60))
    swarm.service_rows["web"]["UpdateStatus"] = {"State": "paused"}
    result = run(swarm)
    assert of(result, "web")[0] is Balance.FAILED
    assert "resume it or roll it back" in of(result, "web")[1]
    assert of(result, "last") == (Balance.LEFT, "stopped at the first failed service: web")
    assert result.wait > 0, "the mark is to be taken away once it can be"
    assert SURGE_LABEL in swarm.spec("web")["Labels"]


def test_a_deadline_left_on_a_node_that_is_active_again_stops_nothing() -> None:
    swarm = uneven()
    swarm.node_rows["n02"]["Spec"]["Labels"] = {EVACUATION_DEADLINE_LABEL: f"{swarm.time - 3600:.0f}"}
    assert of(run(swarm), "web")[0] is Balance.MOVED
    assert swarm.spread("web") == {"n02": 3, "n03": 3, "n04": 3}


def test_nodes_that_join_in_the_middle_are_no_failure() -> None:
    swarm = uneven(replicas=24)

    def joined() -> None:
        if marked(swarm) and len(swarm.node_rows) == 4:
            swarm.add_node()
            swarm.add_node()

    result = run(swarm, meanwhile(swarm, joined))
    assert of(result, "web") == (Balance.MOVED, "balanced: 5 on 4 nodes, 4 on 1 node")
    assert swarm.fewest["web"] == 24


def test_a_plan_waits_for_nodes_that_an_election_has_made_unknown() -> None:
    swarm = uneven()
    ticks = itertools.count()
    for node in swarm.node_rows.values():
        node["Status"]["State"] = "unknown"

    def heard() -> None:
        if next(ticks) == 6:
            for node in swarm.node_rows.values():
                node["Status"]["State"] = "ready"

    assert of(run(swarm, meanwhile(swarm, heard)), "web")[0] is Balance.MOVED
    assert swarm.spread("web") == {"n02": 3, "n03": 3, "n04": 3}


def test_a_node_that_stays_unknown_is_not_waited_for_for_ever() -> None:
    swarm = uneven()
    swarm.node_rows["n03"]["Status"]["State"] = "unknown"
    began = swarm.time
    assert of(run(swarm), "web")[0] is Balance.MOVED
    assert swarm.time < began + 200
