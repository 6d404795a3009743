"""Networks and configs as the engine lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
