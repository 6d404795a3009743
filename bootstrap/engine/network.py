"""Networks as the engine lists them."""

from __future__ import annotations

from dataclasses import dataclass

NAMESPACE_LABEL = "com.docker.stack.namespace"  # of all that belongs to a stack, by the docker CLI


@dataclass(frozen=True)
class Network:
    """One network: its IPv4 and IPv6 ranges, and the stack that made it ("" for none)."""

    name: str
    subnets: tuple[str, ...]
    stack: str = ""
