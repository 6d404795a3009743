"""The faults that are armed at the moment, and which one strikes next."""

from __future__ import annotations

import itertools
import threading
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from tests.lab.state import LabError


class Kind(StrEnum):
    """What can go wrong on purpose."""

    DROP = "drop"  # an event never arrives
    DELAY = "delay"  # an event arrives late
    DOUBLE = "double"  # an event arrives twice
    REFUSE = "refuse"  # an AWS call is answered with an error
    FREEZE = "freeze"  # a host's SSM agent picks nothing up and reports nothing
    PAUSE = "pause"  # the processes of a host's running commands stand still
    KILL_BEFORE = "kill-before"  # a handler dies just before a call takes effect
    KILL_AFTER = "kill-after"  # a handler dies after the effect and before the answer


@dataclass(frozen=True)
class Fault:
    """One armed fault.

    ``match`` is a detail-type, an action (``ssm:SendCommand``) or an instance id, "" for any.
    ``skip`` matches pass unharmed, then ``left`` are struck (-1: all). ``who`` limits it to one caller.
    """

    kind: Kind
    match: str = ""
    left: int = 1
    skip: int = 0
    seconds: float = 0.0
    error: str = ""
    who: str = ""
    number: int = 0

    def __post_init__(self) -> None:
        """Refuse what could never strike."""
        if self.left == 0 or self.skip < 0 or self.seconds < 0:
            raise LabError("a fault needs a count of 1 or more (-1 for all) and no negative numbers")


def parse(row: dict[str, Any]) -> Fault:
    """Read a fault from its JSON; LabError where that is not one."""
    try:
        return Fault(**{**row, "kind": Kind(row["kind"])})
    except (KeyError, TypeError, ValueError) as error:
        raise LabError(f"not a fault: {error}") from error


@dataclass
class Faults:
    """All armed faults, oldest first; safe to ask from many threads."""

    _armed: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def arm(self, fault: Fault) -> Fault:
        """Arm a fault; answers it with its number."""
        with self._lock:
            numbered = replace(fault, number=next(self._numbers))
            self._armed.append(numbered)
            return numbered

    def clear(self, kind: Kind | None = None, match: str = "") -> list[Fault]:
        """Disarm all faults, or those of a kind (and match); answers what was disarmed."""
        with self._lock:
            gone = [f for f in self._armed if kind in (None, f.kind) and match in ("", f.match)]
            self._armed = [f for f in self._armed if f not in gone]
            return gone

    def rows(self) -> list[dict[str, Any]]:
        """All armed faults as JSON rows."""
        with self._lock:
            return [asdict(fault) for fault in self._armed]

    def standing(self, kind: Kind, match: str) -> bool:
        """Whether a fault of that kind lies on this subject, without using it up."""
        with self._lock:
            return any(f.kind is kind and f.match == match for f in self._armed)

    def strike(self, kinds: set[Kind], match: str, who: str = "") -> Fault | None:
        """Find the first armed fault that strikes now and use it up by one; None where all is well."""
        with self._lock:
            for place, fault in enumerate(self._armed):
                if fault.kind in kinds and fault.match in ("", match) and fault.who in ("", who):
                    self._armed[place : place + 1] = _used(fault)
                    return None if fault.skip else fault
        return None


def _used(fault: Fault) -> list[Fault]:
    if fault.skip:
        return [replace(fault, skip=fault.skip - 1)]
    if fault.left < 0:
        return [fault]
    return [replace(fault, left=fault.left - 1)] if fault.left > 1 else []
