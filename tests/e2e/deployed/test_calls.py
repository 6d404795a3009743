"""Manual calls as people type them, and the rebalance that nobody calls for, on real hosts."""

from __future__ import annotations

import json
import re
import shlex
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from docker.types import UpdateConfig

from bootstrap.engine.service import SURGE_LABEL
from tests.e2e.support import reset
from tests.e2e.support.managers import reachable
from tests.lab import lifecycle, state
from tests.lab.aws import deploy, join_tokens
from tests.lab.aws.event_samples import STRANGER, wait_for_reason
from tests.lab.aws.manual_calls import count_commands, expect_refusal, job, make_call, run_typed, wait_ended
from tests.lab.faults import control
from tests.lab.faults.armed_faults import Kind
from tests.lab.machines import machine, processes
from tests.lab.observe import node_life, token_leaks
from tests.lab.observe.watch import Watch
from tests.lab.state import Lab
from tests.lab.swarm import engine, services
from tests.lab.swarm.uneven_services import count_tasks, dump_spec, empty_last_worker, scale, workers

WEB, STRENGTH = "web", 6  # it has opted in
OTHER, OTHERS = "other", 2  # it has not
SETTLE, COOLDOWN = 2, 45  # seconds
OPTED = {"rebalance.on.node.create": "true"}
PACE = UpdateConfig(parallelism=3, order="start-first")
ON = ["node.role==worker"]
WORKERS = 3


@pytest.fixture(scope="module")
def lab(deployed: Lab) -> Lab:
    reset.exactly(deployed, WORKERS)
    services.create(deployed, WEB, "web:1", STRENGTH, constraints=ON, labels=OPTED, update_config=PACE)
    services.create(deployed, OTHER, "client:1", OTHERS, constraints=ON)
    return deployed


@pytest.fixture(autouse=True)
def as_found(lab: Lab) -> None:
    """Each test begins with so many workers and tasks, and nothing is rebalanced that nobody calls for."""
    assert "error" not in node_life.call(lab, "configure", rebalance=False, settle=SETTLE, cooldown=COOLDOWN)
    reset.exactly(lab, WORKERS)
    for service in engine.services(engine.manager(lab)):
        wanted = STRENGTH if service.name == WEB else OTHERS
        if service.wanted != wanted:
            scale(lab, service.name, wanted)
    services.wait_running(lab)


def everything(lab: Lab) -> tuple[Any, ...]:
    """All that a call could change: records, commands, the swarm."""
    client = engine.manager(lab)
    records = node_life.without_tick_items(node_life.items(lab))
    tasks = sorted(task.id for task in engine.tasks(client) if task.running)
    return records, node_life.count_commands(lab), engine.nodes(client), tasks, dump_spec(lab, WEB)


# One of each kind; tests/unit/chalicelib/admin/test_calls.py has all.
BAD: list[tuple[str, str | dict[str, Any], str]] = [
    ("status", "nonsense", "Could not parse request body into json"),
    ("status", "[1]", "the payload must be a JSON object, not '[1]'"),
    ("status", {"cluster": "green"}, "there is no cluster 'green'; known are CLUSTER"),
    ("pause", "{}", "cluster is missing; known fields are cluster, dry_run"),
    ("redrive", {"node": "x"}, "unknown field 'node'; known are cluster, dry_run, instance"),
    ("evacuate", {"instance": STRANGER}, f"CLUSTER has no instance {STRANGER}: status shows those that"),
    ("rebalance", {"mode": "quick"}, "mode must be one of surge, rolling, not 'quick'"),
    ("rebalance", {"services": ["nope"], "dry_run": True}, "i-"),
]


def test_whatever_is_wrong_with_a_call_is_one_line_and_a_status_and_changes_nothing(lab: Lab) -> None:
    records, commands, *swarm_before = everything(lab)
    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda row: expect_refusal(lab, *row[:2]), BAD))
    for line, (name, payload, wanted) in zip(said, BAD, strict=True):
        assert line.startswith(wanted.replace("CLUSTER", lab.cluster)), (name, payload, line)
    assert said[-1].endswith("says: no service is called nope: nothing was changed; see docker service ls")
    unknown = run_typed(lab, "rebalnce", "{}")
    assert unknown.returncode == 2
    assert unknown.stderr.strip() == "Error: could not find a lambda function named rebalnce."
    after, asked, *swarm_after = everything(lab)
    assert (after, asked) == (records, commands + 1), "the question whether there is a service nope"
    assert swarm_after == swarm_before


def test_the_readmes_other_ways_to_call_work_too_and_a_dry_run_changes_nothing(lab: Lab) -> None:
    before, worker = everything(lab), workers(lab)[0].instance
    bare = deploy.run_typed(lab, f"chalice invoke -n status --stage {deploy.STAGE} < /dev/null")
    assert bare.returncode == 0
    found = json.loads(bare.stdout)["clusters"][lab.cluster]
    living = [host.instance for host in state.load(lab.name).hosts if host.pid]
    states = {node["instance"]: node["state"] for node in found["nodes"]}
    assert {states[instance] for instance in living} == {"in-service"}
    assert found["settings"]["cooldown"] == COOLDOWN
    payload = json.dumps({"cluster": lab.cluster, "instance": worker, "dry_run": True})
    piped = deploy.run_typed(lab, f"echo {shlex.quote(payload)} | chalice invoke -n evacuate --stage lab")
    assert piped.returncode == 0
    assert json.loads(piped.stdout)["dry_run"]
    assert everything(lab) == before


def test_a_rebalance_is_shown_first_then_done_and_its_answer_is_what_swarm_shows(lab: Lab) -> None:
    empty_last_worker(lab)
    before, names = everything(lab), [host.name for host in workers(lab)]
    planned = make_call(lab, "rebalance", dry_run=True)
    (row,) = planned["services"]
    assert planned["dry_run"]
    assert (row["balance"], row["moves"], row["plan"]) == ("planned", 2, dict.fromkeys(names, 2))
    assert planned["table"][1].split()[:8] == ["web", "planned", "surge", "2", "0", "3/3/0", "2/2/2", "3/3/0"]
    assert f"{names[0]}  ### 3" in planned["picture"][2]
    assert (count_tasks(lab, WEB), everything(lab)[2:]) == ([3, 3, 0], before[2:])
    assert everything(lab)[0] == before[0]

    watch = Watch(lab)
    answer = make_call(lab, "rebalance")
    watch.wait_for_next_poll()
    watch.stop()
    seen = {verdict.service: verdict for verdict in watch.verdicts()}
    (row,) = answer["services"]
    assert (row["service"], row["balance"], row["restarted"]) == (WEB, "moved", 2)
    assert row["before"] == {names[0]: 3, names[1]: 3}
    assert [row["after"][name] for name in names] == count_tasks(lab, WEB) == [2, 2, 2]
    assert (seen[WEB].fewest, seen[WEB].started, seen[OTHER].started) == (STRENGTH, 2, 0)
    assert (dump_spec(lab, WEB), count_tasks(lab, OTHER)) == (before[-1], [1, 1, 0])
    shown = make_call(lab, "status")["clusters"][lab.cluster]["errands"]
    assert [one["result"]["table"] for one in shown if one["task"] == "rebalance"] == [answer["table"]]


@pytest.mark.thorough
def test_a_named_service_moves_without_having_opted_in_and_an_unknown_is_an_error(lab: Lab) -> None:
    make_call(lab, "rebalance", services=[WEB])
    engine.manager(lab).services.get(OTHER).scale(4)
    services.wait_running(lab)
    empty_last_worker(lab)
    assert count_tasks(lab, OTHER) == [2, 2, 0]
    said = expect_refusal(lab, "rebalance", {"services": [OTHER, "nope"]})
    assert said.endswith(": no service is called nope: nothing was changed; see docker service ls")
    assert (count_tasks(lab, WEB), count_tasks(lab, OTHER)) == ([3, 3, 0], [2, 2, 0])
    answer = make_call(lab, "rebalance", services=[OTHER], max_moves=1)
    assert [(row["service"], row["moves"]) for row in answer["services"]] == [(OTHER, 1)]
    assert (count_tasks(lab, WEB), sorted(count_tasks(lab, OTHER))) == ([3, 3, 0], [1, 1, 2])


@pytest.mark.thorough
def test_rolling_restarts_all_tasks_at_the_services_own_pace(lab: Lab) -> None:
    (row,) = make_call(lab, "rebalance", services=[WEB], mode="rolling")["services"]
    assert (row["balance"], row["mode"], row["restarted"]) == ("moved", "rolling", STRENGTH)
    assert any("restarts 3 tasks at a time" in warning for warning in row["warnings"])
    assert [row["after"][host.name] for host in workers(lab)] == count_tasks(lab, WEB)
    assert (sum(count_tasks(lab, WEB)), min(count_tasks(lab, WEB)) > 0) == (STRENGTH, True)


def test_joins_are_followed_by_a_rebalance_where_that_is_on(lab: Lab) -> None:
    before, commands = dump_spec(lab, WEB), count_commands(lab, "rebalance")
    node_life.wait_for_state(lab, [lifecycle.add(lab.name)], "in-service")
    time.sleep(SETTLE + 3)  # nothing is to happen: the window in which it would is over then
    assert (count_commands(lab, "rebalance"), count_tasks(lab, WEB)[-1]) == (commands, 0), "it is off"
    make_call(lab, "configure", rebalance=True)
    node_life.wait_for_state(lab, [lifecycle.add(lab.name)], "in-service")
    assert wait_ended(lab, "rebalance", 300, tick=False)["automatic"]
    assert (sorted(count_tasks(lab, WEB)), dump_spec(lab, WEB)) == ([1, 1, 1, 1, 2], before)


def put_off(lab: Lab) -> dict[str, Any] | None:
    found = job(lab, "rebalance")
    return found if found["reason"].startswith("put off") else None


@pytest.mark.thorough
def test_a_join_within_the_cooldown_waits_and_a_pause_holds_it_back_until_resume(lab: Lab) -> None:
    empty_last_worker(lab)
    make_call(lab, "rebalance")
    make_call(lab, "configure", rebalance=True)
    node_life.tick_until(lab, (lifecycle.add(lab.name),), "in-service")  # soon enough for the cool-down
    waiting = engine.wait_until(lambda: put_off(lab), "it waits", pause=0.5)
    assert re.match(r"put off for \d+ s: the last rebalance ended \d+ s ago", waiting["reason"]), waiting
    assert count_tasks(lab, WEB)[-1] == 0
    make_call(lab, "pause")
    commands = count_commands(lab, "rebalance")
    assert (
        expect_refusal(lab, "rebalance", {}) == f"{lab.cluster} is paused, nothing is sent: resume it first"
    )
    time.sleep(max(0, float(waiting["due"]) - time.time()) + 1)
    node_life.tick(lab)
    wait_for_reason(lab, "tick", "paused: [1-9] wait")
    assert (count_commands(lab, "rebalance"), count_tasks(lab, WEB)[-1]) == (commands, 0)
    assert job(lab, "rebalance")["stage"] == "open"
    make_call(lab, "resume")
    wait_ended(lab, "rebalance", 300, tick=False)
    assert sorted(count_tasks(lab, WEB)) == [1, 1, 2, 2]


@pytest.mark.thorough
def test_a_node_is_made_a_manager_and_a_worker_again_and_the_tag_is_warned_of(lab: Lab) -> None:
    worker = workers(lab)[0]
    answer = make_call(lab, "promote", instance=worker.instance)
    assert answer["errand"]["state"] == "done"
    assert answer["warning"].startswith(f"{worker.instance} is tagged swarmkeeper:role=worker: it is")
    assert len(node_life.managers(lab)) == 4
    answer = make_call(lab, "demote", instance=worker.instance)
    assert "warning" not in answer
    assert len(node_life.managers(lab)) == 3


@pytest.mark.thorough
def test_what_would_cost_the_quorum_is_refused_and_says_why(lab: Lab) -> None:
    if not job(lab, "demote"):
        for call in ("promote", "demote"):
            make_call(lab, call, instance=workers(lab)[0].instance)
    managers = [host for host in lab.hosts if host.role == "manager"]
    silent = next(host for host in managers if host.instance == job(lab, "demote")["manager"])
    other = next(host for host in managers if host is not silent)
    machine.signal_engine(silent, "STOP")
    try:
        engine.wait_until(lambda: reachable(lab) == 2, "a manager does not answer")
        said = expect_refusal(lab, "demote", {"instance": other.instance})
        assert said.startswith(f"demote failed on {silent.instance}: the engine at unix:///")
        said = expect_refusal(lab, "demote", {"instance": other.instance})
        assert f"demoting {other.name} would leave 1 of 2 managers: no quorum" in said
        assert job(lab, "demote")["stage"] == "failed"
    finally:
        machine.signal_engine(silent, "CONT")
    engine.wait_until(lambda: reachable(lab) == 3, "all answer again")


@pytest.mark.thorough
def test_what_a_caller_and_an_agent_that_died_left_the_tick_finishes(lab: Lab) -> None:
    make_call(lab, "configure", rebalance=False)
    old = token_leaks.tokens(lab)
    who = f"swarmkeeper-{deploy.STAGE}-rotate_tokens"
    control.arm(lab, Kind.KILL_AFTER, "ssm:SendCommand", who=who)
    dead = run_typed(lab, "rotate_tokens", json.dumps({"cluster": lab.cluster}))
    assert (dead.returncode, job(lab, "rotate-tokens")["stage"]) == (1, "open")

    engine.manager(lab).services.get(WEB).scale(8)
    empty_last_worker(lab)
    before = dump_spec(lab, WEB)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(make_call, lab, "rebalance")
        engine.wait_until(lambda: SURGE_LABEL in dump_spec(lab, WEB), "the surge is marked")
        kill_agent(lab, job(lab, "rebalance")["manager"])
    assert "it is sent again" in answer.result()["errand"]["reason"]
    assert wait_ended(lab, "rebalance", 180)["stage"] == "done"
    assert (dump_spec(lab, WEB), sum(count_tasks(lab, WEB))) == (before, 8)
    found = count_tasks(lab, WEB)
    assert max(found) - min(found) == (1 if 8 % len(found) else 0)
    assert wait_ended(lab, "rotate-tokens")["stage"] == "done"
    assert len(old | token_leaks.tokens(lab)) == 4
    assert join_tokens.read_tokens(lab) == token_leaks.tokens(lab)


def kill_agent(lab: Lab, instance: str) -> None:
    """End the agent that runs on a host; its script ends with it."""
    agents = processes.find_named("/run/swarmkeeper/agent-", lab.host(instance).pid)
    for agent in agents:
        agent.send(signal.SIGKILL)
    assert agents
