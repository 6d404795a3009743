"""Nodes of instances that are gone are removed, exactly those, and never a living one."""

from __future__ import annotations

import pytest

from bootstrap.engine.client import RefusedError
from bootstrap.engine.node import Node
from bootstrap.engine.service import EXCLUSION_LABEL
from bootstrap.specs.exclusion import Pace, exclude_nodes
from bootstrap.tasks import leave
from chalicelib.protocol.messages import Arguments, Fate, Result, Target
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance


def target(number: int, node: str = "") -> Target:
    return Target(instance(number), f"10.0.0.{number}", node)


def run(swarm: FakeSwarm, *targets: Target) -> Result:
    return leave.run(swarm, Arguments(targets), swarm.clock)


@pytest.fixture
def swarm() -> FakeSwarm:
    return FakeSwarm(managers=3, workers=3)


def test_a_dead_worker_is_removed_by_its_exact_id(swarm: FakeSwarm) -> None:
    swarm.cut("n05")
    result = run(swarm, target(5))
    assert result.ok
    assert result.nodes[0].fate is Fate.REMOVED
    assert sorted(swarm.node_rows) == ["n01", "n02", "n03", "n04", "n06"]


def test_a_node_that_dies_during_the_wait_is_removed(swarm: FakeSwarm) -> None:
    sleep, began = swarm.sleep, swarm.time

    def dies(seconds: float) -> None:
        if swarm.time > began + 12 and "n05" in swarm.node_rows:
            swarm.cut("n05")
        sleep(seconds)

    swarm.clock = type(swarm.clock)(swarm.clock.now, dies)
    assert run(swarm, target(5)).ok
    assert "n05" not in swarm.node_rows


def test_a_node_that_still_answers_is_not_removed(swarm: FakeSwarm) -> None:
    result = run(swarm, target(5))
    assert not result.ok
    assert result.nodes[0].fate is Fate.ALIVE
    assert "n05" in swarm.node_rows


def test_a_dead_manager_is_demoted_first(swarm: FakeSwarm) -> None:
    swarm.cut("n02")
    swarm.node_rows["n02"]["ManagerStatus"]["Reachability"] = "unreachable"
    assert run(swarm, target(2)).ok
    assert "n02" not in swarm.node_rows


def test_with_two_of_three_managers_lost_nothing_is_demoted_or_removed(swarm: FakeSwarm) -> None:
    for node in ("n02", "n03"):
        swarm.cut(node)
        swarm.node_rows[node]["ManagerStatus"]["Reachability"] = "unreachable"
    result = run(swarm, target(2), target(3))
    assert [node.fate for node in result.nodes] == [Fate.KEPT, Fate.KEPT]
    assert "1 of 3 managers answer" in result.nodes[0].detail
    assert len(swarm.node_rows) == 6


def test_leaving_twice_is_leaving_once(swarm: FakeSwarm) -> None:
    swarm.cut("n05")
    run(swarm, target(5, "n05"))
    result = run(swarm, target(5, "n05"))
    assert result.ok
    assert len(swarm.node_rows) == 5


def test_a_host_that_came_back_under_another_id_keeps_its_living_node(swarm: FakeSwarm) -> None:
    back = swarm.add_node("worker")
    for node in (back, "n05"):
        swarm.node_rows[node]["Spec"]["Labels"] = {"swarmkeeper.instance": instance(5)}
    swarm.cut("n05")
    assert run(swarm, target(5)).ok is False
    assert "n05" not in swarm.node_rows
    assert back in swarm.node_rows


def test_an_address_counts_only_for_a_node_without_an_instance(swarm: FakeSwarm) -> None:
    """A stranger's address, used again, must not remove the node that has it now."""
    swarm.node_rows["n05"]["Spec"]["Labels"] = {"swarmkeeper.instance": instance(5)}
    swarm.cut("n05")
    assert run(swarm, Target(instance(99), "10.0.0.5")).nodes[0].fate is Fate.REMOVED
    assert "n05" in swarm.node_rows


def test_what_a_dead_evacuation_left_behind_is_mended(swarm: FakeSwarm) -> None:
    swarm.add_service("web", 2)
    spec = swarm.spec("web")
    marked = {**spec, "Labels": {EXCLUSION_LABEL: '{"nodes":["n06"],"labels":false,"ours":{}}'}}
    swarm.service_rows["web"]["Spec"] = marked
    swarm.cut("n05")
    run(swarm, target(5))
    assert swarm.spec("web") == spec


def test_what_is_left_behind_is_mended_even_if_a_replacement_still_starts(swarm: FakeSwarm) -> None:
    swarm.add_service("web", 2)
    spec = swarm.spec("web")
    doomed = next(task for task in swarm.of("web") if task.is_running)
    service = next(service for service in swarm.services() if service.id == "web")
    swarm.update_service(service, exclude_nodes(service, [doomed.node], "start-first", Pace()))
    swarm.step()
    swarm.cut("n05" if doomed.node == "n04" else "n04")
    gone = 5 if doomed.node == "n04" else 4
    assert run(swarm, target(gone)).ok
    assert swarm.spec("web") == spec
    assert run(swarm, target(gone)).ok


def test_a_living_node_is_not_removed_because_an_election_made_its_state_unknown(swarm: FakeSwarm) -> None:
    for row in swarm.node_rows.values():
        row["Status"]["State"] = "unknown"
    assert run(swarm, target(5)).nodes[0].fate is Fate.ALIVE
    assert "n05" in swarm.node_rows


def test_an_address_counts_for_nothing_once_the_node_id_was_known(swarm: FakeSwarm) -> None:
    """The node was removed before; a stranger without a label has its address, and is down just now."""
    swarm.node_rows["n05"]["Description"]["Engine"]["Labels"] = {}
    swarm.cut("n05")
    assert run(swarm, Target(instance(99), "10.0.0.5", "n99")).nodes[0].fate is Fate.REMOVED
    assert "n05" in swarm.node_rows


def test_a_node_that_cannot_be_removed_yet_does_not_hold_up_the_others(swarm: FakeSwarm) -> None:
    for node in ("n04", "n05"):
        swarm.cut(node)
    remove = swarm.remove_node

    def refused(node: Node, *, force: bool = False) -> None:
        if node.id == "n04":
            raise RefusedError("node n04 is a cluster manager and is a member of the raft cluster")
        remove(node, force=force)

    swarm.remove_node = refused  # type: ignore[method-assign]
    result = run(swarm, target(4), target(5))
    assert [report.fate for report in result.nodes] == [Fate.KEPT, Fate.REMOVED]
