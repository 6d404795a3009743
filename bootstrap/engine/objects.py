"""Networks and configs as the engine lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAMESPACE_LABEL = "com.docker.stack.namespace"  # of all that belongs to a stack, by the docker CLI


@dataclass(frozen=True)
class Config:
    """One Swarm config; ``spec`` is the engine's own JSON."""

    id: str
    version: int
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.get("Labels") or {}


@dataclass(frozen=True)
class Network:
    """One network: its IPv4 and IPv6 ranges, and the stack that made it ("" for none)."""

    name: str
    subnets: tuple[str, ...]
    stack: str = ""


def read_config(row: Mapping[str, Any]) -> Config:
    """A config from one row of ``GET /configs``."""
    return Config(row["ID"], row["Version"]["Index"], row["Spec"])


def read_network(row: Mapping[str, Any]) -> Network:
    """A network from one row of ``GET /networks``."""
    ranges = (row.get("IPAM") or {}).get("Config") or ()
    subnets = tuple(str(one["Subnet"]) for one in ranges if one.get("Subnet"))
    return Network(row["Name"], subnets, (row.get("Labels") or {}).get(NAMESPACE_LABEL, ""))


@dataclass(frozen=True)
class NodeEvent:
    """One node event: create, update or remove; ``changes`` is what became of which field, such as state."""

    action: str
    node: str
    name: str
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # field -> (old, new)

    @property
    def hopeful(self) -> bool:
        """The node may have become usable by it."""
        news = {field: new for field, (_, new) in self.changes.items()}
        return self.action == "create" or news.get("state") == "ready" or news.get("availability") == "active"

    def __str__(self) -> str:
        changes = ", ".join(f"{field} {old} -> {new}" for field, (old, new) in sorted(self.changes.items()))
        return f"node {self.name or '?'} ({self.node}) {self.action}: {changes or 'nothing that counts'}"


def read_node_event(row: Mapping[str, Any]) -> NodeEvent:
    """An event from one row of ``GET /events``."""
    actor = row.get("Actor") or {}
    said: Mapping[str, str] = actor.get("Attributes") or {}
    fields = sorted(key[: -len(".new")] for key in said if key.endswith(".new"))
    changes = {name: (said.get(f"{name}.old", ""), said[f"{name}.new"]) for name in fields}
    return NodeEvent(str(row.get("Action", "")), str(actor.get("ID", "")), said.get("name", ""), changes)
