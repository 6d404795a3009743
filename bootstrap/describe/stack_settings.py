"""The settings of the agent's stacks, as a description gives them; pure.

What a description says elsewhere is not said again with a stack: ``registry``, ``images``, ``network``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from bootstrap.stacks.catalog import Stack
from chalicelib.protocol.description import WantedNetworking

REGISTRY, IMAGE = "REGISTRY", "_IMAGE"
OF_NETWORKS = ("_DRIVER", "_SUBNET", "_GATEWAY")
NO_NETWORKS_OF_OURS = frozenset({"bridge", "host", "ingress", "default"})


def networks_of(stack: Stack) -> tuple[str, ...]:
    """List the networks that a stack is on, and that a description has to name."""
    found = yaml.safe_load(stack.source).get("networks") or {}
    return tuple(name for name in found if name not in NO_NETWORKS_OF_OURS)


def own_settings(stack: Stack) -> dict[str, str]:
    """Return the settings that are said with the stack itself, and their defaults."""
    elsewhere = {REGISTRY, *_network_names(networks_of(stack))}
    return {
        name: value
        for name, value in stack.defaults.items()
        if name not in elsewhere and not name.endswith(IMAGE)
    }


def image_names(stacks: Iterable[Stack]) -> frozenset[str]:
    """Return the names by which a description gives images: ``docker-api`` for DOCKER_API_IMAGE."""
    return frozenset(
        name.removesuffix(IMAGE).lower().replace("_", "-")
        for stack in stacks
        for name in stack.defaults
        if name.endswith(IMAGE)
    )


def resolve(stack: Stack, merged: Mapping[str, Any], network: WantedNetworking) -> dict[str, str]:
    """Return all settings of a stack: its own, else those that the file says for all, else defaults."""
    images = {_setting(name) + IMAGE: image for name, image in (merged.get("images") or {}).items()}
    shared, own = merged.get("defaults") or {}, merged["stacks"][stack.name] or {}
    known = {**images, **dict(_network_settings(network)), **shared, **own}
    known |= {REGISTRY: merged.get("registry") or ""}
    return {name: str(known.get(name, value)) for name, value in stack.defaults.items()}


def _network_settings(network: WantedNetworking) -> Iterator[tuple[str, str]]:
    for one in network.networks:
        values = (network.driver_name, one.subnet, one.gateway)
        yield from zip(_network_names([one.name]), values, strict=True)


def _network_names(networks: Iterable[str]) -> list[str]:
    return [_setting(name) + suffix for name in networks for suffix in OF_NETWORKS]


def _setting(name: str) -> str:
    return name.upper().replace("-", "_")
