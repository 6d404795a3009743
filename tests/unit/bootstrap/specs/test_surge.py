"""A surge in a spec, and what a scale-down would leave, after swarmkit's own order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.specs.surge import (
    Surge,
    add_tasks,
    count_survivors,
    lower_replicas,
    raise_next_wave,
    raise_replicas,
    surge_of,
    wanted_replicas,
)
from tests.unit.bootstrap.specs.support.specs import PLACEMENTS, SPECS


def service(spec: dict[str, Any]) -> Service:
    return Service("s1", 1, spec, "")


def tasks(*rows: tuple[str, str]) -> tuple[Task, ...]:
    """One task for each (node, state), in slots of their own."""
    return tuple(
        Task(f"t{slot}", "s1", node, slot, state, "running") for slot, (node, state) in enumerate(rows, 1)
    )


@given(SPECS, PLACEMENTS, st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_every_spec_ends_as_it_was_and_meanwhile_prefers_nothing(
    spec: dict[str, Any], placement: dict[str, Any], waves: list[int]
) -> None:
    spec = {**spec, "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}, "Placement": placement}}
    aside = "Preferences" in placement
    now = service(raise_replicas(service(spec), waves, 100.0, 160.0, aside=aside))
    for wave in waves[1:]:
        surge = surge_of(now)
        assert surge
        placed = Snapshot((), (now,), tasks(*[("a", "assigned")] * surge.raised))
        further = raise_next_wave(now, surge, placed)
        assert further
        assert service(further).replicas == surge.raised + wave
        assert service(further).placement == {
            key: value for key, value in placement.items() if key != "Preferences"
        }
        now = service(further)
    last = surge_of(now)
    assert last
    assert (last.replicas, last.raised, last.waves) == (3, 3 + sum(waves), ())
    assert raise_next_wave(now, last, Snapshot((), (now,), ())) is None
    assert lower_replicas(now, last) == spec


def test_the_next_wave_waits_until_every_task_has_a_node() -> None:
    now = service(raise_replicas(service({"Mode": {"Replicated": {"Replicas": 1}}}), (1, 1), 100.0, 160.0))
    surge = surge_of(now)
    assert surge
    assert raise_next_wave(now, surge, Snapshot((), (now,), tasks(("a", "running"), ("", "pending")))) is None


def test_replicas_that_somebody_has_changed_stay() -> None:
    spec = {"Name": "web", "Mode": {"Replicated": {"Replicas": 3}}}
    moved = raise_replicas(service(spec), (2,), 100.0, 160.0)
    moved["Mode"] = {"Replicated": {"Replicas": 7}}
    surge = surge_of(service(moved))
    assert surge
    assert lower_replicas(service(moved), surge) == {"Name": "web", "Mode": {"Replicated": {"Replicas": 7}}}


def test_preferences_added_meanwhile_come_after_those_that_were_set_aside() -> None:
    zone, rack = ([{"Spread": {"SpreadDescriptor": f"node.labels.{label}"}}] for label in ("zone", "rack"))
    spec = {"Mode": {"Replicated": {"Replicas": 3}}, "TaskTemplate": {"Placement": {"Preferences": zone}}}
    moved = raise_replicas(service(spec), (2,), 100.0, 160.0, aside=True)
    moved["TaskTemplate"] = {"Placement": {"Preferences": rack}}
    surge = surge_of(service(moved))
    assert surge
    assert service(lower_replicas(service(moved), surge)).placement == {"Preferences": zone + rack}
    moved["TaskTemplate"] = {}
    assert service(lower_replicas(service(moved), surge)).placement == {"Preferences": zone}


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"replicas": 1}', "null"])
def test_a_label_that_no_surge_wrote_is_none(text: str) -> None:
    assert surge_of(service({"Labels": {"swarmkeeper.rebalance.before": text}})) is None


def test_a_mark_with_words_for_numbers_is_none() -> None:
    text = '{"replicas":"9","raised":12,"begun":1,"until":2,"labels":true,"waves":[]}'
    assert surge_of(service({"Labels": {"swarmkeeper.rebalance.before": text}})) is None
    text = '{"replicas":9,"raised":12,"begun":1,"until":2,"labels":true,"preferences":["zone"]}'
    assert surge_of(service({"Labels": {"swarmkeeper.rebalance.before": text}})) is None
    assert Surge(1, 2, 3.0, 4.0, labels=True).moves == 1


RUN = "running"


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        ([("a", RUN)] * 5 + [("b", RUN)] * 4 + [("c", RUN)] * 3, 9),
        (
            [("a", RUN)] * 5 + [("b", RUN)] * 4 + [("c", "starting")] * 3,
            6,
        ),  # measured: it stops those that serve
        ([("a", RUN)] * 5 + [("b", RUN)] * 4 + [("", "pending")] * 3, 9),
        ([("a", RUN)] * 9 + [("c", "starting")] * 3, 6),
        (
            [("a", RUN)] * 3 + [("b", RUN)] * 6 + [("a", "starting")] * 3,
            8,
        ),  # of equal ones those that run stay
    ],
)
def test_a_scale_down_takes_the_highest_copies_whether_they_run_or_not(
    rows: list[tuple[str, str]], left: int
) -> None:
    found = tasks(*rows)
    assert count_survivors(found, 9, {task.id for task in found if task.is_running}) == left


def test_a_slot_with_two_tasks_is_the_first_to_go() -> None:
    found = tasks(("a", RUN), ("a", RUN), ("c", "starting"))
    twin = Task("t9", "s1", "a", 3, "starting", "running")
    assert count_survivors((*found, twin), 2, {"t1", "t2"}) == 2


@given(SPECS, st.integers(1, 4), st.booleans())
def test_a_spec_surged_for_an_evacuation_starts_first_and_ends_as_it_was(
    spec: dict[str, Any], by: int, again: bool
) -> None:
    now = service(add_tasks(service(spec), by, ["a"], 1.0, 2.0))
    assert (now.replicas, now.update_config["Order"]) == (3 + by, "start-first")
    if again:
        now = service(add_tasks(now, 1, ["a", "b"], 1.0, 2.0))
    surge = surge_of(now)
    assert surge
    assert (surge.replicas, surge.nodes) == (3, ("a", "b") if again else ("a",))
    assert lower_replicas(now, surge) == spec


def test_an_owner_who_scales_to_the_number_of_the_surge_keeps_it() -> None:
    spec = {"Mode": {"Replicated": {"Replicas": 1}}}
    now = replace(service(add_tasks(service(spec), 1, ["a"], 1.0, 2.0)), is_repeated=True)
    surge = surge_of(now)
    assert surge
    assert wanted_replicas(now) == 2
    assert lower_replicas(now, surge) == {"Mode": {"Replicated": {"Replicas": 2}}}


def test_an_update_config_changed_during_a_surge_stays_but_for_our_order() -> None:
    spec = {"Mode": {"Replicated": {"Replicas": 1}}, "UpdateConfig": {"Parallelism": 1}}
    moved = add_tasks(service(spec), 1, ["a"], 1.0, 2.0)
    moved["UpdateConfig"] = {**moved["UpdateConfig"], "Parallelism": 4}
    surge = surge_of(service(moved))
    assert surge
    after = lower_replicas(service(moved), surge)["UpdateConfig"]
    assert after == {"Parallelism": 4, "Order": "stop-first"}


def test_of_more_slots_than_go_sorts_stably_the_worse_order_counts() -> None:
    found = tasks(*[("a", RUN)] * 7, *[("b", RUN)] * 6, ("b", "starting"))
    assert count_survivors(found, 13, {task.id for task in found if task.is_running}) == 12


def test_a_single_task_survives_beside_one_that_starts_elsewhere() -> None:
    found = tasks(("a", "starting"), ("b", RUN))
    assert count_survivors(found, 1, {"t2"}) == 1
