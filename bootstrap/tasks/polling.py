"""The loop that tasks share: poll, decide, act, until there is an answer or time is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, Union

from bootstrap.clock import Clock
from bootstrap.errors import ConflictError, EngineError, NotManagerError
from bootstrap.log import say

Answer = TypeVar("Answer")
Interval = Union[float, Callable[[float], float]]  # seconds, or made from the seconds that a poll took


def until_deadline(
    poll: Callable[[], Union[Answer, None]],
    clock: Clock,
    deadline: float,
    interval_s: Interval,
    gives_up: Union[Callable[[], bool], None] = None,
) -> Answer:
    """Poll until there is an answer; survive an engine that refuses or is silent until the deadline.

    ``poll`` answers None to be called again, and has to answer by itself once the time is over. ``gives_up``
    decides instead of the deadline whether an error is the last one; a ConflictError never is. Raises
    NotManagerError at once, EngineError past the deadline.
    """
    trouble = ""
    while True:
        started = clock.now()
        try:
            if (answer := poll()) is not None:
                return answer
            trouble = ""
        except NotManagerError:
            raise
        except EngineError as error:
            is_over = gives_up() if gives_up else clock.now() > deadline
            if is_over and not isinstance(error, ConflictError):
                raise
            if str(error) != trouble:  # once for each trouble, not once for each try
                trouble = str(error)
                say(f"{trouble}; trying again")
        clock.sleep(interval_s(clock.now() - started) if callable(interval_s) else interval_s)
