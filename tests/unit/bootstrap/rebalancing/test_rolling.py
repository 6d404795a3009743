"""A forced update: what changes in the spec, and what its owner is warned of."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.rebalancing.rolling import (
    force_update,
    list_warnings,
    startup_seconds,
    update_outcome,
    update_seconds,
)

SECOND = 10**9


def service(update: dict[str, Any] | None, check: dict[str, Any] | None = None, force: int = 0) -> Service:
    template = {"ContainerSpec": {"Image": "web:1", "Healthcheck": check or {}}, "ForceUpdate": force}
    spec = {"Name": "web", "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": 6}}}
    return Service("s1", 1, {**spec, **({} if update is None else {"UpdateConfig": update})}, "")


def seen(seconds: float = 4) -> Snapshot:
    """Tasks that took so many seconds to run, and some that waited for a node until 90 s were over."""
    return history(seconds, seconds, 90, 90)


def history(*seconds: float) -> Snapshot:
    """Tasks that took so long to run, each less than an hour."""
    since = (f"2026-07-01T00:{int(taken // 60):02}:{taken % 60:06.3f}Z" for taken in seconds)
    tasks = (
        Task(f"t{at}", "s1", "a", at, "running", "running", "2026-07-01T00:00:00Z", text)
        for at, text in enumerate(since)
    )
    return Snapshot((), (), tuple(tasks))


def test_only_the_count_of_forced_updates_changes() -> None:
    before = service({"Parallelism": 2}, force=3)
    after = force_update(before)
    assert after["TaskTemplate"].pop("ForceUpdate") == 4
    assert after["TaskTemplate"] == {"ContainerSpec": before.template["ContainerSpec"]}
    assert {**after, "TaskTemplate": 0} == {**before.spec, "TaskTemplate": 0}


@pytest.mark.parametrize(
    ("update", "check", "force", "said"),
    [
        ({"Parallelism": 1, "Delay": 5 * SECOND}, None, 0, []),
        (
            {"Parallelism": 1, "Delay": 3 * SECOND},
            None,
            0,
            ["update-delay 3 s is shorter than its tasks take to start (4.0 s)"],
        ),
        (
            {"Parallelism": 1, "Delay": 20 * SECOND},
            {"Test": ["CMD", "true"]},
            0,
            ["update-delay 20 s is shorter than its health check's interval (30 s)"],
        ),
        ({"Parallelism": 1, "Delay": 20 * SECOND}, {"Test": ["NONE"]}, 0, []),
        ({"Parallelism": 1, "Delay": 20 * SECOND}, {"Test": ["CMD", "x"], "Interval": 5 * SECOND}, 0, []),
        (
            {"Parallelism": 0, "Delay": 5 * SECOND},
            None,
            0,
            ["the first forced update restarts all tasks at a time (update-parallelism 0)"],
        ),
        ({"Parallelism": 4, "Delay": 5 * SECOND}, None, 1, []),
    ],
)
def test_its_owner_is_warned(
    update: dict[str, Any], check: dict[str, Any] | None, force: int, said: list[str]
) -> None:
    assert list(list_warnings(service(update, check, force), seen())) == said


def test_without_an_update_config_it_is_one_task_at_a_time() -> None:
    assert update_seconds(service(None), seen()) == 6 * (4 + 10)
    assert update_seconds(service({"Parallelism": 0, "Delay": SECOND}), seen()) == 4 + 10 + 1


def test_an_update_that_starts_first_waits_for_no_task_to_stop() -> None:
    assert update_seconds(service({"Parallelism": 1, "Order": "start-first"}), seen()) == 6 * 4


def test_a_start_that_was_never_seen_is_assumed() -> None:
    assert startup_seconds(service(None), Snapshot((), (), ())) == 10.0
    assert startup_seconds(service(None), history(0)) == 10.0


def test_the_time_that_tasks_wait_for_a_node_is_no_start_up() -> None:
    assert startup_seconds(service(None), history(3, 5, *[3500.0] * 4)) == 5
    assert startup_seconds(service(None), history(*[3500.0] * 6)) == 300


@pytest.mark.parametrize(
    ("state", "over", "wrong"),
    [("", False, False), ("updating", False, False), ("completed", True, False)]
    + [(state, True, True) for state in ("paused", "rollback_started", "rollback_completed")],
)
def test_it_is_over_when_swarm_says_so(state: str, over: bool, wrong: bool) -> None:
    ended, why = update_outcome(Service("s1", 1, {"Name": "web"}, state))
    assert (ended, bool(why)) == (over, wrong)
