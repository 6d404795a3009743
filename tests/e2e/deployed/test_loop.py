"""The whole loop for real: events, deployed handlers, agents on hosts and back, each failing once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from tests.e2e.support import reset
from tests.lab import lifecycle, state
from tests.lab.aws import events, lab_api
from tests.lab.aws.deploy import STAGE
from tests.lab.endpoint.instances import put_unmanaged
from tests.lab.faults import control
from tests.lab.faults.armed_faults import Kind
from tests.lab.machines import programs
from tests.lab.observe import handlers, node_life
from tests.lab.observe.node_life import Record, items, records, tick, without_tick_items
from tests.lab.observe.watch import Watch
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine, formation, services

WORKERS = 3
INVOCATION = "EC2 Command Invocation Status-change Notification"
STATE_CHANGE = "EC2 Instance State-change Notification"


@pytest.fixture(scope="module")
def lab(deployed: Lab) -> Lab:
    reset.stock(deployed, WORKERS)
    services.deploy(deployed)
    engine.manager(deployed).services.get("pinned").remove()  # only two workers may hold it
    return deployed


@pytest.fixture(autouse=True)
def mended(lab: Lab) -> Iterator[None]:
    """No fault of one test reaches the next, and each finds workers that nothing has happened to."""
    reset.stock(lab, WORKERS)
    services.wait_running(lab)
    yield
    control.disarm(lab)
    reset.rewind(lab)


def reaches(lab: Lab, host: Host, wanted: str, seconds: float = lab_api.SPOT_NOTICE_S) -> Record:
    """Wait for events to bring a host into a state; answers its record."""
    return node_life.wait_for_state(lab, [host], wanted, seconds)[host.instance]


def ticked(lab: Lab, host: Host, wanted: str) -> Record:
    """Wait for ticks alone to bring a host into a state; answers its record."""
    return node_life.tick_until(lab, (host,), wanted, 240)[host.instance]


def fresh_worker(lab: Lab) -> Host:
    """Choose a worker in service; those that tests have ended are replaced."""
    return reset.stock(lab, 3)[0]


def listed(lab: Lab) -> set[str]:
    return {node.instance for node in engine.nodes(engine.manager(state.load(lab.name)))}


def test_a_warned_worker_is_evacuated_dies_is_removed_and_its_record_ends_as_gone(lab: Lab) -> None:
    doomed, watch = fresh_worker(lab), Watch(lab)
    node = formation.node_of(lab, doomed)
    lab_api.warn(lab, doomed)
    record = reaches(lab, doomed, "evacuated")
    lifecycle.kill(lab.name, doomed.name)
    last = reaches(lab, doomed, "gone", 240)
    watch.stop()
    assert record["fate"] == "safe"
    assert record["node"] == node.id
    assert "expires" in last
    assert doomed.instance not in listed(lab)
    assert [verdict.dip for verdict in watch.verdicts()] == [0] * 3


def test_twice_late_and_foreign_events_change_nothing(lab: Lab) -> None:
    doomed, began = fresh_worker(lab), time.time()
    control.arm(lab, Kind.DOUBLE, "", left=-1)
    lab_api.warn(lab, doomed)
    reaches(lab, doomed, "evacuated")
    twice = (WARNED, WARNED, ENDED, ENDED)
    engine.wait_until(lambda: heard(lab, began, twice), "each event was heard twice", pause=0.5)
    control.disarm(lab)
    before, since = node_life.wait_unchanged(lab), time.time()
    sent = len(lab_api.commands(lab, "evacuate"))  # the guard may have sent another, where the first was slow
    stranger = replace(doomed, instance="i-0badc0ffee0badc0f", address="10.9.9.9")
    put_unmanaged(lab, stranger, {"Name": "somebody-elses"})
    lab_api.warn(lab, doomed)
    lab_api.warn(lab, stranger)
    command, manager = records(lab)[doomed.instance]["command"], lab.hosts[0]
    lab_api.deliver(lab, events.invocation_status(command, manager.instance, "Failed", 0, time.time()))
    told = (WARNED, WARNED, ENDED)
    engine.wait_until(lambda: heard(lab, since, told), "the handlers have run", pause=0.5)
    assert without_tick_items(items(lab)) == before
    assert len(lab_api.commands(lab, "evacuate")) == sent


def heard(lab: Lab, since: float, functions: Sequence[str]) -> bool:
    """Tell whether these functions have run to their ends, each as often as it is named."""
    ran = Counter(run.function for run in handlers.runs(lab, since, functions) if run.began >= since)
    return Counter(functions) <= ran


def test_with_every_result_and_state_event_lost_the_tick_alone_finishes(lab: Lab) -> None:
    doomed = fresh_worker(lab)
    control.arm(lab, Kind.DROP, INVOCATION, left=-1)
    control.arm(lab, Kind.DROP, STATE_CHANGE, left=-1)
    lab_api.warn(lab, doomed)
    engine.wait_until(lambda: over(lab, doomed), "its command is over")
    node_life.overdue(lab, doomed)
    ticked(lab, doomed, "evacuated")
    lifecycle.kill(lab.name, doomed.name)
    ticked(lab, doomed, "leaving")
    engine.wait_until(lambda: over(lab, doomed), "its node is removed")
    node_life.overdue(lab, doomed)
    ticked(lab, doomed, "gone")
    assert doomed.instance not in listed(lab)


def over(lab: Lab, host: Host) -> bool:
    """Tell whether the command that a host's record names has ended."""
    command = records(lab)[host.instance].get("command")
    mine = [row for row in lab_api.commands(lab) if row["order"]["command"] == command]
    return bool(mine) and all(row["ended"] for row in mine)


@pytest.mark.parametrize("error", ["InvalidInstanceId", "ThrottlingException"])
def test_a_manager_that_cannot_be_reached_or_a_throttled_call_is_got_round(lab: Lab, error: str) -> None:
    doomed, before = fresh_worker(lab), failures(lab)
    control.arm(lab, Kind.REFUSE, "ssm:SendCommand", error=REFUSED[error], left=1)
    lab_api.warn(lab, doomed)
    assert reaches(lab, doomed, "evacuated")["fate"] == "safe"
    blamed = failures(lab) != before
    assert blamed is (error == "InvalidInstanceId")


def failures(lab: Lab) -> dict[str, int]:
    """Failures in a row of each manager that had any, as its breaker counts them."""
    return {name: int(one["failures"]) for name, one in node_life.breakers(lab).items() if one["failures"]}


REFUSED = {"InvalidInstanceId": "invalid-instance", "ThrottlingException": "throttling"}


def test_a_frozen_manager_is_given_up_within_seconds_and_the_next_one_does_the_work(lab: Lab) -> None:
    doomed = fresh_worker(lab)
    good = {name: float(one["good"]) for name, one in node_life.breakers(lab).items()}
    favourite = max(good, key=good.__getitem__)
    control.arm(lab, Kind.FREEZE, favourite, left=-1)
    lab_api.warn(lab, doomed)
    record = reaches(lab, doomed, "evacuated")
    assert record["manager"] != favourite
    assert failures(lab)[favourite] == 1


def test_an_agent_that_hangs_is_followed_by_one_elsewhere_without_a_tick(lab: Lab) -> None:
    doomed, watch, warned = fresh_worker(lab), Watch(lab), time.time()
    lab_api.warn(lab, doomed)
    hung = engine.wait_until(lambda: running_for(lab, doomed), "an agent evacuates it")
    control.arm(lab, Kind.PAUSE, hung["manager"], left=-1)
    record = reaches(lab, doomed, "evacuated")
    watch.stop()
    assert (record["manager"] != hung["manager"], record["fate"]) == (True, "safe")
    noticed = engine.wait_until(
        lambda: handlers.functions_saying(lab, f"{hung['command']} still runs", warned), "it is noticed"
    )
    assert noticed == [GUARD], "the guard that stayed with it, not the tick"
    assert [verdict.dip for verdict in watch.verdicts()] == [0] * 3


def running_for(lab: Lab, host: Host) -> Record:
    """Read the host's record while the command for it runs; empty if none does."""
    record = records(lab)[host.instance]
    mine = (
        row for row in lab_api.commands(lab, "evacuate") if row["order"]["command"] == record.get("command")
    )
    return next((record for row in mine if row["status"] == "InProgress"), {})


WARNED = f"swarmkeeper-{STAGE}-on_spot_interruption_warning"
GUARD = f"swarmkeeper-{STAGE}-guard_spot_interruption_warning"
ENDED = f"swarmkeeper-{STAGE}-on_command_finished"


@pytest.mark.parametrize(
    ("kind", "action", "who"),
    [
        (Kind.KILL_BEFORE, "ssm:SendCommand", WARNED),
        (Kind.KILL_AFTER, "ssm:SendCommand", WARNED),
        # It has fetched a result, and dies before it has recorded it.
        pytest.param(Kind.KILL_AFTER, "ssm:GetCommandInvocation", ENDED, marks=pytest.mark.thorough),
    ],
)
def test_a_handler_killed_between_two_effects_is_made_good_by_the_tick(
    lab: Lab, kind: Kind, action: str, who: str
) -> None:
    doomed = fresh_worker(lab)
    node_life.wait_lease_free(lab)  # of whom the case before has killed: who finds it held sends nothing
    control.arm(lab, kind, action, who=who)
    lab_api.warn(lab, doomed)
    engine.wait_until(lambda: not control.list_armed(lab), "the handler was killed")
    assert records(lab)[doomed.instance]["state"] == "evacuating"
    if action == "ssm:GetCommandInvocation":
        engine.wait_until(lambda: over(lab, doomed), "its command is over")
    node_life.overdue(lab, doomed)
    assert ticked(lab, doomed, "evacuated")["fate"] == "safe"
    # Lambda delivers the warning of a killed handler once more: nobody else may use the host then.
    lifecycle.kill(lab.name, doomed.instance)


def test_a_malformed_event_is_one_clear_line_and_changes_nothing(lab: Lab) -> None:
    before = node_life.wait_unchanged(lab)
    since = time.time()
    event = events.interruption_warning(lab.hosts[0], time.time())
    event["detail"] = {"instance-id": "i-nonsense", "instance-action": "terminate"}
    lab_api.deliver(lab, event)
    engine.wait_until(
        lambda: handlers.functions_saying(lab, "i-nonsense", since), "the handler says what is wrong"
    )
    assert without_tick_items(items(lab)) == before


def test_the_command_line_speaks_json_and_refuses_nonsense_in_one_line(lab: Lab, tmp_path: Path) -> None:
    assert shown(lab, "tick") == {"functions": ["swarmkeeper-lab-tick"]}
    assert {row["item"] for row in shown(lab, "records")} >= {"census", "cluster"}
    assert shown(lab, "fault", "list") == []
    assert len(shown(lab, "status")["hosts"]) == len(state.load(lab.name).hosts)
    unheard = tmp_path / "event.json"
    unheard.write_text(json.dumps(events.envelope("aws.s3", "Object Created", {}, [], time.time())))
    assert shown(lab, "event", str(unheard))["functions"] == []
    unheard.write_text('{"version": "0"}')
    refused = programs.lab_command("event", str(unheard), "--json", "--name", lab.name)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "the event has no 'id'" in refused.stderr
    lines = programs.lab_command("logs", "--since", "60", "--json", "--name", lab.name)
    assert lines.returncode == 0, lines.stderr
    assert {json.loads(line)["source"] for line in lines.stdout.splitlines()} >= {"handler"}


def shown(lab: Lab, *words: str) -> Any:
    """Run a command of the lab; answers its JSON."""
    done = programs.lab_command(*words, "--json", "--name", lab.name)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_instance_of_another_cluster_is_that_clusters_and_never_ours(lab: Lab) -> None:
    other = replace(lab.hosts[0], name="x", instance="i-0c0ffee0c0ffee0c0", address="10.8.8.8", role="worker")
    tags = {"swarmkeeper:cluster": "other", "swarmkeeper:role": "worker", "swarmkeeper:stage": STAGE}
    put_unmanaged(lab, other, tags)
    sent = len(lab_api.commands(lab, "evacuate"))
    lab_api.warn(lab, other)
    found = engine.wait_until(lambda: records(lab, "other"), "the warning brings a census forward")
    assert found[other.instance]["role"] == "worker"
    evacuating = engine.wait_until(
        lambda: records(lab, "other")[other.instance]["state"] == "evacuating", "its intent is recorded"
    )
    assert evacuating
    assert other.instance not in records(lab)
    assert len(lab_api.commands(lab, "evacuate")) == sent


@pytest.mark.parametrize("tags", [{}, {"swarmkeeper:stage": "prod"}, {"swarmkeeper:stage": f"{STAGE}-us"}])
def test_an_instance_of_another_stage_is_not_registered(lab: Lab, tags: dict[str, str]) -> None:
    name = f"i-0c0ffee0c0ffee1{len(''.join(tags.values())):02}"
    other = replace(lab.hosts[0], name="y", instance=name, address="10.8.8.9", role="worker")
    put_unmanaged(lab, other, {"swarmkeeper:cluster": lab.cluster, "swarmkeeper:role": "manager", **tags})
    seen = handlers.runs(lab, functions=[WARNED])
    lab_api.warn(lab, other)
    engine.wait_until(
        lambda: len(handlers.runs(lab, functions=[WARNED])) > len(seen), "the warning was handled"
    )
    tick(lab)
    assert name not in records(lab)


def test_an_agent_that_was_tampered_with_does_not_run_and_the_error_says_so(lab: Lab) -> None:
    doomed = fresh_worker(lab)
    with control.tampered_agent(lab):
        lab_api.warn(lab, doomed)
        engine.wait_until(
            lambda: any(row["code"] == 65 for row in lab_api.commands(lab, "evacuate")),
            "the host refuses it",
        )
        assert records(lab)[doomed.instance]["state"] == "evacuating"
    assert ticked(lab, doomed, "evacuated")["fate"] == "safe"


def test_what_happens_to_nodes_by_hand_is_found_by_looks_and_mended(lab: Lab) -> None:
    """A worker leaves, and its dead node passes for an instance that nobody knows."""
    host, client, began = fresh_worker(lab), engine.manager(lab), time.time()
    old = formation.node_of(lab, host).id
    age = time.time() - float(records(lab)[host.instance]["since"])
    time.sleep(max(62 - age, 0))  # what was in service for less than a minute may not be listed yet
    engine.connect(host).swarm.leave(force=True)
    engine.wait_until(lambda: state_of(client, old) == "down", f"{host.name} is listed as down")
    unknown = {"swarmkeeper.instance": "i-0badc0ffee0badc0f"}
    engine.change_node(lab, old, lambda spec: {"Labels": spec["Labels"] | unknown})
    node_life.inspect_now(lab)
    assert records(lab)[host.instance]["state"] == "in-service", "one look is not enough"
    node_life.inspect_now(lab)
    engine.wait_until(lambda: ticked_away(lab, client, old), "the dead node is removed", pause=1)
    node_life.inspect_now(lab)
    assert records(lab)[host.instance]["state"] == "in-service", "one manager's word is not enough"

    def is_found() -> bool:  # a manager that cannot answer is asked again
        node_life.inspect_now(lab)
        record = records(lab)[host.instance]
        return record["state"] != "in-service" or record.get("node") != old

    engine.wait_until(is_found, "two managers miss the node", pause=1)
    node_life.tick_until(lab, (host,), "in-service")
    new = formation.node_of(lab, host)
    assert new.id != old
    assert new.availability == "active"
    (shown,) = (
        row
        for row in node_life.call(lab, "status")["clusters"][lab.cluster]["errands"]
        if row["task"] == "inspect"
    )
    assert "nodes listed" in shown["reason"]
    assert ENDED in handlers.functions_saying(lab, f"the swarm lists no node {old}", began)


def state_of(client: DockerClient, node: str) -> str:
    return next((one.state for one in engine.nodes(client) if one.id == node), "")


def ticked_away(lab: Lab, client: DockerClient, node: str) -> bool:
    tick(lab)
    return not state_of(client, node)
