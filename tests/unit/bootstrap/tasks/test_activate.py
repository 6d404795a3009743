"""A joined node has tasks only once it is complete; what it was before is removed, never a living node."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.engine.node import Membership
from bootstrap.tasks import activate, give_back
from chalicelib.protocol.messages import Arguments, Fate, Result, Target
from tests.unit.bootstrap.support.fake_host import Killed, killing
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance

ENGINE = {"swarmkeeper.zone": "us-east-1b", "swarmkeeper.lifecycle": "spot", "other": "not ours"}


class Swarm(FakeSwarm):
    """With what a manager's engine knows of others; ``strangers`` are addresses that it does not."""

    strangers: frozenset[str] = frozenset()

    def peers(self, network: str = "ingress") -> frozenset[str] | None:
        assert network == "ingress"
        return frozenset(node.address for node in self.nodes()) - self.strangers

    def membership(self) -> Membership:
        addresses = frozenset(node.address for node in self.nodes() if node.role == "manager")
        return Membership("active", "n01", True, addresses)


@pytest.fixture
def swarm() -> Swarm:
    swarm = Swarm(managers=3, workers=2)
    joined(swarm, swarm.add_node(), 6)
    return swarm


def joined(swarm: FakeSwarm, node: str, number: int, **labels: str) -> str:
    swarm.node_rows[node]["Spec"]["Availability"] = "drain"
    engine = {"swarmkeeper.instance": instance(number), **ENGINE, **labels}
    swarm.node_rows[node]["Description"]["Engine"]["Labels"] = engine
    return node


def run(swarm: FakeSwarm, *nodes: str, number: int = 6) -> Result:
    targets = tuple(Target(instance(number), f"10.0.0.{number}", node) for node in nodes)
    return activate.run(swarm, Arguments(targets), swarm.clock)


def spec(swarm: FakeSwarm, node: str) -> dict[str, Any]:
    found: dict[str, Any] = swarm.node_rows[node]["Spec"]
    return found


def test_a_ready_node_gets_its_labels_and_may_have_tasks(swarm: Swarm) -> None:
    result = run(swarm, "n06")
    assert (result.ok, result.nodes[0].fate) == (True, Fate.ACTIVE)
    assert spec(swarm, "n06")["Availability"] == "active"
    assert spec(swarm, "n06")["Labels"] == {
        "swarmkeeper.instance": instance(6),
        "swarmkeeper.zone": "us-east-1b",
        "swarmkeeper.lifecycle": "spot",
    }


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", range(3))
def test_killed_at_any_effect_and_run_again_it_ends_the_same(swarm: Swarm, number: int, side: str) -> None:
    old = joined(swarm, swarm.add_node(), 6)
    swarm.cut(old)
    effects = itertools.count()
    originals: tuple[Any, Any] = swarm.update_node, swarm.remove_node
    swarm.update_node, swarm.remove_node = (  # type: ignore[method-assign]
        killing(effect, lambda: next(effects) == number, side) for effect in originals
    )
    with pytest.raises(Killed):
        run(swarm, "n06")
    swarm.update_node, swarm.remove_node = originals  # type: ignore[method-assign]
    assert run(swarm, "n06").ok
    assert spec(swarm, "n06")["Availability"] == "active"
    assert old not in swarm.node_rows


def test_a_node_that_is_down_stays_drained(swarm: Swarm) -> None:
    swarm.cut("n06")
    result = run(swarm, "n06")
    assert (result.ok, result.nodes[0].fate) == (False, Fate.UNFINISHED)
    assert spec(swarm, "n06")["Availability"] == "drain"


def test_a_node_whose_engine_is_a_stranger_to_ours_waits_until_it_is_known(swarm: Swarm) -> None:
    swarm.strangers = frozenset({"10.0.0.6"})
    result = run(swarm, "n06")
    assert "ingress" in result.nodes[0].detail
    assert spec(swarm, "n06")["Availability"] == "drain"
    swarm.strangers = frozenset()
    assert run(swarm, "n06").ok


def test_exactly_the_node_that_was_joined_counts(swarm: Swarm) -> None:
    """Another one of the same instance, even if it lives, is not it."""
    result = run(swarm, "gone")
    assert (result.ok, result.nodes[0].fate) == (False, Fate.ABSENT)
    assert result.nodes[0].detail == "the swarm lists no node gone"
    assert spec(swarm, "n06")["Availability"] == "drain"


def test_what_the_instance_was_before_is_removed_but_only_if_it_is_dead(swarm: Swarm) -> None:
    dead, living = (joined(swarm, swarm.add_node(), 6) for _ in range(2))
    swarm.cut(dead)
    assert run(swarm, "n06").ok
    assert dead not in swarm.node_rows
    assert living in swarm.node_rows


def test_a_node_that_the_instance_just_was_is_waited_for_until_it_is_called_down(swarm: Swarm) -> None:
    """The host joined anew within the seconds that the swarm needs to notice: nobody else would remove it."""
    old, began = joined(swarm, swarm.add_node(), 6), swarm.time
    sleep = swarm.sleep

    def noticed(seconds: float) -> None:
        sleep(seconds)
        if swarm.time > began + 12 and old in swarm.node_rows:
            swarm.cut(old)

    swarm.clock = replace(swarm.clock, sleep=noticed)
    assert run(swarm, "n06").ok
    assert old not in swarm.node_rows


def test_a_dead_manager_that_the_instance_was_is_demoted_and_removed(swarm: Swarm) -> None:
    joined(swarm, "n03", 6)
    swarm.cut("n03")
    swarm.node_rows["n03"]["ManagerStatus"]["Reachability"] = "unreachable"
    assert run(swarm, "n06").ok
    assert "n03" not in swarm.node_rows


def test_a_node_that_is_to_be_a_manager_is_promoted_while_all_managers_answer(swarm: Swarm) -> None:
    new = joined(swarm, swarm.add_node(), 9, **{"swarmkeeper.role": "manager"})
    swarm.node_rows["n03"]["ManagerStatus"]["Reachability"] = "unreachable"
    assert "demote them first" in run(swarm, new, number=9).nodes[0].detail
    assert spec(swarm, new)["Role"] == "worker"


def test_a_deadline_that_is_over_is_taken_away_and_one_to_come_is_not(swarm: Swarm) -> None:
    for node, doom in (("n06", swarm.time - 1), ("n05", swarm.time + 1e6)):
        spec(swarm, node)["Labels"] = {"swarmkeeper.evacuate": f"{doom:.0f}"}
    assert run(swarm, "n06").ok
    assert "being evacuated" in run(swarm, "n05", number=5).nodes[0].detail
    assert "swarmkeeper.evacuate" not in spec(swarm, "n06")["Labels"]


def test_a_node_is_given_back_without_its_deadline_and_with_its_other_labels(swarm: Swarm) -> None:
    spec(swarm, "n05").update(Labels={"swarmkeeper.evacuate": "1 3", "rack": "7"}, Availability="drain")
    targets = (Target(instance(5), "10.0.0.5", version=4), Target(instance(99), "10.0.0.99"))
    result = give_back.run(swarm, Arguments(targets), swarm.clock)
    assert [row.fate for row in result.nodes] == [Fate.ACTIVE, Fate.ABSENT]
    assert spec(swarm, "n05") == {"Role": "worker", "Availability": "active", "Labels": {"rack": "7"}}


def test_a_late_give_back_leaves_a_node_alone_that_a_newer_order_evacuates(swarm: Swarm) -> None:
    doomed = {"Labels": {"swarmkeeper.evacuate": f"{swarm.time + 100:.0f} 5"}, "Availability": "pause"}
    spec(swarm, "n05").update(doomed)
    targets = (Target(instance(5), "10.0.0.5", version=4), Target(instance(6), "10.0.0.6", version=4))
    began = swarm.time
    result = give_back.run(swarm, Arguments(targets), swarm.clock)
    assert [row.fate for row in result.nodes] == [Fate.UNFINISHED, Fate.ACTIVE]
    assert result.nodes[0].detail == "node host-05 is being evacuated anew"
    assert swarm.time - began < 5, "no use to wait"
    assert spec(swarm, "n05") == {"Role": "worker", **doomed}
    by_hand = give_back.run(swarm, Arguments((Target(instance(5), "10.0.0.5"),)), swarm.clock)
    assert by_hand.ok, "a person who says no version may"
