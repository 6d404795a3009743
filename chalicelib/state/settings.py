"""How a cluster is treated: the settings that people may change, and the timeouts of the handlers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Recommendations(StrEnum):
    """What a rebalance recommendation leads to."""

    IGNORE = "ignore"
    NOTE = "note"
    EVACUATE = "evacuate"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What people set for a cluster with the manual calls configure, pause and resume.

    ``rebalance``: spread services again after joins, once no node has joined for ``settle`` seconds, and at
    the earliest ``cooldown`` seconds after the last rebalance. ``out_share``: the share of the nodes, but at
    least one, that may be out at once without an announced end; the others wait for their turn.
    """

    recommendations: Recommendations = Recommendations.NOTE
    drills: bool = False
    notify: bool = True
    paused: bool = False
    rebalance: bool = True
    settle: float = 20.0
    cooldown: float = 300.0
    out_share: float = 0.3334  # a third
    description: str = ""  # the SHA-256 of what the cluster shall be, as it was published; "" for none


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long things may take in a cluster, in seconds."""

    notice_s: float = 120.0  # from a Spot warning's time to the end of the instance
    shutdown_s: float = 30.0  # what an instance that shuts down without a warning has left
    answer_s: float = 30.0  # for a command; then its result is fetched
    hedge_s: float = 12.0  # for an urgent evacuation; then it is sent through a second manager too
    evacuation_s: float = 600.0  # for an evacuation without a deadline of its own
    recommendation_s: float = 3600.0  # that a rebalance recommendation counts; then the node is given back
    scheduled_change_s: float = 3600.0  # between the evacuation and the scheduled change that it is for
    drill_s: float = 30.0  # that a drilled node stays empty after the end that was played
    inspection_period_s: float = 300.0  # between two inspections of the swarm; 0 for none
