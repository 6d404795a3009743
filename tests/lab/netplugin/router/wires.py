"""The kernel's part: one bridge on each host, VXLAN between them, a pair of interfaces for each container."""

from __future__ import annotations

import json
import subprocess

BRIDGE, TUNNEL, TUNNEL_ID, PORT = "weave", "vxlan-6784", "6784", "6784"
MTU = "1376"
EVERYBODY = "00:00:00:00:00:00"
ENOUGH = 9  # characters of an endpoint's id: an interface's name has 15


def run(*words: str, check: bool = True) -> str:
    """Run a program; OSError with its words where it failed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class Wires:
    """Bridge and tunnel of this host; what is there already is kept."""

    def __init__(self) -> None:
        if not run("/sbin/ip", "-o", "link", "show", BRIDGE, check=False):
            run("/sbin/ip", "link", "add", BRIDGE, "type", "bridge")
        if not run("/sbin/ip", "-o", "link", "show", TUNNEL, check=False):
            what = ("type", "vxlan", "id", TUNNEL_ID, "dstport", PORT)
            run("/sbin/ip", "link", "add", TUNNEL, "mtu", MTU, *what)
        run("/sbin/ip", "link", "set", TUNNEL, "master", BRIDGE, "up")
        run("/sbin/ip", "link", "set", BRIDGE, "mtu", MTU, "up")

    def addresses(self) -> set[str]:
        """List the addresses of this host."""
        rows = json.loads(run("/sbin/ip", "-j", "-4", "address") or "[]")
        return {one["local"] for row in rows for one in row.get("addr_info", ())}

    def add_peer(self, address: str) -> None:
        """Send what is for everybody there, too."""
        self.remove_peer(address)
        run("/sbin/bridge", "fdb", "append", EVERYBODY, "dev", TUNNEL, "dst", address)

    def remove_peer(self, address: str) -> None:
        """Send nothing there any more."""
        run("/sbin/bridge", "fdb", "del", EVERYBODY, "dev", TUNNEL, "dst", address, check=False)

    def add_endpoint(self, endpoint: str) -> str:
        """Make the pair; answers the MAC address of the container's end."""
        host, guest = names(endpoint)
        run("/sbin/ip", "link", "add", host, "mtu", MTU, "type", "veth", "peer", "name", guest, "mtu", MTU)
        run("/sbin/ip", "link", "set", host, "master", BRIDGE, "up")
        (row,) = json.loads(run("/sbin/ip", "-j", "link", "show", guest))
        return str(row["address"])

    def remove_endpoint(self, endpoint: str) -> None:
        """Remove the pair."""
        run("/sbin/ip", "link", "del", names(endpoint)[0], check=False)


def names(endpoint: str) -> tuple[str, str]:
    """Name both ends of a pair."""
    return f"vethwl{endpoint[:ENOUGH]}", f"vethwg{endpoint[:ENOUGH]}"
