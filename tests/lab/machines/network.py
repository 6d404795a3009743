"""A lab's network: one bridge on the machine and one network namespace per host, plugged into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from tests.lab.machines import kernel
from tests.lab.machines.programs import run
from tests.lab.state import LABS_PER_RANGE, RANGES, Host, Lab, LabError

BROADEST = 8  # bits of the broadest prefix that anybody has as a network
RESOLVER = Path("/etc/resolv.conf")
METADATA = "169.254.169.254"
METADATA_PORT = 4569  # of the lab's metadata service, at the gateway's address


def slots() -> list[int]:
    """Where a lab may be on this machine; LabError where it would hide from it what it now reaches."""
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]")
    lines = RESOLVER.read_text().splitlines() if RESOLVER.exists() else []
    return free_slots(routes, [line.split()[1] for line in lines if line.startswith("nameserver ")])


def free_slots(routes: Iterable[dict[str, Any]], servers: Iterable[str]) -> list[int]:
    """Find the slots in ranges that no row of ``ip route`` and no name server reaches.

    A range counts as a whole: a route into one subnet of a VPC stands for its neighbours, too. Routes to half
    the world, as VPNs set them, are default routes by another name.
    """
    known = [row["dst"] for row in routes if not str(row.get("dev", "")).startswith("skl")]
    named = [IPv4Network(one) for one in (*known, *servers) if one != "default" and ":" not in one]
    reached = [one for one in named if one.prefixlen >= BROADEST]
    free = [index for index, whole in enumerate(RANGES) if not any(whole.overlaps(one) for one in reached)]
    if not free:
        every = " and ".join(map(str, RANGES))
        raise LabError(f"this machine uses {every} itself: a lab there would cut its network")
    return [LABS_PER_RANGE * index + part for index in free for part in range(LABS_PER_RANGE)]


def bridge(lab: Lab) -> str:
    """Name the lab's bridge."""
    return f"skl{lab.slot}"


def namespace(lab: Lab, host: Host) -> str:
    """Name the host's network namespace, unlike any other lab's."""
    return f"{bridge(lab)}-{_number(host)}"


def raise_bridge(lab: Lab) -> None:
    """Make the bridge with the gateway's address and let its traffic pass; a stale one goes first."""
    remove(lab)
    name = bridge(lab)
    run(["ip", "link", "add", name, "type", "bridge"])
    run(["ip", "address", "add", f"{lab.gateway}/20", "dev", name])
    run(["ip", "link", "set", name, "up"])
    for direction in _rules(name):
        run(["iptables", "-w", "-I", *direction])
    kernel.adapt()


def plug_in(lab: Lab, host: Host) -> None:
    """Make the host's namespace and connect it to the bridge; what a failed step has left goes first."""
    unplug(lab, host)
    space, veth = namespace(lab, host), _veth(lab, host)
    run(["ip", "netns", "add", space])
    run(["ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", space])
    run(["ip", "link", "set", veth, "master", bridge(lab), "up"])
    inside = ["ip", "-n", space]
    run([*inside, "address", "add", f"{host.address}/20", "dev", "eth0"])
    run([*inside, "link", "set", "eth0", "up"])
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "route", "add", "default", "via", lab.gateway])
    _lead_to_metadata(lab, space)


def _lead_to_metadata(lab: Lab, space: str) -> None:
    """Redirect what the host, but not its containers, sends to the metadata service.

    So it is on EC2 too, where the answers may by default go one hop far.
    """
    to = f"{lab.gateway}:{METADATA_PORT}"
    rule = [
        "-t",
        "nat",
        "-A",
        "OUTPUT",
        "-d",
        METADATA,
        "-p",
        "tcp",
        "--dport",
        "80",
        "-j",
        "DNAT",
        "--to",
        to,
    ]
    run(["nsenter", f"--net=/run/netns/{space}", "iptables", "-w", *rule])


def unplug(lab: Lab, host: Host) -> None:
    """Take the host off the network for good; nothing happens where it is off already."""
    _delete_link(_veth(lab, host))
    _delete_namespace(namespace(lab, host))


def remove(lab: Lab) -> None:
    """Take away everything that carries the lab's slot in its name; nothing happens where nothing does."""
    name = bridge(lab)
    for space in _namespaces():
        if space.startswith(f"{name}-"):
            _delete_namespace(space)
    for link in _links():
        if link == name or link.startswith(f"{name}v"):
            _delete_link(link)
    for direction in _rules(name):
        _delete_rule(direction)


def _number(host: Host) -> int:
    third, fourth = host.address.split(".")[2:]
    return int(third) % 16 * 256 + int(fourth)


def _veth(lab: Lab, host: Host) -> str:
    return f"{bridge(lab)}v{_number(host)}"  # 11 characters at most; the kernel takes 15


def _rules(name: str) -> list[list[str]]:
    """Hosts may reach one another and the machine, whatever else its firewall refuses."""
    inward, outward = ["-i", name, "-j", "ACCEPT"], ["-o", name, "-j", "ACCEPT"]
    return [["FORWARD", *inward], ["FORWARD", *outward], ["INPUT", *inward]]


def _delete_rule(rule: list[str]) -> None:
    listed = run(["iptables", "-w", "-S", rule[0]]).splitlines()
    for _ in range(listed.count(" ".join(["-A", *rule]))):
        run(["iptables", "-w", "-D", *rule])


def _namespaces() -> set[str]:
    return {row["name"] for row in json.loads(run(["ip", "-json", "netns", "list"]) or "[]")}


def _links() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def _delete_namespace(space: str) -> None:
    if space in _namespaces():
        _delete(["ip", "netns", "delete", space], lambda: space in _namespaces())


def _delete_link(link: str) -> None:
    if link in _links():
        _delete(["ip", "link", "delete", link], lambda: link in _links())


def _delete(argv: list[str], present: Callable[[], bool]) -> None:
    """Delete something that may go by itself meanwhile: a namespace takes its links along."""
    try:
        run(argv)
    except LabError:
        if present():
            raise
