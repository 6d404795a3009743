"""Watch urgent evacuations that were sent: a manager may fail after it has begun one, and nobody says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.errors import RefusedError, ThrottledError
from chalicelib.events import IN_FLIGHT, CommandRunning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.adapters.ports import World


def find_late_command(urgent: Mapping[str, str], world: World, until: float) -> CommandRunning | None:
    """Wait a while, then find a command that has not ended; None where all have.

    ``urgent``: a command for each manager. None also where the while would not end by ``until``, in seconds
    since the epoch. One command is enough: the agent that it is sent to next works on all evacuating nodes.
    Where AWS does not say what has ended, the tick asks.
    """
    if not urgent or not world.timeouts.hedge_s or world.clock.now() + world.timeouts.hedge_s > until:
        return None
    world.clock.sleep(world.timeouts.hedge_s)
    now = world.clock.now()
    try:
        running = (
            CommandRunning(now, command, manager)
            for manager, command in urgent.items()
            if world.hosts.fetch_answer(command, manager).status in IN_FLIGHT
        )
        return next(running, None)
    except (ThrottledError, RefusedError):
        return None
