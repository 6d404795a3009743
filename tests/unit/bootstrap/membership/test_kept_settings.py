"""What a node's admin has set is what it ends with: availability and labels, also over a stop and a start."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from bootstrap.engine.decode import read_node
from bootstrap.membership.kept_settings import read_settings, write_settings
from bootstrap.tasks import evacuate, give_back, leave
from chalicelib.protocol.messages import Arguments, Fate, Result, Target
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance
from tests.unit.bootstrap.tasks.support.activations import Swarm, joined, run, spec, was

AVAILABILITIES = ("active", "pause", "drain")
TARGET = Target(instance(5), "10.0.0.5", version=4)


@pytest.fixture
def swarm() -> Swarm:
    swarm = Swarm(managers=3, workers=2)
    was(swarm, "n05", 5)
    return swarm


def evacuated(swarm: FakeSwarm) -> Result:
    return evacuate.run(swarm, Arguments((TARGET,), swarm.time + 60), swarm.clock)


def given_back(swarm: FakeSwarm) -> Result:
    return give_back.run(swarm, Arguments((replace(TARGET, version=9),)), swarm.clock)


@pytest.mark.parametrize(
    ("before", "meanwhile"), list(itertools.product(AVAILABILITIES, ("", *AVAILABILITIES)))
)
def test_a_node_is_given_back_as_its_admin_had_it_or_has_it_since(
    swarm: Swarm, before: str, meanwhile: str
) -> None:
    swarm.avail("n05", before)
    assert evacuated(swarm).ok
    assert spec(swarm, "n05")["Availability"] == "drain"
    if meanwhile:
        swarm.avail("n05", meanwhile)
    result = given_back(swarm)
    # To drain what is drained changes nothing that could be seen.
    expected = meanwhile if meanwhile not in ("", "drain") else before
    assert result.ok
    assert spec(swarm, "n05") == {
        "Role": "worker",
        "Availability": expected,
        "Labels": {"swarmkeeper.instance": instance(5)},
    }
    assert ("by hand" in result.nodes[0].detail) is (expected != "active")


def test_a_node_that_is_drained_by_hand_while_it_is_paused_stays_drained(swarm: Swarm) -> None:
    node = read_node(swarm.node_rows["n05"])
    swarm.update_node(node, Availability="pause", Labels=node.labels_for("pause"))
    swarm.avail("n05", "drain")
    assert given_back(swarm).ok
    assert spec(swarm, "n05")["Availability"] == "drain"


def test_a_node_that_was_evacuated_twice_is_given_back_as_before_the_first_time(swarm: Swarm) -> None:
    swarm.avail("n05", "pause")
    for _ in range(2):
        assert evacuated(swarm).ok
    assert given_back(swarm).ok
    assert spec(swarm, "n05")["Availability"] == "pause"


def test_what_an_earlier_version_has_evacuated_is_made_active(swarm: Swarm) -> None:
    spec(swarm, "n05").update(Availability="drain")
    spec(swarm, "n05")["Labels"]["swarmkeeper.evacuate"] = "1 3"
    assert given_back(swarm).ok
    assert spec(swarm, "n05")["Availability"] == "active"


@pytest.mark.parametrize("availability", AVAILABILITIES)
def test_a_node_that_is_activated_again_keeps_its_availability(swarm: Swarm, availability: str) -> None:
    """As a manager is that was given back, and a node that had been down."""
    swarm.avail("n05", availability)
    assert run(swarm, "n05", number=5).nodes[0].fate is Fate.ACTIVE
    assert spec(swarm, "n05")["Availability"] == availability


def test_one_that_was_spared_is_activated_as_its_admin_had_it(swarm: Swarm) -> None:
    swarm.avail("n05", "pause")
    assert evacuated(swarm).ok
    swarm.time += 900
    assert run(swarm, "n05", number=5).ok
    assert spec(swarm, "n05")["Availability"] == "pause"
    assert set(spec(swarm, "n05")["Labels"]) & {"swarmkeeper.evacuate", "swarmkeeper.availability"} == set()


@pytest.mark.parametrize("availability", AVAILABILITIES)
def test_labels_and_availability_come_back_after_a_stop_and_a_start(swarm: Swarm, availability: str) -> None:
    spec(swarm, "n05")["Labels"] |= {"disk": "ssd", "rack.example/row": "7"}
    swarm.avail("n05", availability)
    swarm.cut("n05")
    (report,) = leave.run(swarm, Arguments((TARGET,)), swarm.clock).nodes
    assert (report.fate, "n05" in swarm.node_rows) == (Fate.REMOVED, False)
    new = joined(swarm, swarm.add_node(), 5)
    swarm.node_rows[new]["Status"]["Addr"] = "10.0.0.5"
    assert run(swarm, new, number=5, labels=report.labels).ok
    assert spec(swarm, new)["Availability"] == availability
    labels = spec(swarm, new)["Labels"]
    assert (labels["disk"], labels["rack.example/row"]) == ("ssd", "7")
    assert "swarmkeeper.availability" not in labels


def test_what_is_set_on_the_new_node_wins_and_what_is_taken_off_later_stays_off(swarm: Swarm) -> None:
    new = joined(swarm, swarm.add_node(), 6)
    spec(swarm, new)["Labels"] = {"disk": "nvme"}
    kept = '{"disk":"ssd","rack":"7"}'
    assert run(swarm, new, labels=kept).ok
    assert spec(swarm, new)["Labels"]["disk"] == "nvme"
    del spec(swarm, new)["Labels"]["rack"]
    assert run(swarm, new, labels=kept).ok
    assert "rack" not in spec(swarm, new)["Labels"]


def test_labels_are_taken_from_the_dead_node_that_is_still_listed(swarm: Swarm) -> None:
    spec(swarm, "n05")["Labels"]["disk"] = "ssd"
    swarm.cut("n05")
    new = joined(swarm, swarm.add_node(), 5)
    swarm.node_rows[new]["Status"]["Addr"] = "10.0.0.5"
    assert run(swarm, new, number=5).ok
    assert ("n05" in swarm.node_rows, spec(swarm, new)["Labels"]["disk"]) == (False, "ssd")


def test_no_label_of_ours_is_kept_and_none_that_is_too_long(swarm: Swarm) -> None:
    assert read_settings('{"swarmkeeper.role":"manager","disk":"ssd"}') == {"disk": "ssd"}
    assert read_settings('{"swarmkeeper.availability":"everything"}') == {}
    assert read_settings("[" * 5000) == read_settings('{"a":1}') == read_settings("") == {}
    spec(swarm, "n05")["Labels"]["note"] = "x" * 500
    assert write_settings(read_node(swarm.node_rows["n05"])) == ""
