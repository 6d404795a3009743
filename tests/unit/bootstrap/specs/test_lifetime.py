"""What forbids to start more of a service's tasks, or some of them anew."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.engine.service import Service
from bootstrap.engine.task import Task
from bootstrap.specs.lifetime import why_ended, why_one_for_one


def service(container: dict[str, Any] | None = None, **policy: Any) -> Service:
    return Service("s", 1, {"TaskTemplate": {"ContainerSpec": container or {}, "RestartPolicy": policy}}, "")


def slot(number: int, *states: str) -> tuple[Task, ...]:
    """Make the tasks of one slot, the oldest first."""
    return tuple(
        Task(f"t{number}{at}", "s", "n", number, state, "shutdown", f"2026-01-0{at}T00:00:00Z")
        for at, state in enumerate(states, 1)
    )


@pytest.mark.parametrize(
    ("policy", "tasks", "is_over"),
    [
        ({}, slot(1, "complete"), False),
        ({"Condition": "any"}, slot(1, "failed", "failed"), False),
        ({"Condition": "any", "MaxAttempts": 2}, slot(1, "failed", "failed"), True),
        ({"Condition": "on-failure"}, slot(1, "failed", "complete"), True),
        ({"Condition": "on-failure"}, slot(1, "complete", "running"), False),
        ({"Condition": "on-failure"}, slot(1, "failed"), False),
        ({"Condition": "none"}, slot(1, "failed"), True),
        ({"Condition": "none"}, (*slot(1, "running"), *slot(2, "complete")), True),
        ({"Condition": "none"}, slot(1, "running"), False),
    ],
)
def test_work_has_ended_where_swarm_would_not_start_it_again(
    policy: dict[str, Any], tasks: tuple[Task, ...], is_over: bool
) -> None:
    assert bool(why_ended(service(**policy), tasks)) is is_over


@pytest.mark.parametrize(
    "container",
    [
        {"Hostname": "kafka-{{.Task.Slot}}"},
        {"Env": ["A=1", "ID={{ .Task.Slot }}"]},
        {"Mounts": [{"Source": "data-{{.Task.Slot}}", "Type": "volume"}]},
    ],
)
def test_slots_that_a_spec_names_are_numbers_to_build_on(container: dict[str, Any]) -> None:
    assert "Task.Slot" in why_one_for_one(service(container))


def test_other_templates_name_no_slot() -> None:
    assert not why_one_for_one(service({"Hostname": "{{.Service.Name}}-{{.Node.Hostname}}-{{.Task.ID}}"}))
