"""Networks as the engine lists them."""

from __future__ import annotations

from dataclasses import dataclass

NAMESPACE_LABEL = "com.docker.stack.namespace"  # of all that belongs to a stack, by the docker CLI


@dataclass(frozen=True)
class Network:
    """One network: its IPv4 and IPv6 ranges, and the stack that made it ("" for none).

    ``driver`` is "" of a swarm's network that no manager could set up: it never works. ``is_ingress``: it is
    the routing mesh. ``id`` is its own, also where two have one name.
    """

    name: str
    subnets: tuple[str, ...]
    stack: str = ""
    driver: str = ""
    gateways: tuple[str, ...] = ()
    is_attachable: bool = False
    is_ingress: bool = False
    id: str = ""
