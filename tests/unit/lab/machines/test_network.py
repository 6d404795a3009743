"""A lab takes a network that hides nothing from the machine, and says so in one line where there is none."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from tests.lab import lifecycle
from tests.lab.machines.network import free_slots
from tests.lab.state import RANGES, Lab, LabError

VPC, ELSEWHERE = list(range(16)), list(range(16, 32))
DEFAULT = {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"}
LABS = {"dst": "172.31.0.0/20", "dev": "skl0", "protocol": "kernel"}


@pytest.mark.parametrize(
    ("routes", "servers", "free"),
    [
        ([], [], VPC + ELSEWHERE),
        ([DEFAULT, {"dst": "192.0.2.0/24", "dev": "eth0"}], ["192.0.2.1", "fd00::1"], VPC + ELSEWHERE),
        ([DEFAULT, LABS, {**LABS, "dst": "172.31.0.1"}], [], VPC + ELSEWHERE),
        ([{"dst": "172.31.16.0/20", "dev": "ens5"}], [], ELSEWHERE),
        ([{"dst": "172.16.0.0/12", "dev": "tun0"}], [], ELSEWHERE),
        ([{"type": "blackhole", "dst": "172.31.7.7"}], [], ELSEWHERE),
        ([DEFAULT], ["172.31.0.2"], ELSEWHERE),
        ([{"dst": "0.0.0.0/1", "dev": "tun0"}, {"dst": "128.0.0.0/1", "dev": "tun0"}], [], VPC + ELSEWHERE),
        ([{"dst": "10.0.0.0/8", "dev": "tun0"}], [], VPC),
    ],
)
def test_a_range_is_free_where_the_machine_reaches_nothing_in_it(
    routes: list[dict[str, Any]], servers: list[str], free: list[int]
) -> None:
    assert free_slots(routes, servers) == free


def test_where_the_machine_uses_all_ranges_one_line_says_so() -> None:
    routes = [{"dst": "10.0.0.0/8", "dev": "tun0"}, {"dst": "172.31.0.0/20", "dev": "ens5"}]
    with pytest.raises(LabError, match=r"uses 172\.31\.0\.0/16 and 10\.231\.0\.0/16 itself"):
        free_slots(routes, [])


def test_every_slot_has_a_network_of_its_own() -> None:
    labs = [Lab("lab", slot, "blue") for slot in VPC + ELSEWHERE]
    assert [str(labs[slot].subnet) for slot in (0, 1, 15, 16, 31)] == [
        "172.31.0.0/20",
        "172.31.16.0/20",
        "172.31.240.0/20",
        "10.231.0.0/20",
        "10.231.240.0/20",
    ]
    assert labs[17].gateway == "10.231.16.1"
    assert len({lab.subnet for lab in labs}) == len(labs)
    assert all(any(lab.subnet.subnet_of(whole) for whole in RANGES) for lab in labs)


@pytest.mark.parametrize("slot", [0, 3, 18])
def test_hosts_are_in_their_labs_network_and_named_after_their_addresses(slot: int) -> None:
    lab = Lab("lab", slot, "blue")
    for _ in range(300):
        lab = lab.with_host(lifecycle.new_host(lab, "worker"))
    addresses = [host.address for host in lab.hosts]
    assert len(set(addresses)) == len(addresses)
    assert all(IPv4Network(address).subnet_of(lab.subnet) for address in addresses)
    assert lab.gateway not in addresses
    assert [host.name for host in lab.hosts] == [f"ip-{one.replace('.', '-')}" for one in addresses]
