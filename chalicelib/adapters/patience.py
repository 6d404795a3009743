"""Wait out calls that AWS throttles or does not answer for now, inside the time budget of an invocation.

Lambda would run the handler again after a minute, which is half of a Spot notice. So a call is repeated here,
with short back-offs, until the budget of its invocation is used up; then its error is raised.
"""

from __future__ import annotations

import random
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws_errors import is_passing_answer
from chalicelib.adapters.ports import Clock, WallClock
from chalicelib.rules.retry import exponential_s

if TYPE_CHECKING:
    from botocore.client import BaseClient

BUDGET_S = 45.0  # for the waits of one invocation, from its begin: half of what Lambda lets a handler run
CALL_S = 3.0  # that each call may be repeated even when the budget is used up
FIRST_BACK_OFF_S = 0.05
LONGEST_BACK_OFF_S = 2.0
BEGAN = "swarmkeeper_began"  # when a call failed first, in botocore's context of the call

_budget_end: ContextVar[float] = ContextVar("budget_end", default=0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Patience:
    """How long the calls of watched clients are repeated; one for all invocations of a process."""

    clock: Clock = field(default_factory=WallClock)

    def begin(self, budget_s: float = BUDGET_S) -> None:
        """Begin the budget of an invocation."""
        _budget_end.set(self.clock.now() + budget_s)

    def watch(self, client: BaseClient, longest_s: float = BUDGET_S) -> None:
        """Repeat the client's calls, each for at most ``longest_s``; its own retries have to be off."""

        def repeat(request_dict: dict[str, Any], attempts: int, **outcome: Any) -> float | None:
            if not is_passing_answer(outcome.get("response"), outcome.get("caught_exception")):
                return None
            began = request_dict["context"].setdefault(BEGAN, self.clock.now())
            # Botocore would sleep for what is answered here, but by the real clock.
            return 0.0 if self.back_off(attempts, began, longest_s) else None

        client.meta.events.register("needs-retry", repeat)  # type: ignore[arg-type]

    def back_off(self, attempts: int, began: float, longest_s: float = BUDGET_S) -> bool:
        """Wait before the next attempt at what was tried since ``began``; False if there is no time left."""
        back_off_s = jittered_s(FIRST_BACK_OFF_S, attempts - 1, LONGEST_BACK_OFF_S)
        until = max(began + CALL_S, min(_budget_end.get(), began + longest_s))
        if self.clock.now() + back_off_s > until:
            return False
        self.clock.sleep(back_off_s)
        return True


def jittered_s(first_s: float, doublings: int, longest_s: float) -> float:
    """Return the seconds of a growing back-off, with jitter that separates handlers that failed together."""
    return random.uniform(0.5, 1.0) * exponential_s(first_s, doublings, longest_s)  # noqa: S311
