"""Doomed managers end as workers, whoever does the work; what is no worker in the end is not called safe."""

from __future__ import annotations

from dataclasses import replace

from bootstrap.engine.client import NotManagerError
from bootstrap.engine.node import Node
from bootstrap.tasks import evacuate
from chalicelib.protocol.messages import Arguments, End, Fate, Result, Target
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance

NOTICE_S = 60.0


class Swarm(FakeSwarm):
    """The engine of a manager that cannot be asked any more once it is a worker."""

    def nodes(self) -> tuple[Node, ...]:
        found = super().nodes()
        if found[0].role != "manager":
            raise NotManagerError("This node is not a swarm manager")
        return found

    def update_node(self, node: Node, **changes: object) -> None:
        super().update_node(node, **changes)
        if changes.get("Role") == "manager":
            self.node_rows[node.id]["ManagerStatus"] = {"Reachability": "reachable", "Leader": False}

    @property
    def managers(self) -> list[str]:
        return [key for key, row in self.node_rows.items() if row["Spec"]["Role"] == "manager"]


def run(swarm: FakeSwarm, *numbers: int, end: End = End.ANNOUNCED) -> Result:
    for number in numbers:
        swarm.node_rows[f"n{number:02}"]["Spec"]["Labels"]["swarmkeeper.instance"] = instance(number)
    targets = tuple(Target(instance(one), f"10.0.0.{one}", end=end) for one in numbers)
    return evacuate.run(swarm, Arguments(targets, swarm.time + NOTICE_S), swarm.clock)


def test_an_agent_on_a_doomed_manager_demotes_the_others_and_itself_last() -> None:
    """Reported: the breaker of the third was open; it could not demote itself, and the quorum was lost."""
    swarm = Swarm(managers=3, workers=2)
    swarm.add_service("web")
    result = run(swarm, 1, 2)
    assert result.ok
    assert [row.fate for row in result.nodes] == [Fate.SAFE, Fate.SAFE]
    assert swarm.managers == ["n03"]
    assert swarm.fewest.get("web", 2) == 2


def test_the_only_manager_has_a_worker_promoted_and_is_none_in_the_end() -> None:
    swarm = Swarm(managers=1, workers=2)
    swarm.node_rows["n02"]["Spec"]["Labels"] = {"swarmkeeper.instance": instance(2)}
    result = run(swarm, 1)
    assert [(row.instance, row.fate) for row in result.nodes] == [
        (instance(1), Fate.SAFE),
        (instance(2), Fate.PROMOTED),
    ]
    assert swarm.managers == ["n02"]


def test_a_doomed_manager_that_stays_one_is_not_called_safe() -> None:
    swarm = Swarm(managers=1, workers=0)
    began = swarm.time
    result = run(swarm, 1)
    assert (result.ok, result.nodes[0].fate) == (False, Fate.UNFINISHED)
    assert "still a manager" in result.nodes[0].detail
    assert swarm.time - began >= NOTICE_S, "it is tried to the end"


def test_the_only_manager_that_comes_back_stays_one_and_is_soon_done() -> None:
    swarm = Swarm(managers=1, workers=2)
    began = swarm.time
    result = run(swarm, 1, end=End.FOR_A_WHILE)
    assert (result.ok, swarm.managers) == (True, ["n01"])
    assert swarm.time - began < 30


def test_the_agent_does_not_demote_itself_while_others_are_not_empty_yet() -> None:
    swarm = Swarm(managers=3, workers=2)
    swarm.add_service("web")
    order: list[str] = []
    update = swarm.update_node

    def told(node: Node, **changes: object) -> None:
        if "Role" in changes:
            order.append(node.id)
        update(node, **changes)

    swarm.update_node = told  # type: ignore[method-assign]
    assert run(swarm, 1, 4).ok
    assert order == ["n01"]
    assert all(not swarm.on(node) for node in ("n01", "n04"))


def test_a_manager_that_is_drilled_is_demoted_by_itself_too() -> None:
    swarm = Swarm(managers=3, workers=1)
    result = run(swarm, 1, end=End.FOR_A_WHILE)
    assert (result.ok, swarm.managers) == (True, ["n02", "n03"])


def test_a_snapshot_without_a_vote_has_one_manager_fewer() -> None:
    snapshot = FakeSwarm(managers=2, workers=0).snapshot()
    found = evacuate.without_vote(snapshot, "n01")
    assert [node.has_vote for node in found.nodes] == [False, True]
    assert replace(found, nodes=snapshot.nodes) == snapshot
