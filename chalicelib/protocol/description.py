"""What a cluster shall be: its description; description_codec.py has it as JSON.

People write ``cluster.yaml`` (docs/platform.md). Here profile and defaults are filled in, so
that each field is final.
Standard library only and Python 3.10 syntax: this module travels inside the agent too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

PLUGIN_RANGE = "10.32.0.0/12"  # from which the network plugin gives addresses, unless it is told otherwise
ANY_VERSION = "any"  # of the engine: the one that the distribution has


class Packages(str, Enum):
    """By which names a source offers the engine."""

    DOCKER = "docker"  # docker-ce, docker-ce-cli, containerd.io
    DISTRIBUTION = "distribution"  # docker.io and the like


class SourceKind(str, Enum):
    """Where the engine's packages come from."""

    DOCKER = "docker"  # download.docker.com, through apt or dnf
    DISTRIBUTION = "distribution"  # what the host's own sources offer
    MIRROR = "mirror"  # another address, with a key


class Driver(str, Enum):
    """What makes networks that span the hosts."""

    OVERLAY = "overlay"  # the engine itself
    WEAVE = "weave"  # the network plugin, a managed plugin of the engine


class StorageDriver(str, Enum):
    """How an engine keeps images and containers."""

    OVERLAY2 = "overlay2"
    OVERLAYFS = "overlayfs"  # in containerd's store
    DEFAULT = "default"  # either of the two: the engine's own choice


class LogDriver(str, Enum):
    """How an engine keeps what containers print."""

    JSON_FILE = "json-file"
    LOCAL = "local"


@dataclass(frozen=True)
class PackageSource:
    """Where the engine's packages come from.

    The rest is a mirror's: ``url`` and ``key``, the address (https) or the path on the host of the key that
    its index is signed with; ``suite`` ("": the host's code name) and ``component`` of an apt source.
    """

    kind: SourceKind = SourceKind.DOCKER
    packages: Packages = Packages.DOCKER
    url: str = ""
    key: str = ""
    suite: str = ""
    component: str = ""


@dataclass(frozen=True)
class WantedHost:
    """What the host itself should be; nothing changes it, preflight tells.

    ``systems``: ID and VERSION_ID of /etc/os-release, such as ``ubuntu-24.04``; () any. ``kernel_from`` and
    ``kernel_below``: versions such as 4.4; "" any.
    """

    systems: tuple[str, ...] = ()
    kernel_from: str = ""
    kernel_below: str = ""


@dataclass(frozen=True)
class WantedEngine:
    """The engine of each host. ``settings`` are further ones of its ``daemon.json``."""

    version: str
    source: PackageSource = PackageSource()
    storage_driver: StorageDriver = StorageDriver.DEFAULT
    log_driver: LogDriver = LogDriver.JSON_FILE
    log_max_size: str = "10m"
    log_max_file: int = 3
    live_restore: bool = False  # an engine that has it makes no swarm
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def log_options(self) -> dict[str, str]:
        """Return the engine's ``log-opts``."""
        return {"max-size": self.log_max_size, "max-file": str(self.log_max_file)}


@dataclass(frozen=True)
class WantedNetwork:
    """One network; ``gateway`` "" is the engine's choice."""

    name: str
    subnet: str
    gateway: str = ""
    attachable: bool = True


@dataclass(frozen=True)
class WantedNetworking:
    """What makes the networks, and which there are. ``range``: of the plugin; its networks lie inside."""

    driver: Driver = Driver.OVERLAY
    plugin: str = ""
    range: str = PLUGIN_RANGE
    networks: tuple[WantedNetwork, ...] = ()

    @property
    def driver_name(self) -> str:
        """Return the driver as the engine calls it: a managed plugin by its reference."""
        return self.plugin if self.driver is Driver.WEAVE else self.driver.value


@dataclass(frozen=True)
class WantedStack:
    """One stack with all its settings, as ``agent stack ls`` names them."""

    name: str
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """What a cluster shall be. ``registry`` stands before the name of each image, "" for none."""

    name: str
    engine: WantedEngine
    profile: str = ""
    registry: str = ""
    host: WantedHost = WantedHost()
    network: WantedNetworking = WantedNetworking()
    stacks: tuple[WantedStack, ...] = ()

    def stack(self, name: str) -> WantedStack | None:
        """Return the stack of that name; None where it is not wanted."""
        return next((stack for stack in self.stacks if stack.name == name), None)
