"""Who is a member, and who a manager, on hosts of their own: images, warned managers, admins' settings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.support.labs import named, running
from tests.e2e.support.managers import living, wait_managers
from tests.lab import lifecycle, state
from tests.lab.aws import lab_api, mailbox
from tests.lab.cli.commands_aws import TABLE
from tests.lab.observe import node_life
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine

pytestmark = pytest.mark.thorough  # a lab of its own, and hosts that start twice: minutes


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Three managers of its own, as it loses them, and two workers."""
    for lab in running(named("members"), managers=3, workers=2):
        mailbox.subscribe(lab)
        node_life.tick_until(lab, lab.hosts, "in-service", 240)
        yield lab


def node_of(lab: Lab, host: Host) -> engine.Node:
    """Find the node that is labelled as the host's."""
    found = engine.nodes(engine.manager(state.load(lab.name)))
    return next(node for node in found if node.instance == host.instance)


def set_by_hand(spec: dict[str, Any]) -> dict[str, Any]:
    return {"Availability": "pause", "Labels": {**spec.get("Labels", {}), "disk": "ssd", "rack": "7"}}


def test_what_an_admin_has_set_comes_back_after_a_stop_and_a_start(lab: Lab) -> None:
    host = living(lab, "worker")[0]
    before = node_of(lab, host)
    engine.change_node(lab, before.id, set_by_hand)
    lifecycle.stop(lab.name, host.instance)
    node_life.tick_until(lab, (host,), "gone", 240)
    lifecycle.start(lab.name, host.instance)
    node_life.tick_until(lab, (host,), "in-service", 240)
    after = node_of(lab, host)
    found = engine.manager(state.load(lab.name)).api.inspect_node(after.id)["Spec"]
    assert after.id != before.id
    assert (found["Labels"]["disk"], found["Labels"]["rack"]) == ("ssd", "7")
    assert found["Availability"] == "pause"


def test_a_host_that_was_booted_from_an_image_of_another_joins_as_itself(lab: Lab) -> None:
    original, copy = living(lab, "worker")[:2]
    own = node_of(lab, original).id
    lifecycle.stop(lab.name, copy.instance)
    node_life.tick_until(lab, (copy,), "gone", 240)
    source, target = (lab.directory / "hosts" / one.name / "docker" for one in (original, copy))
    shutil.rmtree(target / "swarm")
    shutil.copytree(source / "swarm", target / "swarm", symlinks=True)
    lifecycle.start(lab.name, copy.instance)
    node_life.tick_until(lab, (copy,), "in-service", 240)
    found = node_life.records(lab)
    assert found[original.instance]["node"] == own
    assert found[copy.instance]["node"] != own
    engine.wait_until(lambda: node_of(lab, original).state == "ready", "the original is itself again")
    warned = living(lab, "worker")
    lab_api.warn(lab, next(host for host in warned if host.instance == copy.instance))
    node_life.wait_for_state(lab, [copy], "evacuated")
    assert node_of(lab, original).availability != "drain"
    assert node_life.records(lab)[original.instance]["state"] == "in-service"


def open_breaker(lab: Lab, host: Host) -> None:
    """Have the handlers believe that a manager fails, for the next minutes."""
    now = int(time.time())
    lab_api.connect(lab).resource("dynamodb").Table(TABLE).put_item(
        Item={
            "cluster": lab.cluster,
            "item": f"breaker#{host.instance}",
            "failures": 4,
            "open_until": now + 240,
            "good": now - 60,
        }
    )


def test_two_of_three_managers_are_warned_while_the_breaker_of_the_third_is_open(lab: Lab) -> None:
    """Reported: the command ran on a doomed one, which stayed a manager; the swarm had no leader then."""
    *doomed, third = living(lab)
    open_breaker(lab, third)
    for host in doomed:
        lab_api.warn(lab, host)
    records = node_life.wait_for_state(lab, doomed, "evacuated", lab_api.SPOT_NOTICE_S)
    assert {records[host.instance]["fate"] for host in doomed} == {"safe"}
    assert [node.instance for node in node_life.managers(lab)] == [third.instance]
    for host in doomed:
        lifecycle.kill(lab.name, host.instance)
    time.sleep(15)  # it is to stay reachable alone, for longer than an election takes
    assert [node.reachability for node in node_life.managers(lab)] == ["reachable"]
    fresh = tuple(lifecycle.add(lab.name, "manager") for _ in doomed)
    node_life.tick_until(lab, fresh, "in-service", 300)
    wait_managers(lab, 3)
