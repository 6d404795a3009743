"""What has to hold between the fields of a description; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bootstrap.describe.faults import Fault, Path, write
from bootstrap.describe.merging import chosen_stacks
from bootstrap.describe.stack_settings import networks_of, resolve
from bootstrap.errors import AgentError
from bootstrap.stacks.catalog import choose_settings
from chalicelib.protocol import checks
from chalicelib.protocol.description import ANY_VERSION, PLUGIN_RANGE, WantedNetworking
from chalicelib.protocol.description_codec import (
    find_conflicts,
    is_engine_setting,
    is_gateway,
    is_subnet,
    read_networking,
)

OLDEST_ENGINE = (20, 10)  # that the agent speaks to
DISTRIBUTION = "distribution"


def find_broken(merged: Mapping[str, Any], wrong: set[str]) -> Iterator[Fault]:
    """Find all that is broken between fields; parts in ``wrong`` are judged already."""
    yield from [] if "engine" in wrong else _in_engine(merged["engine"])
    if "network" in wrong:
        return
    if faults := list(_in_addresses(merged["network"])):
        yield from faults
        return
    network = to_networking(merged["network"])
    yield from (_at_its_beginning(conflict) for conflict in find_conflicts(network))
    yield from [] if "stacks" in wrong else _in_stacks(merged, network)


def find_doubts(merged: Mapping[str, Any]) -> Iterator[Fault]:
    """Find what can be described and will not work."""
    version = merged["engine"].get("version", ANY_VERSION)
    if version != ANY_VERSION and _two(version) < OLDEST_ENGINE:
        oldest = ".".join(map(str, OLDEST_ENGINE))
        yield Fault(
            ("engine", "version"), f"engine.version {version}: the agent works with {oldest} and later ones"
        )


def to_networking(network: Mapping[str, Any]) -> WantedNetworking:
    """Return the part ``network`` of a file as handlers and hosts know it. Raises ProtocolError."""
    rows = [{"name": name, **one} for name, one in network.get("networks", {}).items()]
    found: WantedNetworking = read_networking({**network, "networks": rows}, "network")
    return found


def _in_engine(engine: Mapping[str, Any]) -> Iterator[Fault]:
    version, source = engine.get("version"), engine.get("source", "docker")
    if version is None:
        yield Fault(
            ("engine", "version"), "engine.version is missing: neither the file nor its profile has it"
        )
    is_distributions = source == DISTRIBUTION or (
        isinstance(source, dict) and source.get("packages") == DISTRIBUTION
    )
    if version == ANY_VERSION and not is_distributions:
        wanted = "an exact version, as the packages are not the distribution's"
        yield Fault(("engine", "version"), checks.wrong("engine.version", wanted, version))
    for name, value in (engine.get("settings") or {}).items():
        yield from _judge(("engine", "settings", name), is_engine_setting, value)


def _in_addresses(network: Mapping[str, Any]) -> Iterator[Fault]:
    """Judge what a pattern cannot: 10.32.300.0/24, 10.32.0.1/24."""
    yield from _judge(("network", "range"), is_subnet, network.get("range", PLUGIN_RANGE))
    for name, one in network["networks"].items():
        path: Path = ("network", "networks", name)
        yield from _judge((*path, "subnet"), is_subnet, one["subnet"])
        yield from _judge((*path, "gateway"), is_gateway, one.get("gateway", ""))


def _judge(path: Path, check: checks.Check, value: object) -> Iterator[Fault]:
    if wanted := check(value):
        yield Fault(path, checks.wrong(write(path), wanted, value))


def _in_stacks(merged: Mapping[str, Any], network: WantedNetworking) -> Iterator[Fault]:
    known, chosen = {one.name for one in network.networks}, chosen_stacks(merged)
    for stack in chosen:
        path: Path = ("stacks", stack.name)
        for name in set(stack.needs) - {one.name for one in chosen}:
            yield Fault(path, f"{write(path)} needs what stack {name} runs: name that among the stacks, too")
        missing = [name for name in networks_of(stack) if name not in known]
        for name in missing:
            at = write(("network", "networks", name))
            yield Fault(path, f"{write(path)} is on network {name}: describe it, {at} with a subnet")
        if missing:
            continue
        try:
            choose_settings(stack, resolve(stack, merged, network), {})
        except AgentError as error:
            yield Fault(path, f"{write(path)}: {error}")


def _at_its_beginning(text: str) -> Fault:
    """Make a fault of a text that begins with its field."""
    return Fault(tuple(text.partition(" ")[0].rstrip(":").split(".")), text)


def _two(version: str) -> tuple[int, int]:
    first, second, *_ = version.split(".")
    return int(first), int(second)
