"""Do it: perform one action in one cluster, and answer how it came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from chalicelib.actions import Ask, Code, Dispatch, Enrol, Move, NoteHost, Outcome, RecordManagers
from chalicelib.dispatch import dispatch, note_host
from chalicelib.errors import ThrottledError
from chalicelib.events import IN_FLIGHT, CommandRunning, InvocationEnded, finished

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.cluster import Node
    from chalicelib.world import World


def perform(action: Action, cluster: str, world: World) -> Outcome:
    """Do it. Failures that are to be expected are in the outcome, all others are raised."""
    match action:
        case Enrol(nodes):
            world.store.enrol(nodes)
            return Outcome(detail=f"{len(nodes)} enrolled")
        case Move(before, after):
            return _move(before, after, world)
        case RecordManagers(managers):
            world.store.record_managers(cluster, managers)
            return Outcome(detail=f"managers are {', '.join(managers) or 'none'}")
        case NoteHost(manager, healthy):
            note_host(cluster, manager, world, healthy=healthy)
            return Outcome(detail=f"{manager} {'did well' if healthy else 'failed'}")
        case Dispatch():
            return dispatch(cluster, action, world)
        case Ask():
            return _ask(action, world)
        case _:
            assert_never(action)


def _move(before: Node, after: Node, world: World) -> Outcome:
    if world.store.move(before, after):
        return Outcome(detail=f"{before.instance}: {before.state} -> {after.state}")
    return Outcome(Code.LOST_RACE, f"{before.instance} was changed meanwhile")


def _ask(action: Ask, world: World) -> Outcome:
    """What the host says now is the next event."""
    now = world.clock.now()
    try:
        answer = world.hosts.answer(action.command, action.manager)
    except ThrottledError as error:
        return Outcome(Code.LEFT_OPEN, f"{action.command} is asked for again by the next tick: {error}")
    if answer.status in IN_FLIGHT:
        return Outcome(detail=answer.status, event=CommandRunning(now, action.command, action.manager))
    ended = InvocationEnded(now, action.command, action.manager)
    return Outcome(detail=answer.status, event=finished(ended, action.task, answer))
