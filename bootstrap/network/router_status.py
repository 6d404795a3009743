"""What the network plugin's router tells on its status pages, read strictly; pure.

Why strictly: a page that is read half looks healthy. But a connection's line holds the other host's nickname,
which is that host's own word: what cannot be read there is a fault that is named, and the rest counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Union

from bootstrap.errors import AgentError
from chalicelib.protocol.checks import show

ESTABLISHED, FAILED = "established", "failed"
OURSELF = "cannot connect to ourself"  # a manager tries all managers, and so itself
_SERVICE = "Service"
_FIELD = re.compile(r" *([A-Za-z]+): *(.*)")
_NAME = re.compile(r"([0-9a-f]{2}(?::[0-9a-f]{2}){5})\((.*)\)")
_COUNTED = re.compile(r"(\d+)(?: \((?:with )?(.+?)(?: connections)?\))?")
_PART = re.compile(r"(\d+) ([a-z]+)")
_LINK = re.compile(r"(?:->|<-) (\S+):(\d+) +([a-z]+) *(.*)")
_PEER = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\(([^()]*)\)")


class StatusError(AgentError):
    """A status page is none of the router's."""


@dataclass(frozen=True)
class Link:
    """A connection of this router. ``peer`` is the nickname of the other end, "" where there is none."""

    address: str
    state: str
    peer: str
    text: str

    @property
    def is_established(self) -> bool:
        return self.state == ESTABLISHED

    @property
    def is_to_itself(self) -> bool:
        """Every manager's router has one such failure, and is healthy."""
        return self.state == FAILED and OURSELF in self.text


@dataclass(frozen=True)
class RouterStatus:
    """The router of this host: its nickname, how many it was told to connect to, and whom it knows.

    ``unread``: lines of the connections' page that are none.
    """

    nickname: str
    targets: int
    established: int
    peers: int
    range: str
    links: tuple[Link, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def connected(self) -> frozenset[str]:
        """Addresses to which a connection stands."""
        return frozenset(link.address for link in self.links if link.is_established)

    @property
    def failures(self) -> tuple[Link, ...]:
        """Connections that do not stand and should."""
        return tuple(link for link in self.links if not (link.is_established or link.is_to_itself))

    def find_faults(self, peers: int, wanted_range: str) -> list[str]:
        """Name what is wrong where ``peers`` hosts have the plugin; 0: as many as it knows."""
        faults = [f"{link.address} is {link.state}: {link.text}" for link in self.failures]
        if self.unread:
            faults.append(f"lines that are no connection: {len(self.unread)}, {show(self.unread[0])}")
        wanted = peers or self.peers
        if self.peers != wanted:
            faults.append(f"it knows {self.peers} of {wanted} peers")
        if self.established != wanted - 1:
            faults.append(f"{self.established} of {wanted - 1} connections are established")
        if self.range != wanted_range:
            faults.append(f"its range is {self.range}, not {wanted_range}")
        return faults


def read_status(status: str, connections: str) -> RouterStatus:
    """Read the pages ``/status`` and ``/status/connections``. Raises StatusError."""
    sections = _read_sections(status)
    router, ipam = _section(sections, "router"), _section(sections, "ipam")
    links, unread = _read_links(connections)
    counts = _read_counts(_field(router, "Connections"))
    name = _NAME.fullmatch(_field(router, "Name"))
    targets = _field(router, "Targets")
    if not name or not targets.isdecimal():
        raise _wrong(f"Name: {_field(router, 'Name')}, Targets: {targets}")
    peers = _COUNTED.fullmatch(_field(router, "Peers"))
    if not peers:
        raise _wrong(f"Peers: {_field(router, 'Peers')}")
    return RouterStatus(
        nickname=name[2],
        targets=int(targets),
        established=counts.get(ESTABLISHED, 0),
        peers=int(peers[1]),
        range=_field(ipam, "Range"),
        links=links,
        unread=unread,
    )


def _read_sections(page: str) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    name = ""
    for line in page.splitlines():
        if not line.strip():
            continue
        found = _FIELD.fullmatch(line.rstrip())
        if not found:
            raise _wrong(line)
        if found[1] == _SERVICE:
            name = found[2]
        sections.setdefault(name, {})[found[1]] = found[2]
    return sections


def _section(sections: dict[str, dict[str, str]], name: str) -> dict[str, str]:
    if name not in sections:
        raise _wrong(f"no {_SERVICE}: {name}")
    return sections[name]


def _field(section: dict[str, str], name: str) -> str:
    if name not in section:
        raise _wrong(f"no {name}")
    return section[name]


def _read_counts(text: str) -> dict[str, int]:
    """Read ``3 (2 established, 1 failed)``; the parts have to make the sum."""
    found = _COUNTED.fullmatch(text)
    parts = [_PART.fullmatch(part) for part in found[2].split(", ")] if found and found[2] else []
    counts = {part[2]: int(part[1]) for part in parts if part}
    if not found or sum(counts.values()) != int(found[1]):
        raise _wrong(f"Connections: {text}")
    return counts


def _read_links(page: str) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """Read the connections, and what is none; a page without a single one is another page."""
    lines = [line.rstrip() for line in page.split("\n") if line.strip()]
    read = [(line, _read_link(line)) for line in lines]
    links = tuple(link for _, link in read if link)
    if lines and not links:
        raise _wrong(lines[0])
    return links, tuple(line for line, link in read if not link)


def _read_link(line: str) -> Union[Link, None]:
    found = _LINK.fullmatch(line)
    if not found:
        return None
    peer = _PEER.search(found[4])
    return Link(found[1], found[3], peer[1] if peer else "", found[4])


def _wrong(what: str) -> StatusError:
    return StatusError(f"the status page of the network plugin is none that is known: {show(what)}")
