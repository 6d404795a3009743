"""Ranges of networks: what is refused before the engine is asked, and what after it has answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bootstrap.engine.client import NotManagerError
from bootstrap.engine.network import Network
from bootstrap.engine.networking.plugin import Plugin
from bootstrap.errors import AgentError
from bootstrap.network.ingress import IngressStep, next_ingress_step, remove_ingress
from bootstrap.network.networks import (
    NetworkStep,
    WantedRange,
    create_network,
    find_differences,
    next_network_step,
)
from tests.unit.bootstrap.network.support.fake_host import WEAVE, FakeNetworks, host_of

WEB = WantedRange("web", WEAVE, "10.32.0.0/24", "10.32.0.1")
FOUND = Network("web", ("10.32.0.0/24",), "", WEAVE, ("10.32.0.1",), is_attachable=True, id="net1")


def test_a_valid_range_becomes_an_attachable_network_with_a_gateway() -> None:
    networks = FakeNetworks()
    said = create_network(host_of(networks), WEB, networks.clock)
    assert said == f"done: it has driver {WEAVE} and range 10.32.0.0/24"
    (spec,) = networks.made
    assert (spec["Driver"], spec["Attachable"]) == (WEAVE, True)
    assert spec["IPAM"]["Config"] == [{"Subnet": "10.32.0.0/24", "Gateway": "10.32.0.1"}]
    create_network(host_of(networks), WEB, networks.clock)
    assert len(networks.made) == 1


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (WantedRange("web", WEAVE, "10.0.0.0/24"), "must lie inside 10.32.0.0/12, and 10.0.0.0/24 does not"),
        (WantedRange("web", WEAVE, "10.32.0.0/8"), "is no IPv4 network"),
        (
            WantedRange("web", WEAVE, "10.32.0.0/24", "10.32.1.1"),
            "gateway '10.32.1.1' is no address of 10.32.0.0/24",
        ),
        (WantedRange("web", WEAVE, "10.32.0.0/24", "x"), "gateway 'x' is no address"),
        (WantedRange("web", "overlay", "172.17.4.0/24"), "overlaps 172.17.0.0/16 of network bridge"),
        (
            WantedRange("web", "name/none:1", "10.32.0.0/24"),
            "needs driver name/none:1, which this host has not",
        ),
    ],
)
def test_a_range_that_is_not_the_networks_to_have_is_refused_before_the_call(
    wanted: WantedRange, said: str
) -> None:
    networks = FakeNetworks()
    with pytest.raises(AgentError, match="nothing was made") as failure:
        create_network(host_of(networks), wanted, networks.clock)
    assert said in str(failure.value)
    assert networks.made == []


def test_a_network_that_the_managers_never_set_up_is_removed_again() -> None:
    networks = FakeNetworks(sets_up=False)
    with pytest.raises(AgentError, match="was made and never set up by the managers, so it was removed"):
        create_network(host_of(networks), WEB, networks.clock)
    assert [one.name for one in networks.found] == ["bridge", "ingress"]
    assert len(networks.made) == 1


def test_a_network_that_a_dead_run_left_without_a_driver_is_made_anew() -> None:
    networks = FakeNetworks()
    networks.found.append(Network("web", ("10.32.0.0/24",), id="old"))
    create_network(host_of(networks), WEB, networks.clock)
    assert [one.id for one in networks.found if one.name == "web"] == ["net1"]


def test_a_network_of_that_name_that_is_another_is_left_with_what_differs() -> None:
    assert find_differences(WEB, FOUND) == []
    other = Network("web", ("10.40.0.0/24",), "", "overlay", ("10.40.0.1",), id="x")
    assert find_differences(WEB, other) == [
        f"driver overlay, not {WEAVE}",
        "range 10.40.0.0/24, not 10.32.0.0/24",
        "no right to attach containers",
    ]
    with pytest.raises(AgentError, match="networks cannot be changed"):
        next_network_step(WEB, [other], "", 0.0)


def test_a_dry_run_says_what_would_be_done_and_makes_nothing() -> None:
    networks = FakeNetworks()
    assert (
        create_network(host_of(networks), WEB, networks.clock, dry_run=True)
        == "create: there is none of that name"
    )
    assert (
        remove_ingress(host_of(networks), networks.clock, dry_run=True)
        == "remove: no service publishes through it"
    )
    assert (networks.made, networks.removed) == ([], [])


def test_the_first_step_for_a_driver_of_the_engine_is_to_make_it() -> None:
    step, _, found = next_network_step(WantedRange("web", "overlay", "10.9.0.0/24"), [], "", 0.0)
    assert (step, found) == (NetworkStep.CREATE, None)


def test_the_routing_mesh_goes_once_and_again_nothing_changes() -> None:
    networks = FakeNetworks()
    for _ in range(2):
        assert remove_ingress(host_of(networks), networks.clock) == "done: there is no routing mesh"
    assert networks.removed == ["mesh"]


def test_services_that_publish_through_the_mesh_are_named_and_keep_it() -> None:
    networks = FakeNetworks()
    networks.services = ["shop", "web"]
    with pytest.raises(AgentError, match=r"ingress was left as it is: shop, web publish ports"):
        remove_ingress(host_of(networks), networks.clock)
    assert networks.removed == []
    assert next_ingress_step(networks.found, ["web"], "mesh")[0] is IngressStep.WAIT


def test_networks_are_a_managers_to_make() -> None:
    networks = FakeNetworks()
    networks.is_manager = False
    with pytest.raises(NotManagerError):
        create_network(host_of(networks), WEB, networks.clock)


def test_a_plugin_is_named_as_the_engine_lists_it() -> None:
    networks = FakeNetworks()
    networks.listed = [Plugin("id", "name/weave:latest", is_enabled=True)]
    create_network(
        host_of(networks), WantedRange("web", "docker.io/name/weave", "10.32.0.0/24"), networks.clock
    )
    spec: Mapping[str, Any] = networks.made[0]
    assert spec["Driver"] == "name/weave:latest"
