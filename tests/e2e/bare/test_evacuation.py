"""Evacuations by the real agent on a real swarm: no dip, no trace, whatever happens in between."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from docker.types import EndpointSpec, Healthcheck, Resources, RestartPolicy, UpdateConfig

from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL
from bootstrap.engine.service import EXCLUSION_LABEL
from bootstrap.tasks.evacuate import OVERTIME_S
from chalicelib.protocol.messages import AgentTask, Fate, Way
from tests.lab import state
from tests.lab.observe.watch import Watch
from tests.lab.state import Host, Lab
from tests.lab.swarm import disturbances, engine, formation, services
from tests.lab.swarm.agent import Agent, Said, install
from tests.lab.swarm.disturbances import Change
from tests.lab.swarm.services import SECOND

Specs = dict[str, str]
NOTICE = 22.0  # seconds, where it is to be used up: 9 of them go to the plain drain at its end


@pytest.fixture(scope="module")
def lab(bare: Lab, zipapp: Path) -> Lab:
    install(bare, zipapp)
    services.deploy(bare)
    return bare


@pytest.fixture(autouse=True)
def healed(lab: Lab) -> Iterator[None]:
    """After each test all nodes are in service again and only the standard services are left."""
    yield
    client = engine.manager(lab)
    for service in client.services.list():
        if service.name not in services.WANTED:
            service.remove()
    for node in engine.nodes(client):
        engine.change_node(lab, node.id, partial(_healthy, _host(lab, node.name).role))
    formation.wait_ready(lab, len(lab.hosts))
    services.wait_running(lab)


def _healthy(role: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {key: value for key, value in spec.get("Labels", {}).items() if key != EVACUATION_DEADLINE_LABEL}
    return {"Labels": labels, "Availability": "active", "Role": role}


@dataclass
class Seen:
    """What a test looks at: the specs before and after, and the watch on the tasks between."""

    before: Specs
    after: Specs = field(default_factory=dict)
    dips: dict[str, int] = field(default_factory=dict)
    started: dict[str, int] = field(default_factory=dict)


@contextmanager
def watching(lab: Lab) -> Iterator[Seen]:
    seen, watch = Seen(_specs(lab)), Watch(lab)
    yield seen
    watch.wait_for_next_poll()
    watch.stop()
    seen.after = _specs(lab)
    verdicts = watch.verdicts()
    seen.dips = {verdict.service: verdict.dip for verdict in verdicts if verdict.dip}
    seen.started = {verdict.service: verdict.started for verdict in verdicts if verdict.started}


def _specs(lab: Lab) -> Specs:
    """Each service's spec as bytes that are equal only if it is; not parsed by any code of ours."""
    rows = engine.manager(lab).api.services()
    return {row["Spec"]["Name"]: json.dumps(row["Spec"]) for row in rows}


def _host(lab: Lab, name: str) -> Host:
    return state.load(lab.name).host(name)


def managers(lab: Lab) -> list[Host]:
    return [host for host in lab.hosts if host.role == "manager"]


def workers(lab: Lab) -> list[Host]:
    return [host for host in lab.hosts if host.role == "worker"]


def holder(lab: Lab, service: str) -> Host:
    """Find the host that runs the (first) task of a service."""
    client = engine.manager(lab)
    nodes = {node.id: node.name for node in engine.nodes(client)}
    return _host(lab, next(nodes[task.node] for task in engine.tasks(client, service) if task.running))


def tasks_on(lab: Lab, host: Host) -> dict[str, int]:
    """Count the running tasks of replicated services on a host."""
    client, node = engine.manager(lab), formation.node_of(lab, host)
    spread = engine.spread(engine.tasks(client))
    replicated = {service.name for service in engine.services(client) if service.wanted is not None}
    return {name: nodes[node.id] for name, nodes in spread.items() if node.id in nodes and name in replicated}


def evacuate(lab: Lab, *doomed: Host, notice: float = 120.0) -> Said:
    return Agent(managers(lab)[0], AgentTask.EVACUATE, *doomed, notice=notice).wait()


def row(said: Said, service: str) -> Any:
    return next(found for found in said.result.services if found.service == service)


def test_only_the_nodes_own_tasks_are_replaced_before_they_stop_and_no_spec_changes(lab: Lab) -> None:
    doomed = holder(lab, "single")
    moving = tasks_on(lab, doomed)
    with watching(lab) as seen:
        said = evacuate(lab, doomed)
    assert (said.status, said.result.nodes[0].fate) == (0, Fate.SAFE)
    assert seen.dips == {}
    assert seen.started == moving
    assert seen.after == seen.before
    assert tasks_on(lab, doomed) == {}
    assert row(said, "agents").way is Way.GLOBAL


@pytest.mark.parametrize(
    "ahead", [112.0, *(pytest.param(s, marks=pytest.mark.thorough) for s in (130.0, -600.0))]
)
def test_a_manager_with_a_wrong_clock_does_as_one_with_a_right_one(lab: Lab, ahead: float) -> None:
    doomed, began = holder(lab, "single"), time.monotonic()
    with watching(lab) as seen:
        said = Agent(managers(lab)[0], AgentTask.EVACUATE, doomed, notice=60.0, ahead=ahead).wait()
    assert (said.status, said.result.nodes[0].fate) == (0, Fate.SAFE)
    assert seen.dips == {}
    assert seen.after == seen.before
    assert time.monotonic() - began < 50, "not for want of time"


@pytest.mark.parametrize("after", [0.5, 0.8, 1.2, 2.0, 3.5])
def test_an_agent_killed_at_any_moment_and_run_again_keeps_every_promise(lab: Lab, after: float) -> None:
    doomed = holder(lab, "single")
    with watching(lab) as seen:
        first = Agent(managers(lab)[0], AgentTask.EVACUATE, doomed)
        time.sleep(after)
        first.kill()
        time.sleep(0.5)
        said = Agent(managers(lab)[1], AgentTask.EVACUATE, doomed).wait()
    assert said.status == 0
    assert seen.dips == {}
    assert seen.after == seen.before
    assert tasks_on(lab, doomed) == {}


def test_nodes_doomed_in_a_burst_cost_one_update_of_a_service_and_one_to_restore_it(lab: Lab) -> None:
    with watching(lab) as seen:
        said = evacuate(lab, *workers(lab)[1:])
    assert [node.fate for node in said.result.nodes] == [Fate.SAFE, Fate.SAFE]
    assert seen.dips == {}
    assert said.updates("web") <= 2
    assert seen.after == seen.before


def test_a_second_and_a_third_warning_join_the_running_job(lab: Lab) -> None:
    first, second = workers(lab)[1:]
    third = managers(lab)[2]
    with watching(lab) as seen:
        agents = []
        for host, doomed in zip(managers(lab)[:2] + managers(lab)[:1], (first, second, third), strict=True):
            agents.append(Agent(host, AgentTask.EVACUATE, doomed))
            time.sleep(0.7)
        said = [agent.wait() for agent in agents]
    assert [one.result.nodes[0].node != "" for one in said] == [True] * 3
    assert all(one.status == 0 for one in said)
    assert seen.dips == {}
    assert sum(one.updates("web") for one in said) <= 4
    assert seen.after == seen.before


def test_without_room_the_plain_drain_comes_inside_the_budget_and_is_named(lab: Lab) -> None:
    doomed = workers(lab)[0]
    services.create(lab, "stuck", "client:1", 1, constraints=[f"node.hostname=={doomed.name}"])
    services.wait_running(lab)
    began = time.time()
    said = evacuate(lab, doomed, notice=NOTICE)
    assert said.result.nodes[0].fate is Fate.DRAINED
    assert row(said, "stuck").way is Way.DRAIN
    assert row(said, "stuck").reason == "no other node has room for it"
    assert "the notice is nearly over" in said.told
    assert 10 < time.time() - began < NOTICE + OVERTIME_S
    assert tasks_on(lab, doomed) == {}


def test_what_cannot_start_first_falls_back_and_is_named_while_the_others_do_not_dip(lab: Lab) -> None:
    stop_first = {"labels": {"swarmkeeper.evacuate": "stop-first"}}
    port = EndpointSpec(
        mode="dnsrr",
        ports=[{"Protocol": "tcp", "PublishedPort": 8081, "TargetPort": 80, "PublishMode": "host"}],
    )
    services.create(lab, "lock-a", "client:1", 1, constraints=["node.role==worker"], **stop_first)
    services.create(lab, "lock-b", "client:1", 1, constraints=["node.role==worker"], **stop_first)
    services.create(lab, "port", "client:1", 3, constraints=["node.role==worker"], endpoint_spec=port)
    services.create(lab, "big", "client:1", 2, resources=Resources(cpu_reservation=200_000_000))
    services.wait_running(lab)
    doomed = holder(lab, "lock-a")
    with watching(lab) as seen:
        said = evacuate(lab, doomed, notice=35)
    assert row(said, "lock-a").way is Way.STOP_FIRST
    assert row(said, "port").way is Way.DRAIN
    assert row(said, "port").reason == "no other node has room for it"
    assert set(seen.dips) <= {"lock-a", "lock-b", "port"}
    assert seen.after == seen.before


def test_a_service_in_an_update_of_its_own_is_waited_for_and_not_trampled(lab: Lab) -> None:
    slow = UpdateConfig(parallelism=1, delay=2_000_000_000, order="start-first")
    services.create(lab, "rolling", "web:1", 3, constraints=["node.role==worker"], update_config=slow)
    services.wait_running(lab)
    doomed = holder(lab, "rolling")
    _change_image(lab, "rolling", "web:2")
    with watching(lab) as seen:
        said = evacuate(lab, doomed)
    assert said.result.nodes[0].fate is Fate.SAFE
    assert seen.dips == {}
    assert seen.after["rolling"] == seen.before["rolling"]
    images = {row["Spec"]["ContainerSpec"]["Image"][-5:] for row in _running_rows(lab, "rolling")}
    assert images == {"web:2"}


def test_a_paused_update_is_not_resumed(lab: Lab) -> None:
    careful = UpdateConfig(parallelism=1, failure_action="pause", monitor=2_000_000_000, delay=3_000_000_000)
    services.create(lab, "halted", "web:1", 3, constraints=["node.role==worker"], update_config=careful)
    services.wait_running(lab)
    _change_image(lab, "halted", "broken:1")
    engine.wait_until(lambda: _update_state(lab, "halted") == "paused", "the update pauses")
    doomed = holder(lab, "halted")
    before = _specs(lab)["halted"]
    said = evacuate(lab, doomed, notice=NOTICE)
    assert "paused" in row(said, "halted").reason
    assert _update_state(lab, "halted") == "paused"
    assert _specs(lab)["halted"] == before


def test_what_cannot_run_elsewhere_serves_until_the_notice_ends_and_is_named(lab: Lab) -> None:
    doomed = workers(lab)[0]
    others = [f"node.hostname!={host.name}" for host in lab.hosts if host is not doomed]
    Path(f"/proc/{doomed.pid}/root/srv/here").mkdir(parents=True)
    sick = ["CMD", "sh", "-c", f"hostname > /h && test $(cat /h) = sick-{doomed.name}"]
    services.create(lab, "bound", "client:1", 1, mounts=["/srv/here:/here:rw"], constraints=others)
    check = Healthcheck(test=sick, interval=SECOND)
    services.create(lab, "sick", "client:1", 1, healthcheck=check, constraints=others)
    services.create(lab, "slots", "client:1", 1, env=["ID={{.Task.Slot}}"], constraints=others)
    services.wait_running(lab)
    done = ["/bin/sh", "-c", "exit 0"]
    once = RestartPolicy("on-failure")
    services.create(lab, "batch", "client:1", 2, command=done, restart_policy=once, constraints=others)
    engine.wait_until(lambda: _states(lab, "batch") == ["complete"] * 2, "the batch is complete")
    for name in ("bound", "sick", "slots", "batch"):
        services.change_spec(lab, name, _free)
    with watching(lab) as seen:
        agent = Agent(managers(lab)[0], AgentTask.EVACUATE, doomed, notice=NOTICE)
        time.sleep(NOTICE - 12)
        assert {"bound", "sick"} <= set(tasks_on(lab, doomed))
        said = agent.wait()
    assert said.result.nodes[0].fate is Fate.DRAINED
    assert row(said, "bound").reason.startswith("its new tasks do not serve: invalid mount config")
    assert row(said, "sick").reason.startswith("its new tasks do not serve")
    assert "bound (1: its new tasks do not serve: invalid mount config" in said.result.nodes[0].detail
    assert set(seen.dips) - {"batch"} == {"bound", "sick"}  # a batch that is complete runs no task
    assert row(said, "slots").reason.startswith("moved slot for slot")
    assert _states(lab, "batch") == ["complete"] * 2
    assert seen.after == seen.before


@pytest.mark.thorough
def test_changes_by_somebody_else_at_random_moments_cost_no_task_and_stay(lab: Lab) -> None:
    seed = time.time_ns() % 10**6
    rng = random.Random(seed)  # noqa: S311 - the seed is told
    first, second, third = rng.sample(workers(lab), 3)
    cases = disturbances.draw_cases(rng, disturbances.SHAPES, tuple(Change))
    disturbances.deploy(lab, cases, (first, second, third), rng)
    costs = disturbances.play(lab, cases, first, lambda: evacuate(lab, first))
    assert [cost for cost in costs if cost.missing or cost.wrong] == [], f"seed {seed}"


def test_a_doomed_manager_is_emptied_then_demoted_and_the_quorum_holds(lab: Lab) -> None:
    doomed = managers(lab)[2]
    with watching(lab) as seen:
        said = evacuate(lab, doomed)
    roles = {node.name: node.role for node in engine.nodes(engine.manager(lab))}
    assert said.status == 0
    assert seen.dips == {}
    assert roles[doomed.name] == "worker"
    assert sorted(roles.values()).count("manager") == 2


def test_a_service_made_without_a_placement_is_moved_and_no_manager_crashes(lab: Lab) -> None:
    services.create(lab, "bare", "client:1", 3, constraints=None)
    services.wait_running(lab)
    spec = json.loads(_specs(lab)["bare"])
    assert "Placement" not in spec["TaskTemplate"]
    evacuate(lab, holder(lab, "bare"))
    time.sleep(2)  # no manager is to crash later either
    assert json.loads(_specs(lab)["bare"]) == spec
    logs = [Path(f"/proc/{host.pid}/root/var/log/docker.log").read_text() for host in managers(lab)]
    assert not any("panic:" in log for log in logs)


def test_an_agent_on_a_worker_and_an_unknown_instance_are_errors_that_change_nothing(
    lab: Lab, zipapp: Path
) -> None:
    worker, stranger = workers(lab)[0], Host("x", "worker", "i-0badc0ffee0badc0f", "10.9.9.9", "z")
    install(lab, zipapp, worker)
    before = engine.manager(lab).api.nodes()
    said = Agent(worker, AgentTask.EVACUATE, workers(lab)[1]).wait()
    assert said.status == 69
    assert "this host is no swarm manager" in said.result.error
    said = evacuate(lab, stranger)
    assert (said.status, said.result.nodes[0].fate) == (1, Fate.ABSENT)
    assert "no node of this swarm carries the label swarmkeeper.instance=i-0badc0ffee0badc0f" in said.told
    assert [(n["ID"], n["Spec"]) for n in engine.manager(lab).api.nodes()] == [
        (n["ID"], n["Spec"]) for n in before
    ]
    assert not any(EXCLUSION_LABEL in spec for spec in _specs(lab).values())


def _change_image(lab: Lab, name: str, image: str) -> None:
    def change(spec: dict[str, Any]) -> None:
        old = spec["TaskTemplate"]["ContainerSpec"]["Image"]
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = old.rsplit("/", 1)[0] + f"/{image}"

    services.change_spec(lab, name, change)


def _free(spec: dict[str, Any]) -> None:
    """Let a service run on all nodes; its tasks stay where they are."""
    spec["TaskTemplate"]["Placement"]["Constraints"] = []


def _states(lab: Lab, name: str) -> list[str]:
    return [task.state for task in engine.tasks(engine.manager(lab), name)]


def _update_state(lab: Lab, name: str) -> str:
    rows = engine.manager(lab).api.services({"name": name})
    return str((rows[0].get("UpdateStatus") or {}).get("State", ""))


def _running_rows(lab: Lab, name: str) -> list[dict[str, Any]]:
    rows = engine.manager(lab).api.tasks({"service": name, "desired-state": "running"})
    return [row for row in rows if row["Status"]["State"] == "running"]
