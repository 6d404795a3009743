"""Stay with evacuations that were sent: a manager may fail after it has begun, and then nobody says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.errors import ThrottledError
from chalicelib.events import IN_FLIGHT, CommandRunning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.adapters.ports import World


def stay(urgent: Mapping[str, str], world: World, until: float) -> CommandRunning | None:
    """One of the commands, given by manager, that has not ended after a while; None where all have.

    None also where that while would not end by ``until``, in seconds since the epoch.

    One is enough, however many there are: the agent that it is sent to next works on all doomed nodes. What
    AWS forbids to ask for is left to the tick.
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
    except ThrottledError:
        return None
