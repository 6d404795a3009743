"""Part (b): storms of growing size in a cluster of thousands of simulated nodes, against the local endpoint.

Ministack starts a process for each event that it hands to a Lambda, which two cores cannot do a thousand
times in ten seconds. So the same handlers (the deployable copy of app.py) run in a few processes with many
threads, as many at once of the warnings' handlers as are reserved for them, against ministack's real
DynamoDB, throttled as one partition of AWS's is, and the lab's own Run Command and EC2.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import boto3

from bench.storm import plan
from bench.storm.cloud import Cloud, Work
from bench.storm.lambdas import Calls, Invocation, Lambdas
from bench.storm.throttle import ThrottledTable
from bench.storm.virtual.limits import GUARD, POOLS, WARNINGS
from chalicelib.adapters.dynamodb.discoveries import DynamoDiscoveries
from chalicelib.adapters.dynamodb.items import key, node_item
from chalicelib.adapters.dynamodb.managers import DynamoManagers
from chalicelib.adapters.dynamodb.nodes import DynamoNodes
from chalicelib.adapters.dynamodb.table import Table
from tests.lab import lifecycle, state
from tests.lab.aws import account, deploy, events, lab_api, local_aws
from tests.lab.aws.events import Event
from tests.lab.cli.commands_aws import TABLE
from tests.lab.endpoint.passthrough import Passthrough
from tests.lab.lifecycle import Say
from tests.lab.machines import network, processes, programs
from tests.lab.state import Host, Lab, LabError

SIZES = (10, 100, 1000)
NODES = 5000
PROCESSES, THREADS = 2, 500  # together as many as Lambda runs at once by default
TICK = 60.0  # seconds between two ticks
PATIENCE = 150.0  # seconds after which a storm is given up
SETTLED = 2.0  # seconds watched after the last record


@dataclass(frozen=True)
class Storm:
    """One storm as it was seen. ``began`` to ``over``: from the first event until nothing was open."""

    size: int
    began: float
    over: float
    warned: tuple[tuple[float, plan.Warned], ...]
    states: Mapping[str, str]
    work: tuple[Work, ...]
    api: tuple[tuple[float, str], ...]
    invocations: tuple[Invocation, ...]
    database: tuple[Calls, ...] = ()
    refused: int = 0
    busy: tuple[tuple[float, float], ...] = ()
    quiet: float = 0.0  # when no event waited any more


@dataclass
class Ground:
    """Where storms happen."""

    nodes: DynamoNodes
    cloud: Cloud
    lambdas: Lambdas


def measure(name: str, say: Say) -> list[Storm]:
    """Every storm, one after the other, in the same cluster."""
    now = time.time()
    own = plan.hosts(NODES, now)
    with _emulator(name, say) as lab:
        say(f"recording {NODES:,} nodes in service")
        database = _database(lab)
        table = Table(database, TABLE)
        doomed = plan.victims(own, SIZES)
        _record(table, own, doomed)
        seen: list[Storm] = []
        with _ground(lab, DynamoNodes(table), own, now) as ground:
            _warm(ground)
            for size, some in doomed.items():
                say(f"{size:,} interruptions within {plan.WINDOW:.0f} s")
                seen.append(_storm(ground, size, some))
                say(f"over after {seen[-1].over - seen[-1].began:.1f} s")
        return [_with_calls(storm, ground.lambdas.calls) for storm in seen]


@contextmanager
def _emulator(name: str, say: Say) -> Iterator[Lab]:
    """Start a lab without hosts: ministack, a deployable copy of the app, its table and its agent."""
    if programs.is_alive(name):
        raise LabError(f"lab {name!r} is up already; take it down: python -m tests.lab down --name {name}")
    lifecycle.down(name)
    lab = state.create(name, plan.CLUSTER, network.slots())
    try:
        say("starting ministack and publishing the agent")
        network.raise_bridge(lab)
        lab = local_aws.start_services(lab)
        _publish(deploy.copy(lab, programs.PROJECT), lab)
        yield lab
    finally:
        lifecycle.down(name, say)


def _publish(app: Path, lab: Lab) -> None:
    words = [sys.executable, "-m", "bootstrap.publish", "--stage", deploy.STAGE]
    environment = {**account.environment(lab), "PYTHONPATH": ""}
    done = subprocess.run(words, cwd=app, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise LabError(f"publishing failed: {done.stderr.strip()}")


def _ministack(lab: Lab) -> str:
    """Its own address: the way through the lab's endpoint would cost more than the table itself."""
    pid = state.load(lab.name).processes["ministack"]
    return f"http://127.0.0.1:{processes.environment(pid)['GATEWAY_PORT']}"


def _database(lab: Lab) -> Any:
    make: Any = boto3.Session(events.ACCOUNT, account.SECRET, region_name=events.REGION).client
    return make("dynamodb", endpoint_url=_ministack(lab))


def _record(table: Table, own: tuple[Host, ...], doomed: Mapping[int, tuple[Host, ...]]) -> None:
    """Every node in service, as after a day; and the homes that will be asked for."""
    items = [_record_of(host) for host in own]
    asked = [*own[: plan.MANAGERS], *(host for some in doomed.values() for host in some)]
    items += [key(host.instance, "home") | {"name": {"S": plan.CLUSTER}} for host in asked]
    for first in range(0, len(items), 25):
        some: list[Any] = [{"PutRequest": {"Item": item}} for item in items[first : first + 25]]
        table.client.batch_write_item(RequestItems={TABLE: some})
    managers = sorted(host.instance for host in own if host.role == "manager")
    DynamoManagers(table).record(plan.CLUSTER, managers)
    DynamoDiscoveries(table).finish(time.time(), [plan.CLUSTER])


def _record_of(host: Host) -> dict[str, Any]:
    return node_item(plan.node_in_service(host))


@contextmanager
def _ground(lab: Lab, nodes: DynamoNodes, own: tuple[Host, ...], now: float) -> Iterator[Ground]:
    lambdas: list[Lambdas] = []
    port = urlparse(_ministack(lab)).port or 0
    simulated = Cloud(
        plan.instances(own, plan.foreigners(500, now)),
        lambda event: _heard(lambdas[0], event),
        ThrottledTable(Passthrough(port)),
    )
    try:
        environment = {
            **account.environment(lab),
            "AWS_ENDPOINT_URL_DYNAMODB": simulated.address,
            "AWS_ENDPOINT_URL_SSM": simulated.address,
            "AWS_ENDPOINT_URL_EC2": simulated.address,
            "PYTHONPATH": str(lab.directory / "app"),
            "TABLE": TABLE,
            "NOTICE_SECONDS": f"{lab_api.SPOT_NOTICE_S:g}",
            "LOG_LEVEL": "WARNING",
            "POWERTOOLS_METRICS_DISABLED": "true",
        }
        lambdas.append(Lambdas(PROCESSES, THREADS, environment, lab.directory / "handlers.log", POOLS))
        try:
            yield Ground(nodes, simulated, lambdas[0])
        finally:
            lambdas[0].close()
    finally:
        simulated.close()


def _heard(lambdas: Lambdas, event: Event) -> None:
    """EventBridge's part: only an invocation's end is in the pattern of a rule."""
    ended = event["detail"]["status"] not in ("Pending", "InProgress")
    if ended and "instance-id" in event["detail"]:
        lambdas.invoke("on_command_finished", event)


def _warm(ground: Ground) -> None:
    """Run a tick: the handlers have their clients then, and a discovery is taken."""
    for _ in range(PROCESSES):
        _tick(ground)
    until = time.time() + 60
    while ground.lambdas.waiting and time.time() < until:
        time.sleep(0.1)
    if errors := [one.error for one in ground.lambdas.invocations if one.error]:
        raise LabError(f"a tick in calm weather failed: {errors[0]}")


def _tick(ground: Ground) -> None:
    ground.lambdas.invoke("tick", events.scheduled("arn:aws:events:us-east-1:1:rule/tick", time.time()))


def deliver(lambdas: Lambdas, warning: Event) -> None:
    """Hand a warning to both of its handlers, as EventBridge does."""
    for handler in (WARNINGS, GUARD):
        lambdas.invoke(handler, warning)


def _storm(ground: Ground, size: int, doomed: tuple[Host, ...]) -> Storm:
    events_to_come = plan.warnings(doomed, plan.foreigners(500, time.time()), seed=size)
    lambdas, first = ground.lambdas, len(ground.lambdas.invocations)
    table = ground.cloud.database
    refused = table.refused
    began, warned = time.time(), []
    for one in events_to_come:
        time.sleep(max(0.0, began + one.after - time.time()))
        warned.append((time.time(), one))
        deliver(lambdas, one.event(time.time()))
    over, quiet = _await_end(ground, began)
    time.sleep(SETTLED)
    mine = {host.instance for host in doomed}
    nodes = {node.instance: node.state.value for node in ground.nodes.list_all(plan.CLUSTER)}
    work = [one for one in list(ground.cloud.work) if mine & set(one.targets)]
    calls = [one for one in list(ground.cloud.calls) if one[0] >= began]
    states = {instance: nodes.get(instance, "") for instance in mine}
    ran = tuple(lambdas.invocations[first:])
    seen = (tuple(warned), states, tuple(work), tuple(calls), ran)
    refusals = table.refused - refused
    return Storm(size, began, over, *seen, refused=refusals, busy=tuple(table.busy), quiet=quiet)


def _await_end(ground: Ground, began: float) -> tuple[float, float]:
    """When nothing was open any more, and when no event waited, with a tick every minute meanwhile."""
    tick = began + TICK / 3
    over = 0.0
    while time.time() < began + PATIENCE:
        now = time.time()
        if now >= tick:
            _tick(ground)
            tick += TICK
        if ground.nodes.list_open(plan.CLUSTER, now + 86_400):
            over = 0.0
        else:
            over = over or now
            if not ground.lambdas.waiting:
                return over, time.time()
        time.sleep(0.5)
    return over or time.time(), time.time()


def _with_calls(storm: Storm, calls: list[Calls]) -> Storm:
    mine = tuple(one for one in calls if int(storm.began) <= one.second <= storm.quiet + SETTLED)
    return replace(storm, database=mine)
