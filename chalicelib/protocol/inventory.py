"""What hosts and managers say there is: the other side of a description, and a part of a result.

Hosts lie: each field is validated and cut (result_fields.py), and only a host's own row is its word.

Standard library only and Python 3.10 syntax: this module travels inside the agent too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SHORT_DIGEST = 16  # characters, in labels and keys
MAX_ENTRIES = 100  # networks, stacks, settings of one of them


@dataclass(frozen=True)
class ReportedHost:
    """What a host says of itself. "", {} and None: it did not say.

    ``description``: the short digest of what it was installed by (``digest_host``). ``version`` and what
    follows are its engine's. ``plugin``: the reference of the network plugin that is enabled, "" for none.
    """

    instance: str
    node: str = ""
    description: str = ""
    version: str = ""
    storage_driver: str = ""
    log_driver: str = ""
    log_options: dict[str, str] = field(default_factory=dict)
    live_restore: bool | None = None
    plugin: str | None = None


@dataclass(frozen=True)
class ReportedNetwork:
    """A network as a manager lists it. An empty ``driver`` is the mark of one that never works."""

    name: str
    driver: str = ""
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    attachable: bool = False


@dataclass(frozen=True)
class ReportedStack:
    """A stack of ours that is deployed: its digest (``digest_stack``), its settings where they are known."""

    name: str
    digest: str = ""
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inventory:
    """What there is. ``networks`` and ``stacks`` are None where nobody has looked for them."""

    hosts: tuple[ReportedHost, ...] = ()
    networks: tuple[ReportedNetwork, ...] | None = None
    stacks: tuple[ReportedStack, ...] | None = None
