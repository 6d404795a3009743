"""Rebalances of services whose work ends, must not be done twice, or builds on its slots."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.protocol.messages import Balance, Mode
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm
from tests.unit.bootstrap.support.rebalances import only, run, uneven

SLOTS: dict[str, Any] = {"ContainerSpec": {"Image": "web:1", "Env": ["ID={{.Task.Slot}}"]}}
MODES = [mode.value for mode in Mode]


def policy(condition: str, most: int = 0) -> dict[str, Any]:
    return {"RestartPolicy": {"Condition": condition, **({"MaxAttempts": most} if most else {})}}


def end_one(swarm: FakeSwarm, state: str) -> None:
    """Let one task of the service end for good."""
    key = next(task.id for task in swarm.of("web") if task.is_running)
    swarm.task_rows[key].update(Status={"State": state}, DesiredState="shutdown")
    swarm.done.add(key)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("template", "state"),
    [
        (policy("none"), "complete"),
        (policy("none"), "failed"),
        (policy("on-failure"), "complete"),
        (policy("any", 2), "failed"),
        (policy("on-failure", 2), "failed"),
    ],
)
def test_work_that_has_ended_is_not_done_again(template: dict[str, Any], state: str, mode: str) -> None:
    swarm = uneven(template=template)
    end_one(swarm, state)
    swarm.updates.clear()
    tasks = set(swarm.task_rows)
    report = only(run(swarm, mode=mode))
    assert report.balance is Balance.LEFT
    assert "a move would run them again" in report.reason
    assert swarm.updates == []
    assert set(swarm.task_rows) == tasks


@pytest.mark.parametrize("template", [policy("none"), SLOTS])
def test_what_may_not_have_more_slots_gets_no_surge(template: dict[str, Any]) -> None:
    swarm = uneven(template=template)
    report = only(run(swarm))
    assert report.balance is Balance.LEFT
    assert report.reason.endswith("a surge would not leave it as it is")
    assert swarm.updates == []


def test_what_names_its_slots_keeps_them_where_rolling_is_asked_for() -> None:
    swarm = uneven(template=SLOTS)
    assert only(run(swarm, mode="rolling")).balance is Balance.MOVED
    assert {task.slot for task in swarm.of("web") if task.is_running} == set(range(1, 10))


@pytest.mark.parametrize("template", [policy("on-failure"), policy("any", 3), policy("on-failure", 3)])
def test_with_a_policy_of_which_nothing_has_ended_it_is_moved(template: dict[str, Any]) -> None:
    swarm = uneven(template=template)
    assert only(run(swarm)).balance is Balance.MOVED
    assert swarm.fewest["web"] == 9
    assert max(swarm.spread("web").values()) == 3


def test_with_no_replicas_nothing_is_to_be_moved() -> None:
    swarm = uneven(0)
    assert run(swarm).ok
    assert swarm.updates == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "kind", [{"ReplicatedJob": {"MaxConcurrent": 3, "TotalCompletions": 9}}, {"GlobalJob": {}}]
)
def test_a_job_is_never_touched(kind: dict[str, Any], mode: str) -> None:
    swarm = uneven()
    swarm.service_rows["web"]["Spec"]["Mode"] = kind
    swarm.updates.clear()
    result = run(swarm, mode=mode)
    assert swarm.updates == []
    assert all(report.balance in (Balance.LEFT, Balance.BALANCED) for report in result.spreads)
