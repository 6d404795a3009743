"""Make a network of the swarm: checked before the engine is asked, and after it has answered."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any, Union

from bootstrap.clock import Clock
from bootstrap.engine.network import Network
from bootstrap.engine.networking.plugin import find_plugin
from bootstrap.errors import AgentError
from bootstrap.log import say
from bootstrap.network.plugin import NetworkHost
from bootstrap.network.ranges import OVERLAY, check_inside, choose_gateway, find_overlap
from chalicelib.protocol.description import PLUGIN_RANGE

POLL_S = 0.5
SETUP_S = 15.0  # for the managers to set a new network up
UNCHANGED = "; nothing was made"


class NetworkStep(str, Enum):
    """One step towards a network."""

    DONE = "done"
    CREATE = "create"
    REMOVE = "remove"
    WAIT = "wait"


@dataclass(frozen=True)
class WantedRange:
    """A network to be made; ``plugin_range`` counts for drivers other than ``overlay``."""

    name: str
    driver: str
    subnet: str
    gateway: str = ""
    plugin_range: str = PLUGIN_RANGE


def check_wanted(wanted: WantedRange, networks: Collection[Network]) -> None:
    """AgentError where the range is not the network's to have; nothing was made then."""
    try:
        check_inside(wanted.driver, wanted.subnet, wanted.plugin_range)
        choose_gateway(wanted.subnet, wanted.gateway)
        if found := find_overlap(wanted.subnet, networks, wanted.name):
            network, taken = found
            raise AgentError(
                f"range {wanted.subnet} of network {wanted.name} overlaps {taken} of network {network.name}: "
                "choose another range"
            )
    except AgentError as error:
        raise AgentError(f"{error}{UNCHANGED}") from None


def next_network_step(
    wanted: WantedRange, networks: Collection[Network], made: str, waited: float
) -> tuple[NetworkStep, str, Union[Network, None]]:
    """Choose the next step, with its reason and the network it is about.

    ``made`` is the id of the one that this run has made, ``waited`` since when. Raises AgentError where
    another network has the name.
    """
    same = [one for one in networks if one.name == wanted.name]
    if not same:
        return NetworkStep.CREATE, "there is none of that name", None
    found = next((one for one in same if one.id == made), same[0])
    if not found.driver:
        if found.id == made and waited < SETUP_S:
            return NetworkStep.WAIT, "the managers have not set it up yet", found
        return NetworkStep.REMOVE, "no manager could set it up, so that it would never work", found
    if differences := find_differences(wanted, found):
        raise AgentError(
            f"there is a network {wanted.name} with {'; '.join(differences)}: networks cannot be "
            f"changed, so remove it (docker network rm {wanted.name}) or choose another name{UNCHANGED}"
        )
    return NetworkStep.DONE, f"it has driver {found.driver} and range {wanted.subnet}", found


def find_differences(wanted: WantedRange, found: Network) -> list[str]:
    """Say in what an existing network is another one than wanted."""
    differences = []
    if found.driver != wanted.driver:
        differences.append(f"driver {found.driver}, not {wanted.driver}")
    if found.subnets != (wanted.subnet,):
        differences.append(f"range {', '.join(found.subnets)}, not {wanted.subnet}")
    elif found.gateways != (gateway := choose_gateway(wanted.subnet, wanted.gateway),):
        differences.append(f"gateway {', '.join(found.gateways) or 'none'}, not {gateway}")
    if not found.is_attachable:
        differences.append("no right to attach containers")
    return differences


def create_network(host: NetworkHost, wanted: WantedRange, clock: Clock, *, dry_run: bool = False) -> str:
    """Make a network; answers what was done. Run again, it changes nothing.

    Raises AgentError: before the call nothing was made; after it, what was made is removed again.
    """
    host.engine.node_id()  # networks of the swarm are made by managers
    wanted = _with_full_driver(host, wanted)
    made, since, failed = "", clock.now(), ""
    while True:
        networks = host.engine.networks()
        check_wanted(wanted, networks)
        step, why, found = next_network_step(wanted, networks, made, clock.now() - since)
        say(f"network {wanted.name}: {step.value}: {why}")
        if step is NetworkStep.DONE or dry_run:
            return f"{step.value}: {why}"
        if step is NetworkStep.REMOVE and found:
            host.calls.remove_network(found.id)
            failed = why if found.id == made else failed
        elif failed:
            raise AgentError(
                f"network {wanted.name} was made and never set up by the managers, so it was removed: see "
                f"that each manager has driver {wanted.driver} (docker plugin ls), and the engine's log"
            )
        elif step is NetworkStep.CREATE:
            made, since = host.calls.create_network(spec_of(wanted)), clock.now()
        clock.sleep(POLL_S)


def spec_of(wanted: WantedRange) -> dict[str, Any]:
    """Return the network as the engine's API wants it."""
    pool = {"Subnet": wanted.subnet, "Gateway": choose_gateway(wanted.subnet, wanted.gateway)}
    return {
        "Name": wanted.name,
        "Driver": wanted.driver,
        "Attachable": True,
        "CheckDuplicate": True,
        "IPAM": {"Driver": "default", "Config": [pool]},
    }


def _with_full_driver(host: NetworkHost, wanted: WantedRange) -> WantedRange:
    """Name the plugin as the engine lists it. Raises AgentError where it is not there, or does not run."""
    if wanted.driver == OVERLAY:
        return wanted
    plugin = find_plugin(wanted.driver, host.calls.plugins())
    if plugin is None or not plugin.is_enabled:
        raise AgentError(
            f"network {wanted.name} needs driver {wanted.driver}, which this host has not: install it "
            f"on every node first (network-plugin install {wanted.driver}){UNCHANGED}"
        )
    return WantedRange(wanted.name, plugin.name, wanted.subnet, wanted.gateway, wanted.plugin_range)
