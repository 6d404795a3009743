"""Whatever single thing dies, and some two at once: a warned node is safe within a minute of its warning."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from tests.e2e.support import reset
from tests.lab import lifecycle, state
from tests.lab.aws import lab_api
from tests.lab.aws.deploy import STAGE
from tests.lab.faults import control
from tests.lab.faults.armed_faults import Kind
from tests.lab.machines import machine, programs
from tests.lab.observe import node_life
from tests.lab.observe.watch import Watch
from tests.lab.state import Host, Lab, LabError
from tests.lab.swarm import engine, services

SAFE_S = 60.0
INVOCATION = "EC2 Command Invocation Status-change Notification"
WARNED = f"swarmkeeper-{STAGE}-on_spot_interruption_warning"
Death = Callable[[Lab, Host], None]
thorough = pytest.mark.thorough


@pytest.fixture
def lab(deployed: Lab) -> Iterator[Lab]:
    """Three managers and three workers in service, whatever died before; two services with a task on each."""
    reset.deployed(deployed.name)
    services.create(deployed, "web", "web:1", 6, constraints=["node.role==worker"])
    services.create(deployed, "single", "web:1", 1, constraints=["node.role==worker"])
    services.wait_running(deployed)
    node_life.wait_lease_free(deployed)
    yield state.load(deployed.name)
    control.disarm(deployed)
    for host in reset.living_hosts(deployed, "manager"):
        machine.signal_engine(host, "CONT")


def agent(lab: Lab, manager: Host) -> None:
    """Kill the agent at its work."""
    del lab
    programs.run([*machine.enter(manager), "pkill", "-9", "-f", " evacuate "])


def hang_engine(lab: Lab, manager: Host) -> None:
    """Have the manager's engine answer nobody any more."""
    del lab
    machine.signal_engine(manager, "STOP")


def host(lab: Lab, manager: Host) -> None:
    """Cut the manager's power."""
    lifecycle.kill(lab.name, manager.instance)


def nothing(lab: Lab, manager: Host) -> None:
    """Leave the manager as it is."""
    del lab, manager


def handler_before(lab: Lab) -> None:
    control.arm(lab, Kind.KILL_BEFORE, "ssm:SendCommand", who=WARNED)


def handler_after(lab: Lab) -> None:
    control.arm(lab, Kind.KILL_AFTER, "ssm:SendCommand", who=WARNED)


def result(lab: Lab) -> None:
    control.arm(lab, Kind.DROP, INVOCATION, left=-1)


DEATHS = [
    pytest.param([], agent, id="agent", marks=thorough),
    pytest.param([], hang_engine, id="engine of the manager", marks=thorough),
    pytest.param([], host, id="manager host", marks=thorough),
    pytest.param([handler_before], nothing, id="handler before it has sent"),
    pytest.param([handler_after], nothing, id="handler after it has sent", marks=thorough),
    pytest.param([result], nothing, id="result event", marks=thorough),
    pytest.param([result], agent, id="result event and agent", marks=thorough),
    pytest.param([handler_after], host, id="handler and manager host", marks=thorough),
    pytest.param([handler_before, result], nothing, id="handler and result event", marks=thorough),
    pytest.param([result], host, id="result event and manager host", marks=thorough),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("arms", "death"), DEATHS)
def test_a_warned_node_is_safe_within_a_minute(
    lab: Lab, arms: list[Callable[[Lab], None]], death: Death
) -> None:
    doomed = reset.stock(lab, 3)[0]
    for arm in arms:
        arm(lab)
    watch, warned = Watch(lab), time.time()
    lab_api.warn(lab, doomed)
    if death is not nothing:
        manager = engine.wait_until(partial(running_on, lab, doomed), "an agent evacuates it", pause=0.1)
        with suppress(LabError):  # the agent may have come to its end by now
            death(lab, manager)
    record = node_life.wait_for_state(lab, [doomed], "evacuated", SAFE_S)[doomed.instance]
    seconds = time.time() - warned
    watch.stop()
    assert seconds < SAFE_S
    assert record["fate"] == "safe"
    assert [verdict.dip for verdict in watch.verdicts()] == [0, 0]


def running_on(lab: Lab, doomed: Host) -> Host | None:
    """Find the manager on which the command for a host runs; None while none does."""
    record = node_life.records(lab)[doomed.instance]
    for row in lab_api.commands(lab, "evacuate"):
        if row["order"]["command"] == record.get("command") and row["status"] == "InProgress":
            return state.load(lab.name).host(record["manager"])
    return None
