"""The schedule, the only source that is guaranteed, what the discovery finds, and whose turn it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from chalicelib.state.instance import DiscoveredInstance


@dataclass(frozen=True, slots=True)
class Tick:
    """A minute has passed, or a person wants overdue work to be done now."""

    @classmethod
    def parse(cls, _: object, __: float = 0.0) -> Self:
        """Accept whatever starts it: nothing in it matters."""
        return cls()


@dataclass(frozen=True, slots=True)
class InstancesDiscovered:
    """EC2 was asked for all tagged instances at ``time``; these are the ones of the cluster.

    ``hurried``: an event waits for it, so only unknown instances are recorded.
    """

    time: float
    instances: tuple[DiscoveredInstance, ...]
    hurried: bool = False


@dataclass(frozen=True, slots=True)
class DiscoveryFailed:
    """The discovery of ``what`` (instances or groups) failed at ``time``, as it has since ``since``."""

    time: float
    what: str
    error: str
    since: float = 0.0

    @property
    def text(self) -> str:
        """What failed, for people."""
        return f"the discovery of {self.what} fails: {self.error}"


@dataclass(frozen=True, slots=True)
class TurnAsked:
    """An instance whose record says that it waits asks whether it is its turn to be evacuated."""

    time: float
    instance: str
