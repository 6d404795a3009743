"""How a cluster is to be treated: what people may set for each, and how patient the handlers are."""

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
    """How a cluster is to be treated; set with the manual calls configure, pause and resume.

    ``rebalance``: services are spread again after joins, once none came for ``settle`` seconds, and
    ``cooldown`` seconds after the last time.
    """

    recommendations: Recommendations = Recommendations.NOTE
    drills: bool = False
    notify: bool = True
    paused: bool = False
    rebalance: bool = True
    settle: float = 20.0
    cooldown: float = 300.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How patient a cluster is, in seconds."""

    notice_s: float = 120.0  # from a Spot warning's time to the end
    shutdown_s: float = 30.0  # what an instance that shuts down unannounced may still give
    answer_s: float = 30.0  # how long a command may be out before it is asked for
    hedge_s: float = 12.0  # how long a handler stays with an urgent evacuation that it has sent
    evacuation_s: float = 600.0  # what an evacuation may take that nothing hurries
    recommendation_s: float = (
        3600.0  # after a recommendation that nothing followed, the node is given back; no other counts
    )
    scheduled_change_s: float = 3600.0  # how long before a scheduled change the node is evacuated
    drill_s: float = 30.0  # how long a drilled node stays out once its end would have come
    inspection_period_s: float = 300.0  # between two looks at the swarm; 0 for none
