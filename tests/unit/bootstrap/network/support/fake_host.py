"""A host with networks, a plugin and its router in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine, NotManagerError
from bootstrap.engine.network import Network
from bootstrap.engine.networking.calls import NetworkCalls
from bootstrap.engine.networking.plugin import Plugin
from bootstrap.engine.node import Membership
from bootstrap.errors import RefusedError
from bootstrap.network.plugin import NetworkHost
from bootstrap.network.router import Router
from bootstrap.network.router_status import RouterStatus, read_status
from tests.unit.bootstrap.network.support import samples

WEAVE = "name/net-plugin:2.8.1"
MANAGERS = ("10.231.77.1", "10.231.77.2", "10.231.77.3")


class Timed:
    """Has a time of its own, which passes where somebody sleeps."""

    time: float

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.time, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class FakeNetworks(Timed):
    """The engine and its networks; one that ``sets_up`` gives a new one its driver."""

    sets_up: bool = True
    is_manager: bool = True
    found: list[Network] = field(
        default_factory=lambda: [
            Network("bridge", ("172.17.0.0/16",), driver="bridge", id="bridge"),
            Network("ingress", ("10.0.0.0/24",), driver="overlay", is_ingress=True, id="mesh"),
        ]
    )
    listed: list[Plugin] = field(default_factory=lambda: [Plugin("id", WEAVE, is_enabled=True)])
    services: Sequence[str] = ()
    made: list[Mapping[str, Any]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    time: float = 1000.0

    def node_id(self) -> str:
        if not self.is_manager:
            raise NotManagerError("this host is no swarm manager")
        return "n1"

    def networks(self) -> tuple[Network, ...]:
        return tuple(self.found)

    def plugins(self) -> tuple[Plugin, ...]:
        return tuple(self.listed)

    def publishers(self) -> Sequence[str]:
        return self.services

    def create_network(self, spec: Mapping[str, Any]) -> str:
        self.made.append(spec)
        (pool,) = spec["IPAM"]["Config"]
        driver = spec["Driver"] if self.sets_up else ""
        name = f"net{len(self.made)}"
        self.found.append(
            Network(
                spec["Name"], (pool["Subnet"],), "", driver, (pool["Gateway"],), spec["Attachable"], id=name
            )
        )
        return name

    def remove_network(self, network: str) -> None:
        self.removed.append(network)
        self.found = [one for one in self.found if one.id != network]


def host_of(networks: FakeNetworks) -> NetworkHost:
    """Make a host of it."""
    return NetworkHost(cast("Engine", networks), cast("NetworkCalls", networks))


@dataclass
class FakePlugin(Timed):
    """A host's plugin and router: it starts with the addresses that the engine knows, or does not start."""

    managers: tuple[str, ...] = MANAGERS
    listed: list[Plugin] = field(default_factory=list)
    fails: int = 0  # starts that fail from now on
    in_use: bool = False
    started_with: tuple[str, ...] = ()
    has_targets: bool = False
    done: list[str] = field(default_factory=list)
    time: float = 1000.0

    # the engine

    def membership(self) -> Membership:
        return Membership("active", "n1", is_manager=False, managers=frozenset(self.managers))

    def info(self) -> Mapping[str, Any]:
        return {"Swarm": {"NodeAddr": MANAGERS[0]}}

    def plugins(self) -> tuple[Plugin, ...]:
        return tuple(self.listed)

    def pull_plugin(self, reference: str, settings: Mapping[str, str]) -> None:
        self.done.append(f"pull {reference} {dict(settings)}")
        self.listed = [Plugin("id", reference, is_enabled=False)]

    def enable_plugin(self, name: str) -> None:
        self.done.append(f"enable {name}")
        if self.fails:
            self.fails -= 1
            raise RefusedError(
                "the engine refused to start it: dial unix weave.sock: no such file or directory"
            )
        self.start()

    def start(self) -> None:
        self.listed = [replace(one, is_enabled=True) for one in self.listed]
        self.started_with, self.has_targets = self.managers, len(self.managers) == len(MANAGERS)

    def disable_plugin(self, name: str) -> None:
        if self.in_use:
            raise RefusedError(f"the engine refused to end plugin {name}: it is in use")
        self.done.append(f"disable {name}")

    def remove_plugin(self, name: str) -> None:
        self.done.append(f"remove {name}")
        self.listed = []

    # the router

    def router_status(self) -> RouterStatus:
        pages = (samples.MANAGER, samples.LINKS) if self.has_targets else (samples.UNTARGETED, "")
        return read_status(*pages)

    def host(self) -> NetworkHost:
        fake = self

        class FakeRouter(Router):
            def status(self) -> RouterStatus:
                return fake.router_status()

            def started_with(self) -> tuple[str, ...]:
                return fake.started_with

            def forget_restart(self) -> None:
                fake.done.append("forget restart")

        return NetworkHost(cast("Engine", self), cast("NetworkCalls", self), FakeRouter())
