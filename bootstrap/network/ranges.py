"""Which range a network may have: inside the plugin's, and nobody else's; pure.

Measured: the engine takes an overlapping range, and one outside the plugin's, without a word; the network is
listed with an empty driver then and never works.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Union

from bootstrap.engine.network import Network
from bootstrap.errors import AgentError
from chalicelib.protocol.description import PLUGIN_RANGE, Driver

OVERLAY = Driver.OVERLAY.value


def read_subnet(subnet: str) -> ipaddress.IPv4Network:
    """Read a range. Raises AgentError where it is none."""
    try:
        return ipaddress.IPv4Network(subnet)
    except ValueError as error:
        raise AgentError(f"{subnet!r} is no IPv4 network such as 10.32.100.0/24: {error}") from None


def check_inside(driver: str, subnet: str, plugin_range: str = PLUGIN_RANGE) -> None:
    """AgentError where it is no range, or a network of the plugin would lie outside of the plugin's."""
    wanted = read_subnet(subnet)
    if driver != OVERLAY and not wanted.subnet_of(read_subnet(plugin_range)):
        raise AgentError(
            f"a network of driver {driver} must lie inside {plugin_range}, and {subnet} does not: the engine "
            "would make it, and it would never work"
        )


def choose_gateway(subnet: str, gateway: str) -> str:
    """Choose the gateway: as given, else the range's first address. Raises AgentError for a bad one."""
    network = read_subnet(subnet)
    if not gateway:
        return str(network.network_address + 1)
    try:
        inside = ipaddress.IPv4Address(gateway) in network
    except ValueError:
        inside = False
    if not inside:
        raise AgentError(f"gateway {gateway!r} is no address of {subnet}")
    return gateway


def find_overlap(subnet: str, networks: Iterable[Network], but: str) -> Union[tuple[Network, str], None]:
    """Find a network, not that of name ``but``, that has some of the range; with its own range."""
    wanted = read_subnet(subnet)
    for network in networks:
        for taken in () if network.name == but else network.subnets:
            if wanted.overlaps(ipaddress.ip_network(taken)):
                return network, taken
    return None
