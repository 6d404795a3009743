"""Every row of EC2's, Auto Scaling's and Health's events, genuine, through the deployed rules, on real hosts.

Each table says for a payload: the handler that takes it, and the reason that it gives in its log; the test
below it, what records and swarm then show.
    LAUNCHES   instance running, fleets' launched, launch hook; request fulfilled, pending; heartbeat, ABANDON
    policies   recommendations: ignored, noted, heeded and given back
    DOOMS      warnings (terminate, stop, hibernate), fleets' termination_notified, stopping, shutting-down,
               terminate hook; Health's upcoming and closed
    ENDS       instance terminated and stopped, fleets' terminated
Fleets' own states and failures, drills, Run Command's results: test_incidents.py. The schedule, which
finishes what no event did: test_loop.py. In the end all events come again, and for strangers: in vain.
"""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.support import reset
from tests.lab import lifecycle, state
from tests.lab.aws import events, lab_api
from tests.lab.aws.event_samples import (
    STRANGER,
    deliver,
    genuine_event,
    lifecycle_actions,
    open_lifecycle_action,
    wait_for_reason,
)
from tests.lab.faults import control
from tests.lab.faults.armed_faults import Kind
from tests.lab.observe import node_life
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine, services

STATE_CHANGE = "EC2 Instance State-change Notification"
RETIREMENT = "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED"
Sent = list[tuple[events.Event, list[str]]]


@pytest.fixture(scope="module")
def lab(deployed: Lab) -> Lab:
    services.create(deployed, "web", "web:1", 4)
    services.wait_running(deployed)
    return deployed


@pytest.fixture(scope="module")
def sent() -> Sent:
    """Every event that a test has sent about a host, and who took it: to be sent once more in the end."""
    return []


def send(lab: Lab, sent: Sent, event: events.Event) -> list[str]:
    functions = deliver(lab, event)
    sent.append((event, functions))
    return functions


def record(lab: Lab, host: Host) -> node_life.Record:
    return node_life.records(lab)[host.instance]


RUNS = "the instance is running, the node is "
LAUNCHES = [
    ("instance_running", "on_instance_state_changed", RUNS),
    ("spot_fleet_instance_launched", "on_fleet_instance_changed", RUNS),
    ("ec2_fleet_instance_launched", "on_fleet_instance_changed", RUNS),
    ("asg_launch_lifecycle", "on_launch_held", "faas-workers waits for the node, which is "),
]


def test_whatever_tells_of_a_launch_makes_it_an_active_labelled_node(lab: Lab, sent: Sent) -> None:
    hosts = node_life.without_state_changes(lab, lambda: [lifecycle.add(lab.name) for _ in LAUNCHES])
    assert deliver(lab, genuine_event("instance_running", hosts[0], {"state": "pending"})) == [], (
        "not of use yet"
    )
    for host, (payload, function, _) in zip(hosts, LAUNCHES, strict=True):
        if function == "on_launch_held":
            open_lifecycle_action(lab, genuine_event(payload, host))
        else:
            assert send(lab, sent, genuine_event(payload, host)) == [function]
    node_life.wait_for_state(lab, hosts, "in-service")
    for host, (payload, function, reason) in zip(hosts, LAUNCHES, strict=True):
        if (
            function != "on_launch_held"
        ):  # the discovery of one has found all, and the other handlers did not wait
            deliver(lab, genuine_event(payload, host))
        wait_for_reason(lab, function, reason, host.instance)
        node = node_life.node_of(lab, host)
        assert node is not None
        assert (node.role, node.availability) == ("worker", "active")
    engine.wait_until(
        lambda: lifecycle_actions(lab, hosts[-1]) == {"launch": ("CONTINUE", 0)}, "the group goes on"
    )
    assert send(lab, sent, genuine_event("spot_request_fulfillment", hosts[0])) == [
        "on_spot_request_fulfilled"
    ]
    wait_for_reason(lab, "on_spot_request_fulfilled", "a Spot request has its instance", hosts[0].instance)


def test_a_hook_whose_event_is_lost_is_found_in_its_group_by_the_tick(lab: Lab) -> None:
    host = node_life.workers_in_service(lab)[0]
    event = genuine_event("asg_launch_lifecycle", host, {"LifecycleActionToken": str(uuid.uuid4())})
    control.arm(lab, Kind.DROP, event["detail-type"], left=1)
    open_lifecycle_action(lab, event)
    assert lifecycle_actions(lab, host)["launch"] == ("", 0)
    node_life.tick(lab)
    engine.wait_until(lambda: lifecycle_actions(lab, host)["launch"] == ("CONTINUE", 0), "the group goes on")


def test_a_group_waits_by_heartbeats_and_never_for_a_node_that_does_not_join(lab: Lab) -> None:
    lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 600})
    host = node_life.without_state_changes(lab, lambda: lifecycle.add(lab.name))
    deliver(lab, genuine_event("instance_running", host))
    node_life.wait_for_state(lab, [host], "joining")
    open_lifecycle_action(
        lab, genuine_event("asg_launch_lifecycle", host, {"LifecycleActionToken": str(uuid.uuid4())}, ago=70)
    )
    wait_for_reason(lab, "on_launch_held", "faas-workers waits", host.instance)
    node_life.tick(lab)
    engine.wait_until(lambda: lifecycle_actions(lab, host)["launch"] == ("", 1), "it takes longer")
    open_lifecycle_action(lab, genuine_event("asg_terminate_lifecycle", host))
    node_life.tick_until(lab, (host,), "evacuated")
    assert record(lab, host)["fate"] == "absent"
    ends = {"launch": "ABANDON", "terminate": "CONTINUE"}
    engine.wait_until(
        lambda: {name: result for name, (result, _) in lifecycle_actions(lab, host).items()} == ends,
        "both are over",
    )
    lab_api.ask(lab, "PUT", "/_lab/settings", {"registration": 1})
    lifecycle.kill(lab.name, host.instance)
    node_life.wait_for_state(lab, [host], "gone")


def test_a_recommendation_is_ignored_noted_or_heeded_as_the_cluster_is_set(lab: Lab, sent: Sent) -> None:
    ignored, noted, heeded, *_ = reset.stock(lab, 4)
    node_life.backdate(lab, heeded, 3600)
    text = "a rebalance recommendation: "
    for host, policy, reason in ((ignored, "ignore", "this cluster ignores"), (noted, "note", "noted")):
        assert "error" not in node_life.call(lab, "configure", recommendations=policy)
        functions = send(lab, sent, genuine_event("rebalance_recommendation", host))
        assert functions == ["on_rebalance_recommended"]
        wait_for_reason(lab, "on_rebalance_recommended", text + reason, host.instance)
    assert not record(lab, ignored).get("hinted")
    assert record(lab, noted)["hinted"]
    node_life.call(lab, "configure", recommendations="evacuate")
    of_the_hour = genuine_event("rebalance_recommendation", heeded, ago=3550)  # that it stays away
    send(lab, sent, of_the_hour)
    node_life.wait_for_state(lab, [heeded], "evacuated")
    assert node_life.tasks_on(lab, heeded) == 0
    assert node_life.availability(lab, ignored, noted, heeded) == ["active", "active", "drain"]
    node_life.tick_until(lab, (heeded,), "in-service", 240)
    assert node_life.availability(lab, heeded) == ["active"]
    node_life.call(lab, "configure", recommendations="note")


NOTICE = "on_spot_interruption_warning"
STATE = "on_instance_state_changed"
FLEET = "on_fleet_instance_changed"
DOOMS: list[tuple[str, dict[str, str], str, str]] = [
    ("spot_interruption_warning", {}, NOTICE, r"EC2 will terminate it, \d{2,3} s"),
    ("spot_interruption_warning", {"instance-action": "stop"}, NOTICE, r"EC2 will stop it, \d{2,3} s"),
    ("spot_interruption_warning", {"instance-action": "hibernate"}, NOTICE, "EC2 will hibernate it, 0 s"),
    ("spot_fleet_instance_termination_notified", {}, FLEET, r"EC2 will terminate it, \d{2,3} s"),
    ("ec2_fleet_instance_termination_notified", {}, FLEET, r"EC2 will terminate it, \d{2,3} s"),
    ("instance_terminated", {"state": "shutting-down"}, STATE, "the instance is shutting-down without"),
    ("instance_terminated", {"state": "stopping"}, STATE, "the instance is stopping without a warning"),
    ("asg_terminate_lifecycle", {}, "on_termination_held", "faas-workers ends the instance"),
]


def took(function: str) -> list[str]:
    """Name all that take an event which this handler takes."""
    return ["guard_spot_interruption_warning", function] if function == NOTICE else [function]


def test_whatever_tells_of_an_end_evacuates_the_node(lab: Lab, sent: Sent) -> None:
    *doomed, _ = reset.stock(lab, len(DOOMS) + 1)[: len(DOOMS) + 1]  # one has to hold what is moved
    for host, (payload, detail, function, _) in zip(doomed, DOOMS, strict=True):
        if function == "on_termination_held":
            open_lifecycle_action(lab, genuine_event(payload, host))
        else:
            assert sorted(send(lab, sent, genuine_event(payload, host, detail))) == took(function)
    node_life.wait_for_state(lab, doomed, "evacuated")
    for host, (_, _, function, reason) in zip(doomed, DOOMS, strict=True):
        wait_for_reason(lab, function, reason, host.instance)
        assert record(lab, host)["fate"] in ("safe", "drained")
    assert node_life.availability(lab, *doomed) == ["drain"] * len(doomed)
    engine.wait_until(lambda: node_life.tasks_on(lab, *doomed) == 0, "their tasks are gone")
    services.wait_running(lab)
    released = engine.wait_until(
        lambda: lifecycle_actions(lab, doomed[-1])["terminate"][0], "the group goes on"
    )
    assert released == "CONTINUE"


ENDS = [
    ("instance_terminated", {}, STATE, "the instance is terminated"),
    ("instance_terminated", {"state": "stopped"}, STATE, "the instance is stopped"),
    ("spot_fleet_instance_terminated", {}, FLEET, "the instance is terminated"),
    ("ec2_fleet_instance_terminated", {}, FLEET, "the instance is terminated"),
]


def test_whatever_tells_that_it_has_ended_takes_the_node_out(lab: Lab, sent: Sent) -> None:
    found = node_life.records(lab)
    hosts = [host for host in state.load(lab.name).hosts if host.pid and host.instance in found]
    hosts = [host for host in hosts if found[host.instance]["state"] == "evacuated"]
    if len(hosts) < len(ENDS):  # the test above did not run
        hosts = reset.stock(lab, len(ENDS) + 1)
    hosts = hosts[: len(ENDS)]
    with ThreadPoolExecutor() as pool:
        node_life.without_state_changes(
            lab, lambda: list(pool.map(lambda host: lifecycle.kill(lab.name, host.instance), hosts))
        )
    for host, (payload, detail, function, _) in zip(hosts, ENDS, strict=True):
        assert send(lab, sent, genuine_event(payload, host, detail)) == [function]
    node_life.wait_for_state(lab, hosts, "gone", 300)
    for host, (_, _, function, reason) in zip(hosts, ENDS, strict=True):
        wait_for_reason(lab, function, reason, host.instance)
        assert record(lab, host)["expires"]
    assert node_life.availability(lab, *hosts) == [""] * len(hosts), "no node is listed any more"


def test_a_scheduled_change_is_planned_evacuates_ahead_and_is_called_off(lab: Lab) -> None:
    worker = reset.stock(lab, 2)[0]

    def notice(hours: float, status: str = "open") -> list[str]:
        start = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + hours * 3600))
        affected = [{"entityValue": worker.instance, "tags": {}}, {"entityValue": STRANGER}]
        detail = {"startTime": start, "affectedEntities": affected}
        event = genuine_event("health_scheduled_change", None, detail)
        return deliver(lab, event | {"detail": event["detail"] | {"statusCode": status}})

    assert notice(48, "upcoming") == ["on_health_notice"]
    wait_for_reason(lab, "on_health_notice", f"{RETIREMENT}: the evacuation is planned", worker.instance)
    assert (record(lab, worker)["state"], node_life.availability(lab, worker)) == ("in-service", ["active"])
    notice(0.5)
    node_life.wait_for_state(lab, [worker], "evacuated")
    assert (node_life.tasks_on(lab, worker), node_life.availability(lab, worker)) == (0, ["drain"])
    notice(0.5, "closed")
    wait_for_reason(lab, "on_health_notice", f"{RETIREMENT}: over, or called off", worker.instance)
    node_life.tick_until(lab, (worker,), "in-service")
    assert node_life.availability(lab, worker) == ["active"]


def test_no_event_changes_anything_a_second_time_nor_for_a_stranger(lab: Lab, sent: Sent) -> None:
    before, commands = node_life.wait_unchanged(lab), node_life.count_commands(lab)
    strangers = [
        (genuine_event(payload, None, detail), took(function))
        for payload, detail, function, _ in (*DOOMS, *ENDS)
    ]
    strangers += [(genuine_event(payload), [function]) for payload, function, _ in LAUNCHES]
    for event, functions in (*sent, *strangers):
        assert sorted(deliver(lab, event)) == sorted(functions)
    for command in lab_api.commands(lab)[:20]:
        where = {"command-id": command["order"]["command"], "instance-id": command["instance"]}
        deliver(lab, genuine_event("ssm_invocation_success", None, where))
    time.sleep(5)  # nothing is to happen: what a handler ordered late would show by now
    assert node_life.wait_unchanged(lab) == before
    assert node_life.count_commands(lab) == commands
    assert STRANGER not in node_life.records(lab)
