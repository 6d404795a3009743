"""A burst of warnings through the deployed handlers: few commands, whose evacuations overlap on a manager."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from chalicelib.protocol.codec import decode_result
from tests.e2e.support.labs import named, running
from tests.lab.aws import lab_api
from tests.lab.aws.manual_calls import wait_in_service
from tests.lab.observe import node_life
from tests.lab.observe.watch import Watch
from tests.lab.state import Lab
from tests.lab.swarm import engine, services
from tests.lab.swarm.agent import Said
from tests.lab.swarm.uneven_services import dump_spec

APART = 0.7  # seconds between the first warnings
SERVICES = ("web", "slow")
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    for lab in running(named("burst"), managers=1, workers=6):
        services.create_network(lab)
        wait_in_service(lab)
        services.create(lab, "web", "web:1", 6)
        # Slow enough for the first evacuation to be under way when the burst comes.
        services.create(lab, "slow", "checked:1", 7, env=["WARM_UP=8"])
        services.wait_running(lab)
        yield lab


def evacuations(lab: Lab) -> list[dict[str, Any]]:
    """List the commands that evacuate, on the host where they run, in the order of their beginnings."""
    mine = [row for row in lab_api.commands(lab, "evacuate") if row["began"]]
    return sorted(mine, key=lambda row: float(row["began"]))


def specs(lab: Lab) -> dict[str, str]:
    return {name: dump_spec(lab, name) for name in SERVICES}


def test_warnings_in_a_row_and_a_burst_upon_them_cost_no_task_and_few_commands(
    lab: Lab,
) -> None:
    doomed, before, watch, began = node_life.workers_in_service(lab), specs(lab), Watch(lab), time.time()
    assert len(doomed) == 6
    for host in doomed[:3]:
        lab_api.warn(lab, host)
        time.sleep(APART)
    engine.wait_until(lambda: evacuations(lab), "an evacuation is under way")
    for host in doomed[3:]:
        lab_api.warn(lab, host)
    node_life.wait_for_state(lab, doomed, "evacuated", lab_api.SPOT_NOTICE_S)
    assert time.time() - began < lab_api.SPOT_NOTICE_S
    watch.wait_for_next_poll()
    watch.stop()
    found = node_life.records(lab)
    assert {found[host.instance]["fate"] for host in doomed} == {"safe"}
    assert node_life.tasks_on(lab, *doomed) == 0
    assert {verdict.service: verdict.dip for verdict in watch.verdicts()} == dict.fromkeys(SERVICES, 0)
    assert specs(lab) == before

    rows = evacuations(lab)
    assert 1 < len(rows) < len(doomed)
    assert any(later["began"] < earlier["ended"] for earlier, later in pairwise(rows)), "they overlap"
    said = [Said(decode_result(row["stdout"]), row["stderr"], row["code"]) for row in rows]
    for name in SERVICES:
        assert 0 < sum(one.updates(name) for one in said) <= 2 * len(said), name
