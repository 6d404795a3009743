"""A description as one line of JSON, read strictly: it decides what is installed on every host.

Standard library only and Python 3.10 syntax: this module travels inside the agent too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import Any

from chalicelib.protocol import checks
from chalicelib.protocol.description import (
    ANY_VERSION,
    Description,
    Driver,
    LogDriver,
    Packages,
    PackageSource,
    SourceKind,
    StorageDriver,
    WantedEngine,
    WantedHost,
    WantedNetwork,
    WantedNetworking,
    WantedStack,
)
from chalicelib.protocol.inventory import MAX_ENTRIES, SHORT_DIGEST
from chalicelib.protocol.result_fields import Reader, checked, chosen, flag, row_of, rows
from chalicelib.protocol.strict_json import ProtocolError, read_object

MAX_DESCRIPTION = 40_000  # characters
MAX_LOG_FILES = 1000
MAX_LEVELS = 3  # of a further setting of the engine
# Settings of the engine that have a field of their own, or are the agent's. With `hosts` it would not start
# where systemd gives it an address too.
RESERVED = ("hosts", "labels", "live-restore", "log-driver", "log-opts", "storage-driver")
NAME, SETTING = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[A-Z][A-Z0-9_]{0,62}")
CLUSTER = re.compile(r"[A-Za-z0-9._-]{1,64}")
VALUE = re.compile(r"[\w./:@+-]{0,300}", re.ASCII)
VERSION = re.compile(rf"[0-9]{{1,3}}(\.[0-9]{{1,3}}){{2}}([.+~-][0-9A-Za-z.+~-]{{1,60}})?|{ANY_VERSION}")
KERNEL = re.compile(r"([0-9]{1,3}(\.[0-9]{1,3}){1,2})?")
SYSTEM = re.compile(r"[a-z][a-z0-9._-]{0,40}")
REGISTRY = re.compile(r"([a-z0-9.-]{1,200}(:[0-9]{1,5})?(/[a-z0-9._-]{1,60}){0,5}/?)?")
IMAGE = re.compile(
    r"([a-z0-9.-]{1,200}(:[0-9]{1,5})?/)?([a-z0-9._-]{1,100}/){0,5}[a-z0-9._-]{1,100}"
    r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@sha256:[0-9a-f]{64})?"
)
ADDRESS, KEY = (
    re.compile(r"((https?|file)://[!-~]{1,300})?"),
    re.compile(r"(https://[!-~]{1,300}|/[!-~]{1,300})?"),
)
SIZE = re.compile(r"[1-9][0-9]{0,5}[kmg]")
PROFILE = re.compile(r"[A-Za-z0-9_./-]{0,210}")
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,60}|")


def encode_description(description: Description) -> str:
    """Encode a description as one line of JSON: equal ones are equal texts."""
    return _canonical(asdict(description))


def decode_description(text: str) -> Description:
    """Decode a description; raises ProtocolError naming the field that is wrong."""
    found: Description = read_description(read_object(text, "description", MAX_DESCRIPTION), "description")
    for conflict in find_conflicts(found.network):
        raise ProtocolError(f"description.{conflict}")
    return found


def digest(text: str) -> str:
    """Return the SHA-256 of a description's text; its beginning names the file that it is in."""
    return hashlib.sha256(text.encode()).hexdigest()


def description_key(sha256: str) -> str:
    """Return under which key a description lies in the stage's bucket."""
    return f"description-{sha256[:SHORT_DIGEST]}.json"


def digest_host(description: Description) -> str:
    """Return a short digest of what a host takes from the description, for a label of its node.

    A change of stacks or networks leaves it as it is.
    """
    network = description.network
    plugin = [network.plugin, network.range] if network.driver is Driver.WEAVE else []
    return _short([asdict(description.engine), network.driver, *plugin, description.registry])


def digest_stack(stack: WantedStack) -> str:
    """Return a short digest of a stack's settings, for a label of its services."""
    return _short(asdict(stack))


def find_conflicts(network: WantedNetworking) -> Iterator[str]:
    """Find what is wrong between fields of ``network``, each in one line that begins with the field."""
    if network.driver is Driver.WEAVE and not network.plugin:
        yield checks.wrong("network.plugin", "the plugin's reference, as the driver is weave", "")
    whole, at = IPv4Network(network.range), "network.networks"
    for one in network.networks:
        subnet = IPv4Network(one.subnet)
        if network.driver is Driver.WEAVE and not subnet.subnet_of(whole):
            yield checks.wrong(f"{at}.{one.name}.subnet", f"inside {whole}, the plugin's range", one.subnet)
        usable = f"an address inside {subnet} that is neither its first nor its last"
        if one.gateway and not _is_usable(one.gateway, subnet):
            yield checks.wrong(f"{at}.{one.name}.gateway", usable, one.gateway)
    for one, other in combinations(network.networks, 2):
        if IPv4Network(one.subnet).overlaps(IPv4Network(other.subnet)):
            wanted = f"apart from {one.subnet} of network {one.name}"
            yield checks.wrong(f"{at}.{other.name}.subnet", wanted, other.subnet)


def _is_usable(gateway: str, subnet: IPv4Network) -> bool:
    address = IPv4Address(gateway)
    return address in subnet and address not in (subnet[0], subnet[-1])


def _canonical(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _short(value: Any) -> str:
    return digest(_canonical(value))[:SHORT_DIGEST]


def is_subnet(value: Any) -> str:
    """Check a network of a useful size, written in the usual way."""
    try:
        network = IPv4Network(value) if isinstance(value, str) else None
        good = network is not None and str(network) == value and 8 <= network.prefixlen <= 29  # noqa: PLR2004
    except ValueError:
        good = False
    return "" if good else "an IPv4 network such as 10.32.100.0/24"


def is_gateway(value: Any) -> str:
    """Check an address, or "" for the engine's choice."""
    try:
        good = isinstance(value, str) and (not value or bool(IPv4Address(value)))
    except ValueError:
        good = False
    return "" if good else "an IPv4 address"


def _is_file_count(value: Any) -> str:
    good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_LOG_FILES
    return "" if good else f"a whole number from 1 to {MAX_LOG_FILES}"


def _is_off(value: Any) -> str:
    return "" if value is False else "false: an engine with live-restore makes no swarm"


def is_engine_setting(value: Any) -> str:
    """Check one of the further settings of ``daemon.json``."""
    wanted = "a text, a number, true or false, or a few levels of lists and objects of these"
    return "" if _is_plain(value, MAX_LEVELS) else wanted


def _is_plain(value: Any, levels: int) -> bool:
    if isinstance(value, str):
        return len(value) <= checks.KEPT_CHARACTERS
    if isinstance(value, (list, dict)):
        inner = value.values() if isinstance(value, dict) else value
        names = value if isinstance(value, dict) else ()
        small = levels > 0 and len(value) <= MAX_ENTRIES
        return small and all(_is_plain(one, levels - 1) for one in (*names, *inner))
    return isinstance(value, (bool, int, float))


def _mapping(pattern: re.Pattern[str], read: Reader) -> Reader:
    """Read an object of at most so many entries; a name is all of its pattern."""

    def read_all(value: Any, field: str) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > MAX_ENTRIES:
            raise ProtocolError(checks.wrong(field, f"an object of at most {MAX_ENTRIES} entries", value))
        for name in value:
            if not pattern.fullmatch(name) or name in RESERVED:
                raise ProtocolError(f"{field}: unknown field {checks.show(name)}")
        return {name: read(found, f"{field}.{name}") for name, found in value.items()}

    return read_all


def _named(read: Reader) -> Reader:
    """Read rows that each have another name."""

    def read_all(value: Any, field: str) -> tuple[Any, ...]:
        found = rows(read)(value, field)
        if len(found) > MAX_ENTRIES or len(set(_names(found))) < len(found):
            raise ProtocolError(f"{field} must be at most {MAX_ENTRIES} rows, each of another name")
        return tuple(found)

    return read_all


def _names(found: Iterable[Any]) -> list[str]:
    return [one.name for one in found]


def _text(pattern: re.Pattern[str], wanted: str) -> Reader:
    return checked(checks.matching(pattern, wanted))


_name = _text(NAME, "a name of at most 63 small letters, digits, '_' and '-'")
SOURCE = {
    "kind": chosen(SourceKind),
    "packages": chosen(Packages),
    "url": _text(ADDRESS, "an address that begins with https://, http:// or file://"),
    "key": _text(KEY, "an address that begins with https://, or a path on the host"),
    "suite": _text(WORD, "a suite of an apt source"),
    "component": _text(WORD, "a component of an apt source"),
}
HOST = {
    "systems": rows(_text(SYSTEM, "a system such as ubuntu-24.04")),
    "kernel_from": _text(KERNEL, "a version such as 4.4"),
    "kernel_below": _text(KERNEL, "a version such as 4.13"),
}
ENGINE = {
    "version": _text(VERSION, f"an exact version such as 28.5.2, or {ANY_VERSION}"),
    "source": row_of(PackageSource, SOURCE),
    "storage_driver": chosen(StorageDriver),
    "log_driver": chosen(LogDriver),
    "log_max_size": _text(SIZE, "a size such as 10m"),
    "log_max_file": checked(_is_file_count),
    "live_restore": checked(_is_off),
    "settings": _mapping(NAME, checked(is_engine_setting)),
}
NETWORK = {
    "name": _name,
    "subnet": checked(is_subnet),
    "gateway": checked(is_gateway),
    "attachable": flag,
}
NETWORKING = {
    "driver": chosen(Driver),
    "plugin": lambda value, field: value and _text(IMAGE, "a plugin's reference with its tag")(value, field),
    "range": checked(is_subnet),
    "networks": _named(row_of(WantedNetwork, NETWORK)),
}
read_networking = row_of(WantedNetworking, NETWORKING)
STACK = {
    "name": _name,
    "settings": _mapping(SETTING, _text(VALUE, "letters, digits and ._/:@+- only")),
}
DESCRIPTION = {
    "name": _text(CLUSTER, "a cluster's name (letters, digits, '.', '_', '-')"),
    "profile": _text(PROFILE, "the name of a profile, or of its file"),
    "registry": _text(REGISTRY, "a registry such as mirror.example:5000"),
    "host": row_of(WantedHost, HOST),
    "engine": row_of(WantedEngine, ENGINE),
    "network": read_networking,
    "stacks": _named(row_of(WantedStack, STACK)),
}
read_description = row_of(Description, DESCRIPTION)
