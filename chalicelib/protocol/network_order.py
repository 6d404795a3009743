"""An order about the network plugin, one of the swarm's networks, or a peer that is gone.

Standard library only and Python 3.10 syntax: this module travels inside the agent too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkOrder:
    """Each task reads what it needs; the rest is "" or 0.

    ``driver``: ``overlay``, or the plugin's reference; ``range``: the plugin's ("" for its default).
    ``peers``: how many hosts have the plugin; 0: on a manager as many as are Ready, else as many as it knows.
    ``name``, ``subnet``, ``gateway``: of a network.
    ``peer``: the host name of one that is gone; ``address``: where it was a manager; ``forget_only``: another
    host takes its addresses over. ``dry_run``: change nothing.
    """

    driver: str = ""
    range: str = ""
    peers: int = 0
    name: str = ""
    subnet: str = ""
    gateway: str = ""
    peer: str = ""
    address: str = ""
    forget_only: bool = False
    dry_run: bool = False
