"""What an installation is to reach: the engine of a description, and what was said with it by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bootstrap.machine.facts import PackageFacts
from bootstrap.machine.sources import RUNTIMES, names
from bootstrap.machine.versions import choose, numbers, upstream
from chalicelib.protocol.description import ANY_VERSION, StorageDriver, WantedEngine

# The oldest API that the network plugin's start is spoken in; engines of 29 and later refuse it unless they
# are told, and older ones refuse to start with this setting (measured).
PLUGIN_API, NEEDS_PLUGIN_API = {"min-api-version": "1.24"}, (29,)
OVERLAYS = ("overlay2", "overlayfs")


@dataclass(frozen=True)
class Wanted:
    """An engine, and with what it has to get along.

    ``has_plugin``: the network plugin will run on it. ``may_restart``: containers of a swarm may be stopped;
    else whoever wants that evacuates the node first. ``may_downgrade``: to an older engine.
    """

    engine: WantedEngine
    has_plugin: bool = False
    may_restart: bool = False
    may_downgrade: bool = False

    @property
    def storage_drivers(self) -> tuple[str, ...]:
        """List the storage drivers that will do."""
        chosen = self.engine.storage_driver
        return OVERLAYS if chosen is StorageDriver.DEFAULT else (chosen.value,)

    def choose_packages(self, packages: PackageFacts) -> dict[str, str]:
        """Choose the exact version of each package; {} where the engine's is not listed. Raises AgentError.

        With the version ``any`` what is installed stays, else the newest is taken.
        """
        first, *others = names(self.engine.source, packages.manager)
        version = self._choose(first, packages)
        if not version:
            return {}
        chosen = {first: version}
        for name in others:
            versions = (packages.installed.get(name, ""), *packages.listed.get(name, ()))
            if same := choose(upstream(version), versions):
                chosen[name] = same
        return chosen

    def version_for(self, packages: PackageFacts) -> str:
        """Tell the package version that the engine will have, as far as it is known."""
        return next(iter(self.choose_packages(packages).values()), self.engine.version)

    def settings_for(self, packages: PackageFacts) -> dict[str, Any]:
        """List the settings that the engine of that version shall have."""
        version = self.version_for(packages)
        return wanted_settings(self.engine, version, has_plugin=self.has_plugin)

    def _choose(self, name: str, packages: PackageFacts) -> str:
        there, listed = packages.installed.get(name, ""), packages.listed.get(name, ())
        if self.engine.version == ANY_VERSION:
            return there or (listed[0] if listed else "")
        if there and choose(self.engine.version, (there,)):
            return there  # a newer build of the same version is no reason to stop containers
        return choose(self.engine.version, listed)


def to_hold(packages: PackageFacts, chosen: Mapping[str, str]) -> frozenset[str]:
    """Name the packages that nobody else may upgrade: those chosen, and what runs containers below them."""
    return frozenset(chosen) | (set(packages.installed) & set(RUNTIMES))


def wanted_settings(engine: WantedEngine, version: str, *, has_plugin: bool) -> dict[str, Any]:
    """List the settings that the description asks for, of an engine of this version."""
    settings: dict[str, Any] = {"log-driver": engine.log_driver.value, "log-opts": dict(engine.log_options)}
    if engine.storage_driver is not StorageDriver.DEFAULT:
        settings["storage-driver"] = engine.storage_driver.value
    if has_plugin and numbers(version) >= NEEDS_PLUGIN_API:
        settings |= PLUGIN_API
    return {**settings, **engine.settings}
