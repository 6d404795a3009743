"""What a person has to know, once."""

from __future__ import annotations

from dataclasses import dataclass

AGAIN = 3600.0  # seconds after which the same incident is news again, where it says no other time


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that a person has to know, once.

    ``key`` says what is the same incident. ``what`` happened, what was ``left`` as it was, what to do
    (``remedy``). ``record``: the node's record as JSON where work was given up, which makes it a dead letter.
    ``notified``: a notification was sent, or the cluster wants none.
    """

    key: str
    at: float
    what: str
    left: str
    remedy: str
    instance: str = ""
    node: str = ""
    record: str = ""
    drill: bool = False
    notified: bool = False
    expires: float = 0.0
