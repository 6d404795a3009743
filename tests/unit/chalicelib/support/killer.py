"""A death in the middle of an effect, for the tests of what is left then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class Killed(BaseException):
    """The process is gone; nothing catches this."""


@dataclass
class Killer:
    """Counts effects and kills at one, before or after it; what runs afterwards (finally) has no effect."""

    at: int
    after: bool
    count: int = 0
    dead: bool = False

    def wrap(self, effect: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.dead:
                return None
            self.count += 1
            if self.count == self.at and not self.after:
                self._die()
            result = effect(*args, **kwargs)
            if self.count == self.at:
                self._die()
            return result

        return call

    def _die(self) -> None:
        self.dead = True
        raise Killed
