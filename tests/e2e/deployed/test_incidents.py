"""What people see and steer: drills, pauses, fleets that fail, work that is given up and driven again."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.events.run_command import ENDED, IN_FLIGHT
from tests.e2e.support import reset
from tests.e2e.support.managers import living
from tests.lab import lifecycle
from tests.lab.aws import events, lab_api, mailbox
from tests.lab.aws.deploy import STAGE
from tests.lab.aws.event_samples import (
    deliver,
    drill_event,
    genuine_event,
    lifecycle_actions,
    open_lifecycle_action,
    wait_for_reason,
)
from tests.lab.endpoint.instances import put_unmanaged
from tests.lab.observe import node_life
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine, services


@pytest.fixture(scope="module")
def lab(deployed: Lab) -> Lab:
    services.create(deployed, "web", "web:1", 4)
    services.wait_running(deployed)
    return deployed


def record(lab: Lab, host: Host) -> node_life.Record:
    return node_life.records(lab)[host.instance]


DRILLS: list[tuple[str, dict[str, str]]] = [
    ("spot_interruption_warning", {}),
    ("spot_fleet_instance_termination_notified", {}),
    ("ec2_fleet_instance_termination_notified", {}),
    ("rebalance_recommendation", {}),
    ("asg_terminate_lifecycle", {}),
    ("instance_terminated", {"state": "shutting-down"}),
]


def test_a_drill_of_any_kind_ends_as_it_began(lab: Lab) -> None:
    manager = living(lab)[-1]
    hosts = [manager, *reset.stock(lab, len(DRILLS) - 1)[: len(DRILLS) - 1]]
    deliver(lab, drill_event(DRILLS[0][0], manager))
    wait_for_reason(
        lab, "on_spot_interruption_warning", "a drill, but this cluster allows none", manager.instance
    )
    assert record(lab, manager)["state"] == "in-service"
    together = node_life.call(lab, "configure", drills=True, out_share=1.0)  # all from the next tick on
    assert together == {"done": ["set: drills=True, out_share=1.0"]}
    for host in hosts:  # a drill ends nothing; were this heard late, it would end the next one
        for payload in ("instance_terminated", "spot_fleet_instance_terminated"):
            (function,) = deliver(lab, drill_event(payload, host))
            wait_for_reason(lab, function, "a drill: nothing to do", host.instance)
    for host, (payload, detail) in zip(hosts, DRILLS, strict=True):
        deliver(lab, drill_event(payload, host, detail))
    emptied: set[str] = set()

    def all_emptied() -> bool:
        return sum(rehearses(lab, host, emptied) for host in hosts) == len(hosts)

    engine.wait_until(all_emptied, "all are emptied", seconds=300)
    for host in hosts:
        deliver(lab, drill_event("instance_terminated", host))  # and ends before its time
    node_life.tick_until(lab, tuple(hosts), "in-service", 180)
    assert node_life.availability(lab, *hosts) == ["active"] * len(hosts)
    assert {record(lab, host).get("drill") for host in hosts} == {None}
    assert len(node_life.managers(lab)) == 3
    node_life.call(lab, "configure", drills=False, out_share=0.3334)


def rehearses(lab: Lab, host: Host, emptied: set[str]) -> bool:
    """Whether it was ever seen empty: the notice of some is so short that they are back before the others."""
    if host.instance not in emptied and record(lab, host)["state"] == "evacuated":
        shown = node_life.availability(lab, host), node_life.tasks_on(lab, host)
        found = record(lab, host)
        if found["state"] == "evacuated":  # it was not given back while the swarm was asked
            assert (found["drill"], *shown) == (True, ["drain"], 0)
            emptied.add(host.instance)
    return host.instance in emptied


def test_a_paused_cluster_records_and_catches_up_when_it_is_resumed(lab: Lab) -> None:
    worker = reset.stock(lab, 2)[0]
    node_life.call(lab, "pause")
    try:
        dry = node_life.call(lab, "evacuate", instance=worker.instance, dry_run=True)
        assert (dry["dry_run"], record(lab, worker)["state"]) == (True, "in-service")
        node_life.call(lab, "evacuate", instance=worker.instance, give_back=10, seconds=30)
        node_life.tick(lab)
        wait_for_reason(lab, "tick", "paused: [1-9] wait")  # what was under way before may, too
        assert record(lab, worker)["state"] == "evacuating"
        assert node_life.availability(lab, worker) == ["active"]
    finally:
        node_life.call(lab, "resume")
    node_life.wait_for_state(lab, [worker], "evacuated")
    node_life.tick_until(lab, (worker,), "in-service", 180)


FLEETS = [
    ("spot_fleet_state_change", "on_fleet_noted", "noted: sfr-.*: cancelled_running"),
    ("ec2_fleet_state_change", "on_fleet_noted", "noted: fleet-.*: deleted_running"),
    ("spot_fleet_request_change", "on_fleet_noted", "noted: sfr-.*: active, SpotInstanceRequestId"),
    ("ec2_fleet_request_change", "on_fleet_noted", "noted: fleet-.*: active, SpotInstanceRequestId"),
    ("spot_fleet_information", "on_fleet_noted", "a fleet has failed: sfr-.*: fleetProgressHalted"),
    ("ec2_fleet_information", "on_fleet_noted", "a fleet has failed: fleet-.*: fleetProgressHalted"),
    ("spot_fleet_error", "on_fleet_failed", "a fleet has failed: a fleet that .* not name: allLaunchSpecs"),
    ("ec2_fleet_error", "on_fleet_failed", "a fleet has failed: fleet-.*: spotInstanceCountLimitExceeded"),
]


def test_what_a_fleet_says_is_noted_and_people_are_told_once_of_what_it_cannot_do(lab: Lab) -> None:
    before = {host.instance: record(lab, host)["version"] for host in node_life.workers_in_service(lab)}
    told = len(mailbox.letters(lab))
    foreign = [function for payload, *_ in FLEETS[:6] for function in deliver(lab, genuine_event(payload))]
    assert foreign == ["on_fleet_noted"] * 6
    for number, tag in enumerate(("aws:ec2:fleet-id", "aws:ec2spot:fleet-request-id")):
        fleet = "sfr" if "spot" in tag else "fleet"
        tags = {"swarmkeeper:cluster": lab.cluster, "swarmkeeper:stage": STAGE}
        tags[tag] = f"{fleet}-598fb973-87b7-422d-be4d-6b0809bfff0a"
        over = replace(lab.hosts[-1], instance=f"i-0c0ffee0c0ffee0c{number}", state="terminated")
        put_unmanaged(lab, over, tags)
    engine.wait_until(lambda: ticked_until_known(lab), "the fleets are known", pause=2)
    for payload, function, _ in FLEETS:
        for _ in range(2):
            assert deliver(lab, genuine_event(payload)) == [function]
    for _, function, reason in FLEETS:
        wait_for_reason(lab, function, reason)
    engine.wait_until(lambda: len(mailbox.letters(lab)) >= told + 4, "people are told")
    time.sleep(3)  # no further letter is to come
    assert len(mailbox.letters(lab)) == told + 4, "each failure once, and none of a fleet that is not ours"
    assert {
        host.instance: record(lab, host)["version"] for host in node_life.workers_in_service(lab)
    } == before


def ticked_until_known(lab: Lab) -> bool:
    node_life.tick(lab)
    return {f"i-0c0ffee0c0ffee0c{number}" for number in range(2)} <= set(node_life.records(lab))


def test_what_fails_for_good_is_a_dead_letter_told_once_and_driven_again(lab: Lab) -> None:
    """The join of two hosts fails for real; that it has failed eleven times before is written by the test."""
    hosts = node_life.without_state_changes(lab, lambda: [lifecycle.add(lab.name) for _ in range(2)])
    good = settings(hosts[1]).read_text()
    for host in hosts:
        settings(host).write_text("{ not JSON")
    open_lifecycle_action(
        lab, genuine_event("asg_launch_lifecycle", hosts[0], {"LifecycleActionToken": str(uuid.uuid4())})
    )
    deliver(lab, genuine_event("instance_running", hosts[1]))
    node_life.wait_for_state(lab, hosts, "joining")
    engine.wait_until(lambda: all(tried(lab, host) for host in hosts), "both joins have failed", seconds=180)
    for host in hosts:
        node_life.set_attempts(lab, host, attempts=11)

    def letters() -> list[tuple[str, str]]:
        node_life.tick(lab)
        found = mailbox.letters(lab)
        return sorted((one.subject, one.text) for one in found if "join was given up" in one.text)

    engine.wait_until(lambda: len(letters()) == 2, "people are told of both", pause=3)
    for host, (subject, text) in zip(sorted(hosts, key=lambda one: one.instance), letters(), strict=True):
        assert subject == f"Swarmkeeper {lab.cluster}: {host.instance}"
        assert "after 12 attempts: /etc/docker/daemon.json cannot be read" in text
        assert "the instance runs, but is no node of the swarm" in text
        assert "chalice invoke -n redrive" in text
    engine.wait_until(
        lambda: lifecycle_actions(lab, hosts[0])["launch"][0] == "ABANDON", "the group gives it up"
    )
    open_letters = node_life.call(lab, "status")["clusters"][lab.cluster]["incidents"]
    assert {host.instance for host in hosts} <= {row["instance"] for row in open_letters if row["record"]}
    lifecycle.kill(lab.name, hosts[0].instance)
    settings(hosts[1]).write_text(good)
    said = node_life.call(lab, "redrive", instance=hosts[1].instance)
    assert f"1 to do again: {hosts[1].instance}" in said["done"][0]
    node_life.wait_for_state(lab, [hosts[1]], "in-service")
    node_life.wait_for_state(lab, [hosts[0]], "gone")
    assert len(letters()) == 2, "once for each"


def settings(host: Host) -> Path:
    return Path(f"/proc/{host.pid}/root/etc/docker/daemon.json")


def tried(lab: Lab, host: Host) -> bool:
    found = record(lab, host)
    tries = int(found.get("attempts", 0))
    return tries >= 4 and not found.get("command") and "daemon.json" in found["reason"]


def test_every_end_of_an_invocation_is_heard_and_the_commands_own_event_is_not(lab: Lab) -> None:
    if not lab_api.commands(lab, "evacuate"):
        worker = reset.stock(lab, 2)[0]
        lab_api.warn(lab, worker)
        node_life.wait_for_state(lab, [worker], "evacuated")
    sample = genuine_event("ssm_invocation_failed", lab.hosts[0])
    for status, heard in [*((one, True) for one in ENDED), *((one, False) for one in IN_FLIGHT)]:
        event = sample | {"detail": sample["detail"] | {"status": status}}
        assert deliver(lab, event) == (["on_command_finished"] if heard else [])
    orders = {row["order"]["command"]: row["order"]["parameters"] for row in lab_api.commands(lab)}
    sent = {
        "CommandId": next(iter(orders)),
        "DocumentName": "AWS-RunShellScript",
        "ExpiresAfter": time.time(),
    }
    whole = {**sent, "Parameters": orders[sent["CommandId"]], "RequestedDateTime": time.time()}
    assert deliver(lab, events.command_status(whole, "Success", time.time())) == []
    ours = wait_for_reason(lab, "on_command_finished", "Success: i-.* evacuated: safe")
    assert "evacuated" in ours


def test_a_bad_call_is_answered_with_one_line(lab: Lab) -> None:
    answer = node_life.call(lab, "recover", instance=lab.hosts[0].instance, confirm="yes")
    assert list(answer) == ["error"]
    assert answer["error"].startswith(f"confirm must be the cluster's name, '{lab.cluster}'")
