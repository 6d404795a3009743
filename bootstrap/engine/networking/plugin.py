"""Managed plugins as the engine lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from bootstrap.engine.decode import checked

NETWORK_DRIVER = "docker.networkdriver/1.0"
DEFAULT_HOSTS = ("docker.io/", "index.docker.io/")


@dataclass(frozen=True)
class Plugin:
    """One managed plugin; networks name it by ``name`` as their driver."""

    id: str
    name: str
    is_enabled: bool

    @property
    def repository(self) -> str:
        """Return its name without the tag."""
        return split_reference(self.name)[0]


def read_plugin(row: Mapping[str, Any]) -> Plugin:
    """Read a plugin from one row of ``GET /plugins``."""
    return Plugin(checked(row["Id"], str), checked(row["Name"], str), checked(row["Enabled"], bool))


def split_reference(reference: str) -> tuple[str, str]:
    """Split a reference into repository and tag, as the engine completes it: ``latest`` where none is given.

    A digest after the tag is left out, as the engine leaves it out of a plugin's name.
    """
    plain = reference.partition("@")[0]
    for host in DEFAULT_HOSTS:
        plain = plain.removeprefix(host)
    repository, colon, tag = plain.rpartition(":")
    if not colon or "/" in tag:  # the colon is that of a port
        return plain, "latest"
    return repository, tag


def find_plugin(reference: str, plugins: Iterable[Plugin]) -> Union[Plugin, None]:
    """Find the plugin of a reference."""
    wanted = split_reference(reference)
    return next((one for one in plugins if split_reference(one.name) == wanted), None)
