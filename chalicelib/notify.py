"""Tell people of an incident: in the log, and once in a message."""

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
LEFT_TO_OTHERS = 60.0  # seconds after which an incident that nobody was told of is everybody's


def notify(cluster: str, incident: Incident, world: World) -> Outcome:
    """Record it, then publish it, then remember that; whoever dies in between is succeeded by the tick.

    In a paused cluster it is recorded only: the first tick after that tells of it.
    """
    now = world.clock.now()
    if not world.incidents.record(cluster, incident, now):
        known = world.incidents.get(cluster, incident.key)
        if known and (known.notified or now < known.at + LEFT_TO_OTHERS):
            return Outcome(detail=f"known already: {incident.key}")
    settings = world.settings.get(cluster)
    if settings.paused:
        return Outcome(detail=f"recorded, to be told once {cluster} is resumed: {incident.what}")
    if settings.notify:
        try:
            world.messages.publish(subject(cluster, incident), text(cluster, incident))
        except RefusedError as error:
            return Outcome(Code.LEFT_OPEN, f"{incident.what}; not told, the tick tries again: {error}")
    world.incidents.mark_notified(cluster, incident.key)
    return Outcome(Code.RAISED, f"{incident.what}. Left: {incident.left}. To do: {incident.remedy}")


def subject(cluster: str, incident: Incident) -> str:
    """One line: SNS takes a hundred characters, and no line breaks."""
    about = incident.instance or incident.key.replace("#", " ")
    return f"{'Drill: ' if incident.drill else ''}Swarmkeeper {cluster}: {about}"


def text(cluster: str, incident: Incident) -> str:
    """What happened, where, what was left as it was, what to do."""
    return _template().substitute(
        what=("This is a drill. " if incident.drill else "") + incident.what,
        when=datetime.fromtimestamp(incident.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        cluster=cluster,
        instance=incident.instance or "-",
        node=incident.node or "-",
        left=incident.left,
        remedy=incident.remedy,
    )


@cache
def _template() -> Template:
    return Template(MESSAGE.read_text())
