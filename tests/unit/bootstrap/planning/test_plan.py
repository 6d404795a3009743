"""Spreads as an operator meets them: what moves, in which steps, and the words that say why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.engine.snapshot import Snapshot
from bootstrap.planning.plan import (
    OPT_IN_LABEL,
    ServicePlan,
    plan_services,
    surge_outcome,
)
from tests.unit.bootstrap.support.swarms import Machine, service, snapshot

OPTED_IN = {OPT_IN_LABEL: "true"}
ZONE = ("node.labels.zone",)


def plan_run(
    counts: Mapping[str, int], machines: Mapping[str, Machine] | None = None, **settings: Any
) -> tuple[ServicePlan, Snapshot]:
    """Plan one service that stands like that; other nodes than those with a count need a machine."""
    machines = {**dict.fromkeys(counts, Machine()), **(machines or {})}
    rolling = settings.pop("rolling", ())
    web = service("web", sum(counts.values()), **settings)
    swarm = snapshot(machines, [web], {"web": counts})
    return plan_services(swarm, [web], rolling=rolling)[0], swarm


@pytest.mark.parametrize(
    ("before", "after", "waves", "reason"),
    [
        (
            {"a": 5, "b": 4, "c": 0},
            {"a": 3, "b": 3, "c": 3},
            (3,),
            "3 of 9 tasks move: 5 on 1 node, 4 on 1 node, 0 on 1 node, then 3 on 3 nodes",
        ),
        (
            {"a": 9, "b": 0, "c": 0},
            {"a": 3, "b": 3, "c": 3},
            (2, 2, 2),  # all six at once end in 4/4/1 (measured)
            "6 of 9 tasks move: 9 on 1 node, 0 on 2 nodes, then 3 on 3 nodes",
        ),
        (
            {"a": 6, "b": 2, "c": 0, "d": 0},
            {"a": 2, "b": 2, "c": 2, "d": 2},
            (2, 2),
            "4 of 8 tasks move: 6 on 1 node, 2 on 1 node, 0 on 2 nodes, then 2 on 4 nodes",
        ),
        ({"a": 3, "b": 3, "c": 2}, {"a": 3, "b": 3, "c": 2}, (), "balanced: 3 on 2 nodes, 2 on 1 node"),
        ({"a": 0, "b": 0}, {}, (), "balanced: it has no task"),
    ],
)
def test_a_service_is_spread_evenly_with_the_fewest_moves(
    before: dict[str, int], after: dict[str, int], waves: tuple[int, ...], reason: str
) -> None:
    plan, swarm = plan_run(before)
    assert (plan.after, plan.waves, plan.reason) == (after, waves, reason)
    assert surge_outcome(plan, swarm) == after


@pytest.mark.parametrize(
    ("settings", "second", "rule"),
    [
        ({"most": 1}, Machine(), "max replicas per node on b"),
        ({"cpus": 1}, Machine(cpus=1), "reserved CPU on b"),
        ({"gpus": 1}, Machine(gpus=1), "generic resource gpu on b"),
        ({"port": 80}, Machine(), "host port on b"),
        ({}, Machine(availability="pause"), "availability pause on b"),
        ({"constraints": ["node.labels.disk==ssd"]}, Machine(disk="hdd"), "its constraints or platform on b"),
    ],
)
def test_the_rule_that_stands_in_the_way_is_named(
    settings: dict[str, Any], second: Machine, rule: str
) -> None:
    plan, _ = plan_run({"a": 3, "b": 1}, {"a": Machine(gpus=4), "b": second}, **settings)
    assert plan.moves == 0
    assert plan.reason == f"as even as the rules allow: 3 on 1 node, 1 on 1 node (in the way: {rule})"


def test_a_node_without_a_plugin_gets_nothing_and_the_reason_names_it() -> None:
    web = service("web", 4)
    web = replace(web, spec={**web.spec, "TaskTemplate": {"LogDriver": {"Name": "splunk"}}})
    swarm = snapshot(dict.fromkeys("abc", Machine()), [web], {"web": {"a": 3, "b": 1}})
    known = {"a": {("Log", "splunk")}, "b": {("Log", "syslog")}, "c": {("Log", "syslog")}}
    nodes = tuple(replace(node, plugins=frozenset(known[node.id])) for node in swarm.nodes)
    assert plan_services(replace(swarm, nodes=nodes), [web])[0].reason == (
        "as even as the rules allow: 3 on 1 node, 1 on 1 node (in the way: missing log plugin splunk on b)"
    )


def test_a_preference_may_be_written_in_any_case_but_for_the_label() -> None:
    machines = {"a1": Machine(zone="a"), "a2": Machine(zone="a"), "b1": Machine(zone="b")}
    counts = {"a1": 4, "b1": 4}
    assert plan_run(counts, machines, preferences=("Node.Labels.zone",))[0].moves == 0
    assert plan_run(counts, machines, preferences=("node.labels.ZONE",))[0].moves > 0


def test_evacuating_and_drained_nodes_receive_nothing() -> None:
    machines = {
        "b": Machine(evacuation_deadline="1000"),
        "c": Machine(availability="drain"),
        "d": Machine(state="down"),
    }
    plan, _ = plan_run({"a": 4}, {**machines, "e": Machine()})
    assert plan.after == {"a": 2, "e": 2}


def placed(machines: Mapping[str, Machine], tasks: int) -> dict[str, int]:
    """Tell how Swarm places tasks over zones when the first node is not there yet."""
    counts = dict.fromkeys(list(machines)[1:], 0)
    for _ in range(tasks):
        zones = Counter[str]()
        for node, count in counts.items():
            zones[node[0]] += count
        counts[min(counts, key=lambda node: (zones[node[0]], counts[node]))] += 1
    return counts


@pytest.mark.parametrize("nodes", [2, 3, 4])
@pytest.mark.parametrize("tasks", range(3, 31))
def test_a_node_that_joins_a_zone_is_filled_with_no_more_restarts_than_needed(nodes: int, tasks: int) -> None:
    machines = {f"{zone}{at}": Machine(zone=zone) for zone in "abc" for at in range(nodes)}
    plan, swarm = plan_run(placed(machines, tasks), machines, preferences=ZONE)
    least = plan_services(swarm, swarm.services, rolling=["web"])[0].moves
    assert plan.moves == sum(plan.waves) == least
    height = tasks // len(machines)
    assert all(plan.after.get(node, 0) in (height, height + 1) for node in machines)
    assert surge_outcome(plan, swarm) == plan.after
    zones = [sum(count for node, count in plan.after.items() if node[0] == zone) for zone in "abc"]
    assert max(zones) - min(zones) <= 1 + 2 * least


def test_preferences_stay_where_new_nodes_of_all_zones_are_filled() -> None:
    machines = {f"{zone}{at}": Machine(zone=zone) for zone in "abc" for at in range(4)}
    plan, swarm = plan_run({"a0": 2, "b0": 2, "c0": 2}, machines, preferences=ZONE)
    zones = Counter(node[0] for node in plan.after)
    assert (zones, plan.moves, plan.aside) == (Counter(a=2, b=2, c=2), 3, False)
    assert surge_outcome(plan, swarm) == plan.after


def test_a_limit_cuts_a_surge_over_zones_like_any_other() -> None:
    machines = {f"{zone}{at}": Machine(zone=zone) for zone in "abc" for at in range(2)}
    web = service("web", 15, preferences=ZONE)
    swarm = snapshot(machines, [web], {"web": {"a0": 5, "b0": 3, "b1": 2, "c0": 3, "c1": 2}})
    plan = plan_services(swarm, [web], most=1)[0]
    assert (plan.waves, plan.missing) == ((1,), 1)
    assert plan.after == {"a0": 4, "a1": 1, "b0": 3, "b1": 2, "c0": 3, "c1": 2}
    assert plan.reason.endswith("; 1 more would even it, but the limit on all moves is reached")


def test_where_zones_have_unequal_nodes_only_rolling_evens_and_the_plan_says_so() -> None:
    machines = {"a1": Machine(zone="a"), "a2": Machine(zone="a"), "b1": Machine(zone="b")}
    plan, swarm = plan_run({"a1": 4, "b1": 4}, machines, preferences=ZONE)
    assert (plan.moves, plan.missing, plan.after) == (0, 2, plan.before)
    assert plan.reason == (
        "left as it is: 2 moves would even it, but rolling would be needed: "
        "Swarm's scale-down knows no placement preferences, and the groups have 1 to 2 nodes"
    )
    rolled = plan_services(swarm, swarm.services, rolling=["web"])[0]
    assert (rolled.after, rolled.moves, rolled.waves) == ({"a1": 2, "a2": 2, "b1": 4}, 2, ())


def test_among_equal_nodes_the_one_with_the_least_load_receives() -> None:
    web, other = service("web", 2), service("other", 3)
    machines = dict.fromkeys(["a", "b", "c"], Machine())
    swarm = snapshot(machines, [web, other], {"web": {"a": 2}, "other": {"b": 2, "c": 1}})
    assert plan_services(swarm, [web])[0].after == {"a": 1, "c": 1}


def test_of_nodes_that_give_the_one_with_the_most_of_other_services_gives_more() -> None:
    web, other = service("web", 9), service("other", 2)
    counts = {"web": {"a": 6, "b": 3}, "other": {"b": 2}}
    swarm = snapshot(dict.fromkeys("abcd", Machine()), [web, other], counts)
    assert plan_services(swarm, [web])[0].after == {"a": 3, "b": 2, "c": 2, "d": 2}
