"""Where Swarm may put tasks of a service and how many more fit; pure, after swarmkit's own filters."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Any

from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.placement.capacity import SwarmCapacity

Plugin = tuple[str, str]  # (type, name)

CONSTRAINT = re.compile(r"\s*([\w.\-/]+)\s*(==|!=)\s*(.*?)\s*\Z")
BUILT_IN = frozenset(  # every node has them, whatever it lists; "" is its default
    {("Volume", ""), ("Volume", "local"), ("Network", ""), ("Log", ""), ("Log", "none")}
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # swarmkit treats each pair as one


def count_room(service: Service, snapshot: Snapshot, without: Collection[str]) -> float:
    """Count the tasks of the service that nodes not in ``without`` can take more; may be infinite."""
    capacity, wanted = SwarmCapacity(snapshot), needed_plugins(service, snapshot)
    return sum(
        capacity.room(node.id, service.id)
        for node in snapshot.nodes
        if node.id not in without and can_hold(node, service, wanted)
    )


def can_hold(node: Node, service: Service, wanted: Collection[Plugin] = ()) -> bool:
    """Tell whether the node may get tasks of the service, as far as it has room; see ``why_unfit``."""
    return not why_unfit(node, service, wanted)


def why_unfit(node: Node, service: Service, wanted: Collection[Plugin]) -> str:
    """Say why the node may get no task of the service, which needs these plugins; "" where it may."""
    placement = service.placement
    if node.state != "ready":
        return node.state
    if node.availability != "active":
        return f"availability {node.availability}"
    met = all(meets_constraint(node, text) for text in placement.get("Constraints") or [])
    if not met or not _fits_platform(node, placement.get("Platforms") or []):
        return "its constraints or platform"
    missing = [plugin for plugin in sorted(wanted) if not _has(node, plugin)]
    return f"missing {missing[0][0].lower()} plugin {missing[0][1]}" if missing else ""


def needed_plugins(service: Service, snapshot: Snapshot) -> frozenset[Plugin]:
    """List the plugins that a node needs for its tasks: of volumes, of its networks and of its log."""
    mounts = (service.template.get("ContainerSpec") or {}).get("Mounts") or ()
    named = {("Volume", _driver(mount)) for mount in mounts if mount.get("Type") == "volume"}
    named |= {("Network", driver) for driver in snapshot.drivers_of(service)}
    named.add(("Log", (service.template.get("LogDriver") or {}).get("Name", "")))
    return frozenset(named - BUILT_IN)


def _driver(mount: Mapping[str, Any]) -> str:
    return str(((mount.get("VolumeOptions") or {}).get("DriverConfig") or {}).get("Name", ""))


def _has(node: Node, plugin: Plugin) -> bool:
    """Tell whether a node has a plugin; one that lists none of the kind counts as having it."""
    kind, name = plugin
    known = node.plugins
    if known is None or (kind == "Log" and all(other != kind for other, _ in known)):
        return True
    return plugin in known or (kind, f"{name}:latest") in known


def meets_constraint(node: Node, constraint: str) -> bool:
    """Tell whether a node meets a constraint such as ``node.labels.disk==ssd``; no unreadable one is met."""
    parts = CONSTRAINT.match(constraint)
    if not parts:
        return False
    key, operator, wanted = parts.groups()
    if key.lower() == "node.ip":
        return _has_address(node, wanted) == (operator == "==")
    value = _value(node, key)
    return value is not None and (value.lower() == wanted.lower()) == (operator == "==")


def label(node: Node, key: str) -> str | None:
    """Read the node's or its engine's label, "" where it has none; None where the key names no label.

    As in Swarm, ``node.labels.`` may be written in any case, what follows may not.
    """
    for prefix, labels in (("node.labels.", node.labels), ("engine.labels.", node.engine_labels)):
        if key.lower().startswith(prefix) and key.lower() != prefix:
            return labels.get(key[len(prefix) :], "")
    return None


def _value(node: Node, key: str) -> str | None:
    known = {
        "node.id": node.id,
        "node.hostname": node.hostname,
        "node.role": node.role,
        "node.platform.os": node.platform[0],
        "node.platform.arch": node.platform[1],
    }
    return known.get(key.lower(), label(node, key))


def _has_address(node: Node, wanted: str) -> bool:
    try:
        return ipaddress.ip_address(node.address) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _fits_platform(node: Node, platforms: Collection[Mapping[str, str]]) -> bool:
    system, architecture = node.platform
    return not platforms or any(
        platform.get("OS", "") in ("", system)
        and _same(platform.get("Architecture", "")) in ("", _same(architecture))
        for platform in platforms
    )


def _same(architecture: str) -> str:
    return ARCHITECTURES.get(architecture, architecture)
