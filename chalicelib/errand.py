"""Have one named manager do a task that a person ordered, and wait for what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Code, Outcome
from chalicelib.cluster import Errand
from chalicelib.errors import ThrottledError, UnreachableError
from chalicelib.events import IN_FLIGHT, UNKNOWN, InvocationEnded, finished

if TYPE_CHECKING:
    from chalicelib.actions import Run
    from chalicelib.world import World

SECONDS = 300  # that the task may take
WAIT = 70.0  # seconds that the caller waits; later the errand's command tells how it ended
LOOK = 1.0


def run(cluster: str, action: Run, world: World) -> Outcome:
    """Recorded before it is sent; its end, if it comes in time, is the next event."""
    errand = Errand(action.task, action.manager, world.clock.now())
    world.store.record_errand(cluster, errand)
    try:
        command = world.hosts.send((action.manager,), cluster, action.task, action.arguments, SECONDS)
    except (ThrottledError, UnreachableError) as error:
        world.store.record_errand(cluster, replace(errand, status=f"not sent: {error}"))
        return Outcome(Code.FAILED, f"{action.task.value} was not sent: {error}")
    errand = replace(errand, command=command, status="sent")
    world.store.record_errand(cluster, errand)
    until = world.clock.now() + WAIT
    while world.clock.now() < until:
        try:
            answer = world.hosts.answer(command, action.manager)
        except ThrottledError:
            world.clock.sleep(5 * LOOK)
            continue
        if answer.status not in IN_FLIGHT | {UNKNOWN}:
            ended = InvocationEnded(world.clock.now(), command, action.manager)
            event = finished(ended, action.task, answer)
            world.store.record_errand(cluster, replace(errand, status=answer.status))
            if event.result is None or not event.result.ok:
                said = event.failure or (event.result.error if event.result else "")
                return Outcome(
                    Code.FAILED, f"{action.task.value}: {said or 'not done, see its command'}", event
                )
            return Outcome(detail=f"{action.task.value} is done by {command}", event=event)
        world.clock.sleep(LOOK)
    return Outcome(
        Code.LEFT_OPEN, f"{action.task.value} still runs as {command}: ask Run Command how it ends"
    )
