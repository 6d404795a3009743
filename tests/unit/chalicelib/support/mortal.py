"""A cluster in memory whose handlers can be killed at any effect."""

from __future__ import annotations

import itertools
from typing import Any

from chalicelib.events import Tick
from chalicelib.state.settings import ClusterSettings, Recommendations, Timeouts
from tests.unit.chalicelib.support.killer import Killed, Killer
from tests.unit.chalicelib.support.simulation import Life

EFFECTS = {
    "nodes": ("register", "replace", "record_owners"),
    "jobs": ("replace",),
    "settings": ("update",),
    "incidents": ("record", "mark_notified", "delete"),
    "hosts": ("send",),
    "autoscaling": ("complete", "record_heartbeat"),
    "messages": ("publish",),
}
SOON = Timeouts(
    hedge_s=0.0,
    recommendation_s=300.0,
    evacuation_s=120.0,
    scheduled_change_s=300.0,
    inspection_period_s=0.0,
)


class Mortal(Life):
    """A life of which only what the story tells directly is heard; its handlers can be killed."""

    def __init__(self, at: int, *, after: bool) -> None:
        super().__init__(itertools.repeat(0), itertools.repeat(0.0), itertools.repeat(False))
        self.timeouts = SOON
        self.lab.settings.records["blue"] = ClusterSettings(Recommendations.EVACUATE, drills=True)
        self.killer = Killer(at, after)
        for part, names in EFFECTS.items():
            target = getattr(self.lab, part)
            for name in names:
                setattr(target, name, self.killer.wrap(getattr(target, name)))

    def handle(self, kind: Any, payload: object) -> None:
        try:
            super().handle(kind, payload)
        except Killed:
            self.killer.dead = False  # the next invocation lives
            if kind is not Tick:  # Lambda itself runs a handler again that died
                self.later(60, lambda: self.handle(kind, payload))

    def hear(self) -> None:
        """Let the next event come, once."""
        self.copies = itertools.chain([1], itertools.repeat(0))
