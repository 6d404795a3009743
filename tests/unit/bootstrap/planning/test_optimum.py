"""Spreads against the optimum of all distributions, on small swarms with every rule of Swarm at work."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap.engine.snapshot import Snapshot
from bootstrap.planning.leveling import Group, unevenness
from bootstrap.planning.plan import ServicePlan, plan_services, surge_outcome
from tests.unit.bootstrap.support.swarms import Machine, service, snapshot, stand

PREFERENCES = [(), (), ("node.labels.zone",), ("node.labels.zone", "engine.labels.rack"), ("nonsense",)]
MACHINES = st.builds(
    Machine,
    availability=st.sampled_from([*["active"] * 8, "pause", "drain"]),
    state=st.sampled_from([*["ready"] * 9, "down"]),
    cpus=st.sampled_from([1, 3, 6, 9]),
    gpus=st.sampled_from([1, 3, 6, 9]),
    zone=st.sampled_from(["a", "b", ""]),
    rack=st.sampled_from(["", "r"]),
    disk=st.sampled_from(["ssd", "ssd", "ssd", "hdd"]),
    evacuation_deadline=st.sampled_from([*[""] * 9, "1000"]),
)
FULL_FIRST = st.lists(st.sampled_from([0, 0, 0, 1, 1, 2, 3]), min_size=1, max_size=6)  # nodes of tasks


@dataclass(frozen=True)
class Case:
    """A swarm, the service that is planned (``web``), and how many tasks of it each node may hold."""

    snapshot: Snapshot
    most: Mapping[str, int]
    preferences: tuple[str, ...]
    machines: Mapping[str, Machine]


def machines_may_stay(machines: Mapping[str, Machine], at: int) -> bool:
    """Tell whether tasks may stay on the node: a service on one that is being evacuated is left alone."""
    return not machines[f"n{at % len(machines)}"].evacuation_deadline


@st.composite
def cases(draw: st.DrawFn, preferences: tuple[tuple[str, ...], ...] = tuple(PREFERENCES)) -> Case:
    machines = {f"n{at}": one for at, one in enumerate(draw(st.lists(MACHINES, min_size=2, max_size=4)))}
    web = Counter(f"n{at % len(machines)}" for at in draw(FULL_FIRST) if machines_may_stay(machines, at))
    others = Counter(f"n{at % len(machines)}" for at in draw(FULL_FIRST))
    cpus, gpus, most = (
        draw(st.integers(0, 1)),
        draw(st.integers(0, 1)),
        draw(st.sampled_from([0, 0, 0, 1, 2, 3])),
    )
    port, constrained = draw(st.sampled_from([*[0] * 7, 80])), draw(st.booleans())
    chosen = draw(st.sampled_from(preferences))
    constraints = ["node.labels.disk==ssd"] if constrained else []
    services = (
        service("web", web.total(), constraints, most, chosen, cpus=cpus, gpus=gpus, port=port),
        service("other", others.total(), cpus=1, gpus=1),
    )
    caps = {}
    for node, one in machines.items():
        limits = [6 - web[node]]
        limits += [one.cpus - others[node] - web[node]] if cpus else []
        limits += [one.gpus - others[node] - web[node]] if gpus else []
        limits += [most - web[node]] if most else []
        limits += [1 - min(1, web[node])] if port else []
        good = one.availability == "active" and one.state == "ready" and not one.evacuation_deadline
        open_ = good and (one.disk == "ssd" or not constrained)
        caps[node] = web[node] + max(0, min(limits) if open_ else 0)
    return Case(snapshot(machines, services, {"web": web, "other": others}), caps, chosen, machines)


def distributions(most: Mapping[str, int], tasks: int) -> Iterator[dict[str, int]]:
    for counts in itertools.product(*(range(min(tasks, cap) + 1) for cap in most.values())):
        if sum(counts) == tasks:
            yield dict(zip(most, counts, strict=True))


def squares_of(case: Case, counts: Mapping[str, int]) -> tuple[int, ...]:
    """Add up the squares of all groups' tasks at each level, from the outermost preference to the nodes."""
    paths = {key: path(case, key) for key in case.machines}
    found = []
    for depth in range(1, len(next(iter(paths.values()))) + 1):
        totals: Counter[tuple[str, ...]] = Counter()
        for node, where in paths.items():
            totals[where[:depth]] += counts.get(node, 0)
        found.append(sum(number**2 for number in totals.values()))
    return tuple(found)


def path(case: Case, node: str) -> tuple[str, ...]:
    labels = {"node.labels.zone": case.machines[node].zone, "engine.labels.rack": case.machines[node].rack}
    return (*(labels[one] for one in case.preferences if one in labels), node)


def count_moves(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    return sum(max(0, count - before.get(node, 0)) for node, count in after.items())


def spread_of(case: Case, **options: Any) -> ServicePlan:
    return plan_services(case.snapshot, [case.snapshot.service_by_id["web"]], **options)[0]


def later(case: Case, plan: ServicePlan) -> Case:
    others = Counter(task.node for task in case.snapshot.tasks if task.service == "other")
    tasks = stand({"web": plan.after, "other": others})
    return replace(case, snapshot=replace(case.snapshot, tasks=tasks))


def crowding(case: Case, counts: Mapping[str, int]) -> float:
    """Add up the squares of all nodes' loads: their tasks, and half the share of CPU others reserve."""
    others = Counter(task.node for task in case.snapshot.tasks if task.service == "other")
    loads = (
        counts.get(node, 0) + others[node] + min(0.999, others[node] / one.cpus / 2)
        for node, one in case.machines.items()
    )
    return sum(load**2 for load in loads)


def assert_best(case: Case, plan: ServicePlan) -> None:
    every = list(distributions(case.most, sum(plan.before.values())))
    best = min((squares_of(case, one), count_moves(plan.before, one)) for one in every)
    assert (
        squares_of(case, plan.after),
        count_moves(plan.before, plan.after),
    ) == best
    equal = (one for one in every if (squares_of(case, one), count_moves(plan.before, one)) == best)
    least = min(crowding(case, one) for one in equal)
    assert crowding(case, plan.after) == pytest.approx(least)


@settings(max_examples=4 * settings().max_examples)
@given(cases())
def test_the_plan_is_the_most_even_then_with_the_fewest_moves_then_least_crowded(
    case: Case,
) -> None:
    assert_best(case, spread_of(case, rolling=["web"]))


@settings(max_examples=3 * settings().max_examples)
@given(cases(((),)))
def test_a_surge_without_preferences_ends_best_with_the_fewest_tasks(case: Case) -> None:
    plan = spread_of(case)
    assert_best(case, plan)
    assert sum(plan.waves) == plan.moves == count_moves(plan.before, plan.after)
    assert sorted(surge_outcome(plan, case.snapshot).values()) == sorted(plan.after.values())


@settings(max_examples=3 * settings().max_examples)
@given(cases())
def test_no_rule_is_broken_and_no_task_is_lost(case: Case) -> None:
    for options in ({}, {"rolling": ["web"]}, {"most": 1}):
        plan = spread_of(case, **options)
        assert sum(plan.after.values()) == sum(plan.before.values())
        assert all(0 < count <= case.most[node] for node, count in plan.after.items())


@settings(max_examples=3 * settings().max_examples)
@given(cases())
def test_a_plan_is_carried_out_once_and_then_there_is_nothing_to_do(case: Case) -> None:
    assert spread_of(later(case, spread_of(case, rolling=["web"])), rolling=["web"]).moves == 0


@settings(max_examples=4 * settings().max_examples)
@given(cases())
def test_a_surge_levels_nodes_with_the_fewest_tasks_where_groups_gain_or_agree(
    case: Case,
) -> None:
    flat, plan = replace(case, preferences=()), spread_of(case)
    every = list(distributions(case.most, sum(plan.before.values())))
    level = min((squares_of(flat, one), count_moves(plan.before, one)) for one in every)
    wanted = min(every, key=lambda one: squares_of(case, one))
    same = squares_of(flat, wanted) == level[0]
    if plan.moves:
        assert (squares_of(flat, plan.after), plan.moves) == level
        assert same or squares_of(case, plan.after) < squares_of(case, plan.before)
    else:
        assert plan.after == plan.before
        assert not same or not level[1] or squares_of(case, plan.before) == squares_of(case, wanted)


@settings(max_examples=3 * settings().max_examples)
@given(cases())
def test_after_a_surge_there_is_nothing_to_surge_for(case: Case) -> None:
    assert spread_of(later(case, spread_of(case))).moves == 0


@settings(max_examples=3 * settings().max_examples)
@given(cases(), st.integers(1, 5))
def test_a_limit_on_moves_holds_and_what_is_left_of_the_plan_still_evens(case: Case, most: int) -> None:
    plan, flat = spread_of(case, most=most), replace(case, preferences=())
    assert plan.moves <= most
    assert squares_of(flat, plan.after) < squares_of(flat, plan.before) or not plan.moves


@given(cases())
def test_unevenness_is_measured_as_the_planner_measures_it(case: Case) -> None:
    flat = Group(nodes=tuple(case.machines))
    counts = Counter(task.node for task in case.snapshot.tasks if task.service == "web")
    assert unevenness(flat, counts) == squares_of(replace(case, preferences=()), counts)
