"""Notify people of an incident: in the log, and once in a message."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from chalicelib.actions import Code, Outcome
from chalicelib.errors import RefusedError

if TYPE_CHECKING:
    from chalicelib.adapters.ports import World
    from chalicelib.state.incident import Incident

MESSAGE = Path(__file__).with_name("incident.txt")
TAKEOVER_S = 60.0  # after which any handler notifies people of an incident that another one recorded


def notify(cluster: str, incident: Incident, world: World) -> Outcome:
    """Record an incident, publish it, then record that; after a crash in between the tick goes on.

    In a paused cluster it is recorded only: the first tick after the pause notifies people.
    """
    now = world.clock.now()
    if not world.incidents.record(cluster, incident, now):
        known = world.incidents.get(cluster, incident.key)
        if known and (known.notified or now < known.at + TAKEOVER_S):
            return Outcome(detail=f"known already: {incident.key}")
    settings = world.settings.get(cluster)
    if settings.paused:
        return Outcome(detail=f"recorded; people are notified once {cluster} is resumed: {incident.what}")
    if settings.notify:
        try:
            world.messages.publish(subject(cluster, incident), text(cluster, incident))
        except RefusedError as error:
            return Outcome(Code.LEFT_OPEN, f"{incident.what}; not published, the tick tries again: {error}")
    world.incidents.mark_notified(cluster, incident.key)
    return Outcome(Code.RAISED, f"{incident.what}. Left: {incident.left}. To do: {incident.fix}")


def subject(cluster: str, incident: Incident) -> str:
    """Write one line: SNS takes a hundred characters, and no line breaks."""
    about = incident.instance or incident.key.replace("#", " ")
    return f"{'Drill: ' if incident.drill else ''}Swarmkeeper {cluster}: {about}"


def text(cluster: str, incident: Incident) -> str:
    """Say what happened, where, what was left as it was, and what to do."""
    return _template().substitute(
        what=("This is a drill. " if incident.drill else "") + incident.what,
        when=datetime.fromtimestamp(incident.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        cluster=cluster,
        instance=incident.instance or "-",
        node=incident.node or "-",
        left=incident.left,
        fix=incident.fix,
    )


@cache
def _template() -> Template:
    return Template(MESSAGE.read_text())
