"""A joined node has tasks only once it is complete; what it was before is removed, never a living node."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.membership import activation
from bootstrap.membership.node_lookup import nodes_of
from bootstrap.tasks import give_back
from chalicelib.protocol.messages import Arguments, Fate, Target
from tests.unit.bootstrap.support.fake_host import Killed, killing
from tests.unit.bootstrap.support.fake_swarm import instance
from tests.unit.bootstrap.tasks.support.activations import (
    Swarm,
    joined,
    run,
    spec,
    target,
    was,
)


@pytest.fixture
def swarm() -> Swarm:
    swarm = Swarm(managers=3, workers=2)
    joined(swarm, swarm.add_node(), 6)
    return swarm


def test_a_ready_node_gets_its_labels_and_may_have_tasks(swarm: Swarm) -> None:
    result = run(swarm, "n06")
    assert (result.ok, result.nodes[0].fate) == (True, Fate.ACTIVE)
    assert spec(swarm, "n06")["Availability"] == "active"
    assert spec(swarm, "n06")["Labels"] == {
        "swarmkeeper.instance": instance(6),
        "swarmkeeper.zone": "us-east-1b",
        "swarmkeeper.type": "c5.large",
        "swarmkeeper.lifecycle": "spot",
        "swarmkeeper.role": "worker",
        "swarmkeeper.cluster": "blue",
    }
    assert not result.nodes[0].differs


def test_what_a_host_says_of_itself_is_told_and_changes_nothing(swarm: Swarm) -> None:
    """Found by a review, and reproduced on hosts: root on a worker was a manager 35 s later."""
    claims = {"role": "manager", "instance": instance(5), "zone": "us-east-1a", "secret": "x" * 999}
    joined(swarm, "n06", 6, **{f"swarmkeeper.{name}": value for name, value in claims.items()})
    (report,) = run(swarm, "n06").nodes
    assert (report.fate, report.differs) == (Fate.ACTIVE, True)
    assert report.detail == (
        f"its engine says swarmkeeper.instance='{instance(5)}', it is '{instance(6)}'; "
        "swarmkeeper.zone='us-east-1a', it is 'us-east-1b'; swarmkeeper.role='manager', it is 'worker'"
    )
    assert spec(swarm, "n06")["Role"] == "worker"
    assert spec(swarm, "n06")["Labels"] == activation.known_labels(target("n06"), "blue")


def test_a_node_that_was_labelled_after_its_engine_gets_the_labels_of_its_record(swarm: Swarm) -> None:
    old = {
        "swarmkeeper.zone": "us-east-1a",
        "swarmkeeper.secret": "x",
        "swarmkeeper.type": "lie",
        "rack": "7",
    }
    spec(swarm, "n06")["Labels"] = old
    assert run(swarm, "n06", kind="").ok
    labels = spec(swarm, "n06")["Labels"]
    assert labels["swarmkeeper.zone"] == "us-east-1b"
    assert labels["swarmkeeper.type"] == "lie", "a record of version 0.1 does not know it yet"
    assert labels["rack"] == "7", "what people have set stays"
    assert "swarmkeeper.secret" not in labels


@pytest.mark.parametrize("node", ["n05", "n02"])
def test_a_host_that_names_the_node_of_another_one_is_refused(swarm: Swarm, node: str) -> None:
    """Its join reported that node; what counts is where the managers see the node."""
    number = int(node[1:])
    began, before = swarm.time, dict(spec(swarm, node))
    (report,) = run(swarm, node, number=6).nodes
    assert (report.fate, report.differs) == (Fate.UNFINISHED, True)
    assert report.detail == f"refused: node {node} is at 10.0.0.{number}, {instance(6)} at 10.0.0.6"
    assert spec(swarm, node) == before
    assert swarm.time - began < 1, "no use to wait"


def test_a_node_is_refused_that_carries_the_label_of_another_instance(swarm: Swarm) -> None:
    was(swarm, "n06", 5)
    (report,) = run(swarm, "n06").nodes
    assert report.detail == f"refused: node n06 is that of {instance(5)}"
    assert report.fate is Fate.ANOTHERS, "its host is told to leave what it believes to be"
    was(swarm, "n06", 6)
    swarm.node_rows["n06"]["Status"]["Addr"] = "10.0.0.66"
    assert "refused: node n06 is at 10.0.0.66" in run(swarm, "n06").nodes[0].detail


def test_a_node_that_shows_anothers_description_for_seconds_is_not_relabelled(swarm: Swarm) -> None:
    """A host that was booted from an image of it speaks as the same node."""
    was(swarm, "n05", 5)
    mine = {**swarm.node_rows["n05"]["Description"]}
    swarm.node_rows["n05"]["Description"]["Engine"] = {"Labels": {"swarmkeeper.instance": instance(6)}}
    swarm.node_rows["n05"]["Status"]["Addr"] = "10.0.0.6"
    sleep, began = swarm.sleep, swarm.time

    def over(seconds: float) -> None:
        sleep(seconds)
        if swarm.time > began + 5:
            swarm.node_rows["n05"].update(Description=mine, Status={"State": "ready", "Addr": "10.0.0.5"})

    swarm.clock = replace(swarm.clock, sleep=over)
    assert run(swarm, "n05", number=6).nodes[0].fate is Fate.ANOTHERS
    assert run(swarm, "n05", number=5).nodes[0].fate is Fate.ACTIVE
    assert spec(swarm, "n05")["Labels"]["swarmkeeper.instance"] == instance(5)


def test_a_manager_whose_disk_has_moved_to_another_instance_is_not_told_to_leave(swarm: Swarm) -> None:
    """Its vote is where its address is: without it the swarm may have no quorum."""
    was(swarm, "n01", 99)
    assert run(swarm, "n01", number=1, role="manager").nodes[0].fate is Fate.UNFINISHED


def test_a_worker_whose_address_is_not_listed_yet_waits(swarm: Swarm) -> None:
    swarm.node_rows["n06"]["Status"]["Addr"] = ""
    (report,) = run(swarm, "n06").nodes
    assert (report.fate, report.differs) == (Fate.UNFINISHED, False)
    assert report.detail == "not yet: no address of node host-06 is listed yet"


@pytest.mark.parametrize("label", ["other", "none"])
def test_the_node_id_that_a_host_reported_lends_it_no_node_of_others(swarm: Swarm, label: str) -> None:
    """An evacuation or a removal of its own would otherwise be one of theirs."""
    if label == "other":
        was(swarm, "n05", 5)
    assert nodes_of(target("n05", 6), swarm.nodes()) == ()
    assert [node.id for node in nodes_of(target("n05", 5), swarm.nodes())] == ["n05"]
    was(swarm, "n06", 6)
    assert [node.id for node in nodes_of(target("n05", 6), swarm.nodes())] == ["n06"]


def test_an_engine_label_makes_no_node_anybodys(swarm: Swarm) -> None:
    joined(swarm, "n05", 4)
    assert [node.id for node in nodes_of(target("", 4), swarm.nodes())] == ["n04"]


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", range(3))
def test_killed_at_any_effect_and_run_again_it_ends_the_same(swarm: Swarm, number: int, side: str) -> None:
    old = was(swarm, swarm.add_node(), 6)
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
    dead, living, unlabelled = (was(swarm, swarm.add_node(), 6) for _ in range(3))
    spec(swarm, unlabelled)["Labels"] = {}  # it died before it was activated
    swarm.node_rows[unlabelled]["Status"]["Addr"] = "10.0.0.6"
    for node in (dead, unlabelled):
        swarm.cut(node)
    assert run(swarm, "n06").ok
    assert not {dead, unlabelled} & set(swarm.node_rows)
    assert living in swarm.node_rows


def test_a_node_that_the_instance_just_was_is_waited_for_until_it_is_called_down(swarm: Swarm) -> None:
    """The host joined anew within the seconds that the swarm needs to notice: nobody else would remove it."""
    old, began = was(swarm, swarm.add_node(), 6), swarm.time
    sleep = swarm.sleep

    def noticed(seconds: float) -> None:
        sleep(seconds)
        if swarm.time > began + 12 and old in swarm.node_rows:
            swarm.cut(old)

    swarm.clock = replace(swarm.clock, sleep=noticed)
    assert run(swarm, "n06").ok
    assert old not in swarm.node_rows


def test_a_dead_manager_that_the_instance_was_is_demoted_and_removed(swarm: Swarm) -> None:
    was(swarm, "n03", 6)
    swarm.cut("n03")
    swarm.node_rows["n03"]["ManagerStatus"]["Reachability"] = "unreachable"
    assert run(swarm, "n06").ok
    assert "n03" not in swarm.node_rows


def test_a_node_that_is_to_be_a_manager_is_promoted_while_all_managers_answer(swarm: Swarm) -> None:
    new = joined(swarm, swarm.add_node(), 7)
    swarm.node_rows["n03"]["ManagerStatus"]["Reachability"] = "unreachable"
    assert "demote them first" in run(swarm, new, number=7, role="manager").nodes[0].detail
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
