"""The life of a node: its states, every legal change, and the work that each state waits for.

The usual life: joining, activating, in service, evacuating, evacuated, leaving, gone. A node that was
evacuated for a while returns to service.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.protocol.messages import AgentTask


class NodeState(StrEnum):
    """Where an instance stands in its life as a node."""

    JOINING = "joining"
    ACTIVATING = "activating"
    IN_SERVICE = "in-service"
    EVACUATING = "evacuating"
    EVACUATED = "evacuated"
    RETURNING = "returning"
    LEAVING = "leaving"
    GONE = "gone"


_JOINING, _ACTIVATING, _IN_SERVICE = NodeState.JOINING, NodeState.ACTIVATING, NodeState.IN_SERVICE
_EVACUATING, _EVACUATED, _RETURNING = NodeState.EVACUATING, NodeState.EVACUATED, NodeState.RETURNING
_LEAVING, _GONE = NodeState.LEAVING, NodeState.GONE

# Every legal change. Any state may lead back to joining: the instance was started again, or is found alive.
# A node returns that is evacuated, or whose evacuation has come to no end. One that was not empty at its end
# is evacuated anew for the next disruption. A gone node leaves once more where its swarm lists it.
LEGAL_CHANGES: dict[NodeState, frozenset[NodeState]] = {
    _JOINING: frozenset({_JOINING, _ACTIVATING, _EVACUATING, _LEAVING}),
    _ACTIVATING: frozenset({_IN_SERVICE, _JOINING, _EVACUATING, _LEAVING}),
    _IN_SERVICE: frozenset({_JOINING, _EVACUATING, _LEAVING}),
    _EVACUATING: frozenset({_EVACUATED, _RETURNING, _LEAVING, _JOINING}),
    _EVACUATED: frozenset({_EVACUATING, _RETURNING, _LEAVING, _JOINING}),
    _RETURNING: frozenset({_IN_SERVICE, _ACTIVATING, _EVACUATING, _LEAVING, _JOINING}),
    _LEAVING: frozenset({_GONE, _JOINING}),
    _GONE: frozenset({_JOINING, _LEAVING}),
}

# Groups of states, each with one meaning.
ENTERING = frozenset({_JOINING, _ACTIVATING})  # on the way into service
IN_SWARM = (_IN_SERVICE, _ACTIVATING, _RETURNING)  # a node of the swarm that stays; the furthest first
STAYING = (*IN_SWARM, _JOINING)  # the instance is not known to end; the furthest first
UNDER_EVACUATION = frozenset({_EVACUATING, _EVACUATED})  # to be empty, or empty
OUT_OF_SERVICE = frozenset({_EVACUATED, _RETURNING})  # empty, perhaps for a while
REMOVED = frozenset({_LEAVING, _GONE})  # the instance has ended
EMPTY = frozenset({_EVACUATED, *REMOVED})  # no task needs the instance any more


class Place(StrEnum):
    """Where a task runs."""

    INSTANCE = "instance"  # on the very instances it is about
    MANAGER = "manager"  # on any manager of their swarm


@dataclass(frozen=True, slots=True)
class Work:
    """What a state waits for: a task, and where it runs."""

    task: AgentTask
    place: Place = Place.MANAGER


WORK = {
    NodeState.JOINING: Work(AgentTask.JOIN, Place.INSTANCE),
    NodeState.ACTIVATING: Work(AgentTask.ACTIVATE),
    NodeState.EVACUATING: Work(AgentTask.EVACUATE),
    NodeState.RETURNING: Work(AgentTask.GIVE_BACK),
    NodeState.LEAVING: Work(AgentTask.LEAVE),
}
PLACES = {work.task: work.place for work in WORK.values()}
# Attempts after which work is given up: commands that ran, or checks for a host that was not there yet.
# With the back-off of rules/retry.py that is about 40 minutes, an hour and a half for removals.
MAX_ATTEMPTS = {work.task: 12 for work in WORK.values()} | {AgentTask.LEAVE: 20}
