"""Hosts with a past, managers that are stale or slow: each ends as one active node, and its past is gone."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from chalicelib.protocol.messages import Fate
from tests.lab import lifecycle, state
from tests.lab.machines import machine
from tests.lab.observe import node_life
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine
from tests.lab.swarm.agent_joins import add_bare_host, engine_info, node_states, start_join

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def lab(deployed: Lab) -> Lab:
    return deployed


def test_a_host_left_over_from_another_swarm_leaves_it_and_joins(lab: Lab) -> None:
    host = lifecycle.add(lab.name)
    client = engine.connect(host, timeout=60)
    client.swarm.init(advertise_addr=host.address)
    stranger = engine_info(host)["Swarm"]["NodeID"]
    node_life.tick_until(lab, (host,), "in-service")
    node = node_life.node_of(lab, host)
    assert node is not None
    assert node.id != stranger
    assert node_states(lab, host) == ["ready"]


def test_a_host_whose_node_was_removed_joins_anew_and_its_old_node_stays_away(lab: Lab, zipapp: Path) -> None:
    host = add_bare_host(lab, zipapp)
    old = start_join(lab, host).wait().result.nodes[0].node
    engine.manager(lab).api.remove_node(old, force=True)
    new = start_join(lab, host, node=old).wait().result.nodes[0].node
    assert new not in ("", old)
    node_life.tick_until(lab, (host,), "in-service")
    assert node_states(lab, host) == ["ready"]


def test_a_host_that_was_stopped_and_removed_comes_back_as_a_new_node(lab: Lab) -> None:
    """Its engine believes that it is the node that it was, and says so for ever."""
    host, old = fresh_node(lab)
    lifecycle.stop(lab.name, host.name)
    node_life.tick_until(lab, (host,), "gone", 180)
    assert node_states(lab, host) == []
    host = lifecycle.start(lab.name, host.name)
    assert engine_info(host)["Swarm"]["NodeID"] == old
    node_life.tick_until(lab, (host,), "in-service", 240)
    node = node_life.node_of(lab, host)
    assert node is not None
    assert node.id != old
    assert (node.availability, node_states(lab, host)) == ("active", ["ready"])


def test_what_an_instance_was_under_another_node_id_is_removed_when_it_joins_anew(lab: Lab) -> None:
    """It lost its disk while it was stopped, and nobody was told: the swarm still lists what it was."""
    host, old = fresh_node(lab)
    node_life.without_state_changes(lab, lambda: lifecycle.stop(lab.name, host.name))
    shutil.rmtree(state.load(lab.name).directory / "hosts" / host.name / "docker/swarm")
    host = node_life.without_state_changes(lab, lambda: lifecycle.start(lab.name, host.name))
    assert engine_info(host)["Swarm"]["LocalNodeState"] == "inactive"
    node_life.tick_until(lab, (host,), "joining")
    node_life.tick_until(lab, (host,), "in-service", 240)
    nodes = [node.id for node in engine.nodes(engine.manager(lab)) if node.address == host.address]
    assert len(nodes) == 1
    assert nodes != [old]


def fresh_node(lab: Lab) -> tuple[Host, str]:
    host = lifecycle.add(lab.name)
    node_life.tick_until(lab, (host,), "in-service")
    node = node_life.node_of(lab, host)
    assert node is not None
    return host, node.id


def test_a_join_that_continues_in_the_background_is_waited_for(lab: Lab, zipapp: Path) -> None:
    """Its manager takes connections and does not answer, for longer than the engine waits."""
    host = add_bare_host(lab, zipapp)
    frozen = next(one for one in lab.hosts if one.address in followers(lab))
    machine.signal_engine(frozen, "STOP")
    try:
        agent = start_join(lab, host, at=(frozen.address,))
        engine.wait_until(lambda: engine_info(host)["Swarm"]["LocalNodeState"] == "pending", "it joins")
        time.sleep(22)  # the engine tells nobody before it has waited for 20 s, and nothing shows it earlier
    finally:
        machine.signal_engine(frozen, "CONT")
    said = agent.wait()
    assert "continue in the background" in said.told
    assert said.told.count("join as worker at") == 1, said.told
    assert said.result.nodes[0].fate is Fate.JOINED
    node_life.tick_until(lab, (host,), "in-service", 180)
    assert node_states(lab, host) == ["ready"]


def followers(lab: Lab) -> list[str]:
    return [node.address for node in node_life.managers(lab) if not node.leader]


def test_stale_manager_addresses_are_passed_over(lab: Lab, zipapp: Path) -> None:
    host = add_bare_host(lab, zipapp)
    nobody = lab.gateway.rsplit(".", 1)[0] + ".250"
    worker = next(one.address for one in lab.hosts if one.role == "worker")
    good = followers(lab)[0]
    said = start_join(lab, host, at=(nobody, worker, good)).wait()
    assert said.result.nodes[0].fate is Fate.JOINED
    assert said.told.count(f"join as worker at {good}") == said.told.count("join as worker at") == 1
    node_life.tick_until(lab, (host,), "in-service")
