"""Compare a cluster as described with what there is: what differs where, and why; pure.

Nothing is done by that: a drift names the agent command that would fix it, and people order it.
Standard library only and Python 3.10 syntax: this module travels inside the agent too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from chalicelib.protocol.description import (
    ANY_VERSION,
    Description,
    Driver,
    StorageDriver,
    WantedNetwork,
    WantedStack,
)
from chalicelib.protocol.description_codec import digest_host, digest_stack
from chalicelib.protocol.inventory import Inventory, ReportedHost, ReportedNetwork, ReportedStack

NOTHING = "nothing"
OVERLAYS = ("overlay2", "overlayfs")


class Kind(str, Enum):
    """What differs."""

    NODE = "node"
    NETWORK = "network"
    STACK = "stack"


class Fix(str, Enum):
    """Which agent command would make it as described."""

    INSTALL = "install"
    PLUGIN = "network-plugin"
    CREATE_NETWORK = "network create"
    DEPLOY = "stack deploy"
    REMOVE = "stack remove"
    BY_HAND = "by hand"  # nothing does it: the reason says what people do


@dataclass(frozen=True)
class Difference:
    """One field that differs, and why that matters or what it takes."""

    field: str
    wanted: str
    found: str
    fix: Fix
    reason: str

    def __str__(self) -> str:
        return f"{self.field} is {self.found}, not {self.wanted}: {self.reason} ({self.fix.value})"


@dataclass(frozen=True)
class Drift:
    """One node, network or stack that is not as described. ``name``: the instance of a node."""

    kind: Kind
    name: str
    differences: tuple[Difference, ...]

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """Return what it takes, each once, in the order in which it has to be done."""
        wanted = {difference.fix for difference in self.differences}
        return tuple(fix for fix in Fix if fix in wanted)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}: {'; '.join(map(str, self.differences))}"


def find_drift(wanted: Description, found: Inventory) -> tuple[Drift, ...]:
    """Find all that differs, in the order in which it is fixed: nodes, networks, stacks.

    What a host did not say differs in nothing. Networks and stacks that nobody has looked for are left out.
    """
    nodes = [Drift(Kind.NODE, host.instance, tuple(_on_host(wanted, host))) for host in found.hosts]
    drifts = [*nodes, *_networks(wanted, found), *_stacks(wanted, found)]
    return tuple(drift for drift in drifts if drift.differences)


def _on_host(wanted: Description, host: ReportedHost) -> Iterator[Difference]:
    differences = [*_in_engine(wanted, host), *_in_plugin(wanted, host)]
    yield from differences
    digest = digest_host(wanted)
    if not differences and host.description and host.description != digest:
        reason = "the host was installed by another description, and shows nothing else that differs"
        yield Difference("description", digest, host.description, Fix.INSTALL, reason)


def _in_engine(wanted: Description, host: ReportedHost) -> Iterator[Difference]:
    engine = wanted.engine
    if host.version and not _is_version(host.version, engine.version):
        reason = "the engine is installed anew, after the node was evacuated"
        yield Difference("engine.version", engine.version, host.version, Fix.INSTALL, reason)
    drivers = OVERLAYS if engine.storage_driver is StorageDriver.DEFAULT else (engine.storage_driver.value,)
    if host.storage_driver and host.storage_driver not in drivers:
        reason = "images and containers of the host are lost with a change, so replace the instance"
        yield Difference(
            "engine.storage_driver", " or ".join(drivers), host.storage_driver, Fix.BY_HAND, reason
        )
    yield from _in_log(wanted, host)
    if host.live_restore:
        reason = "an engine with live-restore makes no swarm"
        yield Difference("engine.live_restore", "false", "true", Fix.INSTALL, reason)


def _is_version(found: str, wanted: str) -> bool:
    """Whether it is that version, whatever the packager has added to it, such as 20.10.24+dfsg1."""
    return wanted in (ANY_VERSION, found) or found.startswith(tuple(wanted + sign for sign in "+~-"))


def _in_log(wanted: Description, host: ReportedHost) -> Iterator[Difference]:
    engine, reason = wanted.engine, "containers that start later take it over"
    if not host.log_driver:
        return
    if host.log_driver != engine.log_driver.value:
        yield Difference("engine.log_driver", engine.log_driver.value, host.log_driver, Fix.INSTALL, reason)
    for name, value in engine.log_options.items():
        if (known := host.log_options.get(name, NOTHING)) != value:
            yield Difference(f"engine.log_{name.replace('-', '_')}", value, known, Fix.INSTALL, reason)


def _in_plugin(wanted: Description, host: ReportedHost) -> Iterator[Difference]:
    network = wanted.network
    plugin = network.plugin if network.driver is Driver.WEAVE else ""
    if host.plugin is None or host.plugin == plugin:
        return
    if plugin:
        reason = "containers on this node do not reach the networks of the driver"
        yield Difference("network.plugin", plugin, host.plugin or NOTHING, Fix.PLUGIN, reason)
    else:
        reason = "the networks are the engine's own: disable the plugin once no network uses it"
        yield Difference("network.plugin", NOTHING, host.plugin, Fix.BY_HAND, reason)


def _networks(wanted: Description, found: Inventory) -> Iterator[Drift]:
    listed = {network.name: network for network in found.networks or ()}
    for network in wanted.network.networks if found.networks is not None else ():
        there = listed.get(network.name)
        differences = _in_network(wanted, network, there) if there else [_missing(network)]
        yield Drift(Kind.NETWORK, network.name, tuple(differences))


def _missing(network: WantedNetwork) -> Difference:
    reason = "stacks that are on it cannot start"
    return Difference("subnet", network.subnet, NOTHING, Fix.CREATE_NETWORK, reason)


def _in_network(wanted: Description, network: WantedNetwork, there: ReportedNetwork) -> Iterator[Difference]:
    driver = wanted.network.driver_name
    pairs = [
        ("driver", driver, there.driver or NOTHING, there.driver == driver),
        ("subnet", network.subnet, ", ".join(there.subnets) or NOTHING, network.subnet in there.subnets),
        (
            "gateway",
            network.gateway,
            ", ".join(there.gateways) or NOTHING,
            not network.gateway or network.gateway in there.gateways,
        ),
        (
            "attachable",
            str(network.attachable).lower(),
            str(there.attachable).lower(),
            network.attachable is there.attachable,
        ),
    ]
    reason = "a network cannot be changed: remove it once no service uses it"
    for name, value, known, is_same in pairs:
        if not is_same:
            yield Difference(name, value, known, Fix.BY_HAND, reason)


def _stacks(wanted: Description, found: Inventory) -> Iterator[Drift]:
    deployed = {stack.name: stack for stack in found.stacks or ()}
    for stack in wanted.stacks if found.stacks is not None else ():
        there = deployed.pop(stack.name, None)
        differences = _in_stack(stack, there) if there else [_undeployed()]
        yield Drift(Kind.STACK, stack.name, tuple(differences))
    for name in deployed:
        reason = "it is deployed and not described; its volumes are kept"
        yield Drift(Kind.STACK, name, (Difference("stack", NOTHING, "deployed", Fix.REMOVE, reason),))


def _undeployed() -> Difference:
    return Difference("stack", "deployed", NOTHING, Fix.DEPLOY, "it is described and not deployed")


def _in_stack(stack: WantedStack, there: ReportedStack) -> Iterator[Difference]:
    changed = list(_in_settings(stack.settings, there.settings)) if there.settings else []
    yield from changed
    digest = digest_stack(stack)
    if not changed and there.digest and there.digest != digest:
        reason = "it was deployed with other settings"
        yield Difference("settings", digest, there.digest, Fix.DEPLOY, reason)


def _in_settings(wanted: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Difference]:
    reason = "only what this setting is about is started anew"
    for name in sorted({*wanted, *found}):
        value, known = wanted.get(name, NOTHING), found.get(name, NOTHING)
        if value != known:
            yield Difference(name, value or NOTHING, known or NOTHING, Fix.DEPLOY, reason)
