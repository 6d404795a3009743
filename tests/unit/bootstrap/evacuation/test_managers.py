"""Every set of doomed managers of 1, 3, 5 and 7, with dead ones, from every place that may decide.

The managers are told apart by what becomes of them: they stay (s), are doomed (d), or are dead (x). Whatever
the agent does is played until nothing is left to do; then the doomed lose their power.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from bootstrap.actions import ChangeNode, DemoteNode
from bootstrap.engine.node import EVACUATION_DEADLINE_LABEL, INSTANCE_LABEL, ROLE_LABEL, Node
from bootstrap.engine.snapshot import Snapshot
from bootstrap.evacuation.managers import manager_actions

MAJORITY = {voters: voters // 2 + 1 for voters in range(1, 12)}
SIZES = (1, 3, 5, 7)


def manager(number: int, kind: str) -> Node:
    spec = {"Role": "manager", "Availability": "active", "Labels": {}}
    if kind == "d":
        labels = {EVACUATION_DEADLINE_LABEL: "120 7"}
        spec = {**spec, "Availability": "drain", "Labels": labels}
    node = Node(f"m{number}", 1, spec, "ready", "", f"m{number}", {}, ("", ""), 0, 0, "reachable")
    return replace(node, state="down", reachability="unreachable") if kind == "x" else node


def worker(number: int, tag: str = "worker") -> Node:
    labels = {INSTANCE_LABEL: f"i-{number:017x}", ROLE_LABEL: tag}
    spec = {"Role": "worker", "Availability": "active", "Labels": labels}
    return Node(f"w{number}", 1, spec, "ready", "", f"w{number}", {}, ("", ""), 0, 0)


def play(kinds: str, workers: int, here: str, *, is_lasting: bool = True) -> dict[str, Node]:
    """Do what the agent on ``here`` decides, checking each change against the quorum."""
    managers = [manager(number, kind) for number, kind in enumerate(kinds)]
    leader = next((node.id for node in managers if node.reachability == "reachable"), "")
    managers = [replace(node, is_leader=node.id == leader) for node in managers]
    nodes = {node.id: node for node in (*managers, *map(worker, range(workers)))}
    for _ in range(30):
        actions = manager_actions(Snapshot(tuple(nodes.values()), (), ()), here, is_lasting=is_lasting)
        if not actions:
            return nodes
        (action,) = actions
        assert isinstance(action, (ChangeNode, DemoteNode))
        node = nodes[action.node.id]
        role = action.changes["Role"] if isinstance(action, ChangeNode) else "worker"
        nodes[node.id] = replace(
            node,
            spec={**node.spec, "Role": role},
            reachability="reachable" if role == "manager" else "",
            is_leader=False,
        )
        voters = [one for one in nodes.values() if one.has_vote]
        answering = sum(one.reachability == "reachable" for one in voters)
        assert answering >= MAJORITY[len(voters)], f"{action} costs the quorum"
        if node.id == here and role == "worker":
            return nodes  # it can decide nothing any more
    raise AssertionError("it does not come to an end")


def survives(nodes: dict[str, Node]) -> bool:
    """Tell whether the managers have a majority once the doomed have no power any more."""
    voters = [node for node in nodes.values() if node.has_vote]
    staying = [node for node in voters if node.reachability == "reachable" and not node.is_evacuating]
    return bool(voters) and len(staying) >= MAJORITY[len(voters)]


def cases(size: int) -> list[str]:
    """List every mix that has a quorum to begin with, and something doomed; order tells nothing apart."""
    mixes = itertools.combinations_with_replacement("sdx", size)
    found = ("".join(mix) for mix in mixes)
    return [mix for mix in found if "d" in mix and size - mix.count("x") >= MAJORITY[size]]


@pytest.mark.parametrize("size", SIZES)
def test_with_workers_the_quorum_outlives_every_set_of_doomed_managers(size: int) -> None:
    for kinds in cases(size):
        for here in (f"m{number}" for number, kind in enumerate(kinds) if kind != "x"):
            nodes = play(kinds, 3, here)
            assert survives(nodes), (kinds, here)
            assert not any(node.has_vote and node.is_evacuating for node in nodes.values()), (kinds, here)


@pytest.mark.parametrize("size", SIZES)
def test_without_workers_the_quorum_outlives_them_wherever_it_can(size: int) -> None:
    for kinds in cases(size):
        for here in (f"m{number}" for number, kind in enumerate(kinds) if kind != "x"):
            assert survives(play(kinds, 0, here)) is ("s" in kinds), (kinds, here)


@pytest.mark.parametrize("size", SIZES)
def test_a_node_that_comes_back_has_nobody_promoted_in_its_place(size: int) -> None:
    for kinds in cases(size):
        nodes = play(kinds, 3, "m0" if kinds[0] != "x" else f"m{size - 1}", is_lasting=False)
        assert not any(node.has_vote for node in nodes.values() if node.id.startswith("w")), kinds


def test_two_of_three_doomed_and_the_agent_on_one_of_them_leaves_the_third_alone() -> None:
    """Reported: it demoted the other, could not demote itself, and both were cut: no leader."""
    nodes = play("sdd", 0, "m1")
    assert [node.id for node in nodes.values() if node.has_vote] == ["m0"]


def test_a_worker_that_is_tagged_manager_is_promoted_first() -> None:
    nodes = (manager(0, "d"), worker(1), worker(2, "manager"), worker(3))
    (action,) = manager_actions(Snapshot(nodes, (), ()), "m0", is_lasting=True)
    assert isinstance(action, ChangeNode)
    assert (action.node.id, action.changes) == ("w2", {"Role": "manager"})


def test_nobody_else_is_promoted_while_one_is_on_its_way() -> None:
    coming = worker(1)
    coming = replace(coming, spec={**coming.spec, "Role": "manager"})
    nodes = (manager(0, "d"), coming, worker(2))
    assert manager_actions(Snapshot(nodes, (), ()), "m0", is_lasting=True) == []
