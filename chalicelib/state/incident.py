"""One thing that people have to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that a person has to know, once.

    ``key``: equal for incidents that are the same. ``what`` happened, what was ``left`` as it was, what to do
    (``fix``). ``record``: the record as JSON where work was given up, which makes it a dead letter.
    ``notified``: a message was sent, or the cluster wants none. From ``expires`` on it is news again.
    """

    key: str
    at: float
    what: str
    left: str
    fix: str
    instance: str = ""
    node: str = ""
    record: str = ""
    drill: bool = False
    notified: bool = False
    expires: float = 0.0
