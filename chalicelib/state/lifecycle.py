"""The life of a node: its states, every legal change, and the work that each state waits for."""

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


# Every legal change. The way back to joining is for an instance that was started again, or that turned out to
# live: it joins anew, which finds what is there already. Only what is evacuated for a while returns. What is
# gone leaves once more where the swarm still lists its dead node.
LEGAL_CHANGES: dict[NodeState, frozenset[NodeState]] = {
    NodeState.JOINING: frozenset(
        {NodeState.JOINING, NodeState.ACTIVATING, NodeState.EVACUATING, NodeState.LEAVING}
    ),
    NodeState.ACTIVATING: frozenset(
        {NodeState.IN_SERVICE, NodeState.JOINING, NodeState.EVACUATING, NodeState.LEAVING}
    ),
    NodeState.IN_SERVICE: frozenset({NodeState.JOINING, NodeState.EVACUATING, NodeState.LEAVING}),
    NodeState.EVACUATING: frozenset({NodeState.EVACUATED, NodeState.LEAVING, NodeState.JOINING}),
    NodeState.EVACUATED: frozenset({NodeState.RETURNING, NodeState.LEAVING, NodeState.JOINING}),
    NodeState.RETURNING: frozenset(
        {
            NodeState.IN_SERVICE,
            NodeState.ACTIVATING,
            NodeState.EVACUATING,
            NodeState.LEAVING,
            NodeState.JOINING,
        }
    ),
    NodeState.LEAVING: frozenset({NodeState.GONE, NodeState.JOINING}),
    NodeState.GONE: frozenset({NodeState.JOINING, NodeState.LEAVING}),
}


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
# Commands, or looks for a host that is not there yet, after which the work is given up: with the pauses of
# again.py about 40 minutes, for removals an hour and a half.
MAX_ATTEMPTS = {work.task: 12 for work in WORK.values()} | {AgentTask.LEAVE: 20}
OUT = frozenset({NodeState.EVACUATED, NodeState.RETURNING})  # empty, perhaps for a while
COMING = frozenset({NodeState.JOINING, NodeState.ACTIVATING})  # on the way into service
# The instance is there to stay, as far as is known.
STANDING = frozenset({NodeState.JOINING, NodeState.ACTIVATING, NodeState.IN_SERVICE, NodeState.RETURNING})
