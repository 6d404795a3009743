"""Where Swarm may put tasks of a service and how many more fit; pure, after swarmkit's own filters."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping

from bootstrap.planning.layout import Layout
from bootstrap.snapshot import Snapshot
from bootstrap.view import Node, Service

CONSTRAINT = re.compile(r"\s*([\w.\-/]+)\s*(==|!=)\s*(.*?)\s*\Z")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # swarmkit treats each pair as one


def room(service: Service, snapshot: Snapshot, without: Collection[str]) -> float:
    """How many more tasks of the service the nodes can take that are not in ``without``; may be infinite."""
    layout = Layout(snapshot)
    return sum(
        layout.room(node.id, service.id)
        for node in snapshot.nodes
        if node.id not in without and may_hold(node, service)
    )


def may_hold(node: Node, service: Service) -> bool:
    """The node is Ready and Active and meets the service's constraints and platforms."""
    placement = service.placement
    return (
        node.state == "ready"
        and node.availability == "active"
        and all(meets(node, text) for text in placement.get("Constraints") or [])
        and _fits_platform(node, placement.get("Platforms") or [])
    )


def meets(node: Node, constraint: str) -> bool:
    """Whether a node meets one constraint such as ``node.labels.disk==ssd``; an unreadable one is not met."""
    parts = CONSTRAINT.match(constraint)
    if not parts:
        return False
    key, operator, wanted = parts.groups()
    if key.lower() == "node.ip":
        return _has_address(node, wanted) == (operator == "==")
    value = _value(node, key)
    return value is not None and (value.lower() == wanted.lower()) == (operator == "==")


def _value(node: Node, key: str) -> str | None:
    if key.startswith("node.labels."):
        return node.labels.get(key.removeprefix("node.labels."), "")
    if key.startswith("engine.labels."):
        return node.engine_labels.get(key.removeprefix("engine.labels."), "")
    return {
        "node.id": node.id,
        "node.hostname": node.hostname,
        "node.role": node.role,
        "node.platform.os": node.platform[0],
        "node.platform.arch": node.platform[1],
    }.get(key.lower())


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
