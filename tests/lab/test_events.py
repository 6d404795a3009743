"""Every event with its genuine payload, through the deployed rules, on a real swarm."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import aws, engine, life
from tests.lab.conftest import running
from tests.lab.events import stamp
from tests.lab.state import Host, Lab

NAME = "events"
PAYLOADS = Path(__file__).parent.parent / "unit" / "events"
GENUINE = "i-0123456789abcdef0"
DRILL = "swarmkeeper.drill"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for lab in running(NAME, managers=3, workers=3):
        life.ticked(lab, lab.hosts, "in-service", 240)
        yield lab


def deliver(lab: Lab, name: str, host: Host | None = None, **changes: Any) -> list[str]:
    """The genuine payload, now and for this host; ``changes`` replace fields of the envelope."""
    text = (PAYLOADS / f"{name}.json").read_text()
    payload: dict[str, Any] = json.loads(text.replace(GENUINE, host.instance) if host else text)
    return aws.deliver(lab, payload | {"time": stamp(time.time()), "resources": []} | changes)


def state(lab: Lab, host: Host) -> str:
    return str(life.records(lab)[host.instance]["state"])


def reaches(lab: Lab, host: Host, wanted: str, seconds: float = 60) -> None:
    engine.wait_until(lambda: state(lab, host) == wanted, seconds, f"{host.name}: {wanted}")


def availability(lab: Lab, host: Host) -> str:
    nodes = engine.nodes(engine.manager(lab))
    return next(node.availability for node in nodes if node.address == host.address)


def test_each_payload_is_taken_by_its_own_function(lab: Lab) -> None:
    wanted = {
        "rebalance_recommendation": "on_rebalance_recommended",
        "instance_running": "on_instance_state_changed",
        "spot_request_fulfillment": "on_spot_request_fulfilled",
        "spot_fleet_instance_launched": "on_fleet_instance_changed",
        "ec2_fleet_instance_launched": "on_fleet_instance_changed",
        "spot_fleet_state_change": "on_fleet_noted",
        "ec2_fleet_request_change": "on_fleet_noted",
        "ec2_fleet_information": "on_fleet_noted",
    }
    worker = lab.hosts[-1]
    for name, function in wanted.items():
        assert [found.rpartition("-")[2] for found in deliver(lab, name, worker)] == [function]
    time.sleep(5)
    assert {state(lab, host) for host in lab.hosts} == {"in-service"}


def test_a_recommendation_is_noted(lab: Lab) -> None:
    worker = lab.hosts[-1]
    engine.wait_until(
        lambda: life.records(lab)[worker.instance].get("hinted"), 30, "the recommendation is noted"
    )
    assert state(lab, worker) == "in-service"


def test_a_fleet_error_is_an_incident_that_people_are_told_of(lab: Lab) -> None:
    deliver(lab, "spot_fleet_error")

    def told() -> bool:
        incidents = [item for item in life.items(lab) if item["item"].startswith("incident#fleet")]
        return [item.get("told") for item in incidents] == [True]

    engine.wait_until(told, 30, "the topic took the message")


def test_a_drill_of_a_manager_and_a_worker_ends_as_it_began(lab: Lab) -> None:
    drilled = (lab.hosts[2], lab.hosts[-1])
    deliver(lab, "drill_interruption_warning", drilled[0])
    time.sleep(3)
    assert state(lab, drilled[0]) == "in-service", "drills are off by default"
    assert life.call(lab, "configure", drills=True) == {"done": ["set: drills=True"]}
    for host in drilled:
        deliver(lab, "instance_terminated", host, source=DRILL)  # a drill removes nothing
        deliver(lab, "drill_interruption_warning", host)
    for host in drilled:
        reaches(lab, host, "evacuated")
        assert life.records(lab)[host.instance]["drill"] is True
        assert availability(lab, host) == "drain"
    for host in drilled:
        deliver(lab, "instance_terminated", host, source=DRILL)  # and ends before its time
    life.ticked(lab, drilled, "in-service", 120)
    assert {availability(lab, host) for host in drilled} == {"active"}
    assert len(life.managers(lab)) == 3


def test_a_scheduled_change_evacuates_ahead_and_is_called_off(lab: Lab) -> None:
    worker = lab.hosts[-2]
    payload = json.loads((PAYLOADS / "health_scheduled_change.json").read_text())
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 1800))
    affected = [{"entityValue": worker.instance}, {"entityValue": GENUINE}]
    detail = payload["detail"] | {"startTime": soon, "affectedEntities": affected}
    deliver(lab, "health_scheduled_change", detail=detail)
    reaches(lab, worker, "evacuated")
    deliver(lab, "health_scheduled_change", detail=detail | {"statusCode": "closed"})
    life.ticked(lab, (worker,), "in-service", 60)
    assert availability(lab, worker) == "active"


def test_a_paused_cluster_records_and_catches_up_when_it_is_resumed(lab: Lab) -> None:
    worker = lab.hosts[-3]
    life.call(lab, "pause")
    dry = life.call(lab, "evacuate", instance=worker.instance, dry_run=True)
    assert (dry["dry_run"], state(lab, worker)) == (True, "in-service")
    life.call(lab, "evacuate", instance=worker.instance, give_back=1, seconds=20)
    life.tick(lab)
    time.sleep(5)
    assert (state(lab, worker), availability(lab, worker)) == ("evacuating", "active")
    life.call(lab, "resume")
    reaches(lab, worker, "evacuated")
    life.ticked(lab, (worker,), "in-service", 90)


def test_a_bad_call_is_answered_with_one_line(lab: Lab) -> None:
    answer = life.call(lab, "recover", instance=lab.hosts[0].instance, confirm="yes")
    assert list(answer) == ["error"]
    assert answer["error"].startswith(f"confirm must be the cluster's name, '{lab.cluster}'")


def test_a_fleets_notice_and_end_evacuate_and_remove(lab: Lab) -> None:
    worker = lab.hosts[-1]
    deliver(lab, "spot_fleet_instance_termination_notified", worker)
    reaches(lab, worker, "evacuated")
    aws.ask(lab, "POST", "/_lab/tick")
    assert state(lab, worker) == "evacuated"
