"""Plans of several services: the load of each counts for the next; a limit lets the best moves happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bootstrap.engine.service import EXCLUSION_LABEL, Service
from bootstrap.errors import AgentError
from bootstrap.planning.plan import (
    OPT_IN_LABEL,
    choose_services,
    plan_services,
    why_left_alone,
)
from tests.unit.bootstrap.support.swarms import Machine, service, snapshot

OPTED_IN = {OPT_IN_LABEL: "true"}


ZONE = ("node.labels.zone",)


def test_each_service_changes_the_load_for_the_next() -> None:
    one, two = service("one", 2), service("two", 2)
    swarm = snapshot(dict.fromkeys("abc", Machine()), [one, two], {"one": {"a": 2}, "two": {"a": 2}})
    first, second = plan_services(swarm, [one, two])
    assert (first.after, second.after) == ({"a": 1, "b": 1}, {"a": 1, "c": 1})


def test_room_that_another_service_has_yet_to_leave_is_not_counted() -> None:
    one, two = service("one", 4, cpus=1), service("two", 2, cpus=1)
    counts = {"one": {"a": 4}, "two": {"b": 2}}
    swarm = snapshot({"a": Machine(cpus=4), "b": Machine(cpus=4)}, [one, two], counts)
    first, second = plan_services(swarm, [one, two])
    assert first.after == {"a": 2, "b": 2}
    assert (second.moves, second.reason) == (
        0,
        "as even as the rules allow: 2 on 1 node, 0 on 1 node (in the way: reserved CPU on a)",
    )


def test_a_limit_lets_the_moves_happen_that_help_most() -> None:
    far, near = service("far", 6), service("near", 2)
    swarm = snapshot(dict.fromkeys("ab", Machine()), [near, far], {"far": {"a": 6}, "near": {"a": 2}})
    first, second = plan_services(swarm, [near, far], most=2)
    assert (first.service, first.after, first.missing) == (far, {"a": 4, "b": 2}, 1)
    assert first.reason.endswith("; 1 more would even it, but the limit on all moves is reached")
    assert (second.moves, second.missing) == (0, 1)
    assert second.reason == "left as it is: 1 moves would even it, but the limit on all moves is reached"


def test_what_a_limit_leaves_of_a_forced_update_that_needs_more_goes_to_others() -> None:
    whole, part = service("whole", 10), service("part", 4)
    swarm = snapshot(dict.fromkeys("ab", Machine()), [whole, part], {"whole": {"a": 10}, "part": {"a": 4}})
    first, second = plan_services(swarm, [whole, part], most=3, rolling=["whole"])
    assert (first.service, first.moves, first.missing) == (part, 2, 0)
    assert (second.service, second.moves, second.missing) == (whole, 0, 5)
    first, second = plan_services(swarm, [whole, part], most=6, rolling=["whole"])
    assert (first.service, first.moves, first.missing) == (whole, 5, 0)
    assert (second.service, second.moves, second.missing) == (part, 1, 1)


def test_services_are_chosen_by_label_or_by_name_or_id() -> None:
    one, two, three = service("one", 1, labels=OPTED_IN), service("two", 1), service("three", 1)
    three = replace(three, id="x3")
    swarm = snapshot({"a": Machine()}, [two, one, three], {})
    assert choose_services(swarm) == (one,)
    assert choose_services(swarm, ["two", "x3"]) == (three, two)
    with pytest.raises(AgentError, match="no service is called four: nothing was changed"):
        choose_services(swarm, ["two", "four"])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"update": "updating"}, "its own update is still under way"),
        ({"update": "paused"}, "its own update is paused; any other update would resume it"),
        ({"update": "rollback_started"}, "its own update is being rolled back"),
        ({"mode": {"Global": {}}}, "it is global: it has a task on every node"),
        ({"mode": {"ReplicatedJob": {}}}, "it is a job"),
        ({"labels": {EXCLUSION_LABEL: '{"nodes": [], "ours": {}}'}}, "it is being evacuated"),
        ({"update": "completed"}, ""),
        ({"update": "rollback_completed"}, ""),
    ],
)
def test_a_service_that_something_else_changes_is_not_touched(settings: dict[str, Any], why: str) -> None:
    web = service("web", 2, **settings)
    swarm = snapshot({"a": Machine(), "b": Machine()}, [web], {"web": {"a": 2}})
    assert why_left_alone(web, swarm) == why
    assert (plan_services(swarm, [web])[0].moves == 0) == bool(why)


def test_a_service_that_is_not_at_strength_or_still_leaves_a_node_is_not_touched() -> None:
    web: Service = service("web", 3)
    swarm = snapshot({"a": Machine(), "b": Machine(evacuation_deadline="1000")}, [web], {"web": {"a": 2}})
    assert why_left_alone(web, swarm) == "2 of 3 tasks run: Swarm is at work on it, or cannot place them"
    swarm = snapshot(
        {"a": Machine(), "b": Machine(evacuation_deadline="1000")}, [web], {"web": {"a": 2, "b": 1}}
    )
    assert why_left_alone(web, swarm) == "an evacuation has yet to take its tasks off b"
