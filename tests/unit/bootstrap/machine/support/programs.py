"""Programs of a machine that answer as they are asked to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.clock import Clock
from bootstrap.machine.packages import Apt, Dnf
from bootstrap.machine.programs import QUICK_S, Said


@dataclass
class Programs:
    """Programs that answer as they are told, and the words that they were called with."""

    answers: dict[str, list[Said]] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    now: float = 0.0

    def __call__(self, argv: Sequence[str], timeout: float = QUICK_S) -> Said:  # noqa: ARG002 - as a program
        self.calls.append(tuple(argv))
        waiting = self.answers.get(" ".join(argv[:2]), [])
        return (waiting.pop(0) if len(waiting) > 1 else waiting[0]) if waiting else Said(0)

    @property
    def clock(self) -> Clock:
        def sleep(seconds: float) -> None:
            self.now += seconds

        return Clock(lambda: self.now, sleep)

    def apt(self, root: Path) -> Apt:
        return Apt(self, self.clock, root)

    def dnf(self, root: Path) -> Dnf:
        return Dnf(self, self.clock, root)
