"""What we know: a cluster, its nodes, and every legal change of a node's state."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from chalicelib.errors import TransitionError
from chalicelib.protocol import Subject, Task
from chalicelib.states import LEGAL, WORK, NodeState

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")  # of a cluster: it travels in a command's comment


class Role(StrEnum):
    """What an instance is tagged to be in its swarm."""

    MANAGER = "manager"
    WORKER = "worker"


class InstanceState(StrEnum):
    """The states of an EC2 instance, in EC2's own words."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    SHUTTING_DOWN = "shutting-down"
    STOPPED = "stopped"
    TERMINATED = "terminated"


UP = frozenset({InstanceState.PENDING, InstanceState.RUNNING})
GOING = frozenset({InstanceState.STOPPING, InstanceState.SHUTTING_DOWN})
OVER = frozenset({InstanceState.STOPPED, InstanceState.TERMINATED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The record of one instance. Times are seconds since the epoch.

    ``launched``: when the instance was last started. ``since``: when the state began.
    ``deadline``: until when the state's work is of use. ``due``: when somebody has to look again; None while
    no work is open. ``command`` and ``manager``: what was sent last and the host it runs on ("" before): a
    manager, or for a join the instance itself. ``attempts``: commands that ran in this state. ``node``: the
    Swarm node id, once known. ``fate``: the agent's last word on the node. ``expires``: end of a gone record.
    """

    cluster: str
    instance: str
    role: Role
    address: str
    state: NodeState = NodeState.IN_SERVICE
    version: int = 1
    launched: float = 0.0
    since: float = 0.0
    reason: str = ""
    node: str = ""
    fate: str = ""
    deadline: float = 0.0
    due: float | None = None
    command: str = ""
    manager: str = ""
    attempts: int = 0
    expires: float | None = None

    @property
    def task(self) -> Task | None:
        """The task whose work is open in this state."""
        work = WORK.get(self.state)
        return work.task if work else None

    @property
    def unsent(self) -> bool:
        """Work is open and no command is out for it."""
        return self.task is not None and not self.command

    @property
    def subject(self) -> Subject:
        """This node as the agents know it."""
        return Subject(self.instance, self.address, self.node)

    def to(self, state: NodeState, *, since: float, reason: str, **phase: Any) -> Self:
        """The record at the beginning of another state; what belonged to the last one is forgotten.

        Raises TransitionError where LEGAL does not know the way.
        """
        if state not in LEGAL[self.state]:
            raise TransitionError(f"{self.instance} cannot go from {self.state} to {state}")
        fresh: dict[str, Any] = {"fate": "", "deadline": 0.0, "due": None, "command": "", "manager": ""}
        fresh |= {"attempts": 0, "expires": None, "state": state, "since": since, "reason": reason}
        return self.but(**(fresh | phase))

    def but(self, **changes: Any) -> Self:
        """The next version of the record, in the same state."""
        return replace(self, version=self.version + 1, **changes)

    def sent(self, command: str, manager: str, *, due: float) -> Self:
        """A command is out for the open work."""
        return self.but(command=command, manager=manager, due=due, attempts=self.attempts + 1)

    def reopened(self, *, due: float, reason: str, fate: str = "") -> Self:
        """No command is out any more, and the work is still to be done."""
        return self.but(command="", due=due, reason=reason, fate=fate)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One tagged instance as EC2 shows it; ``launched`` is when it was last started."""

    cluster: str
    instance: str
    role: Role
    address: str
    state: InstanceState
    launched: float


@dataclass(frozen=True, slots=True)
class Census:
    """When EC2 was last asked for all instances, until when somebody is at it again, and the clusters."""

    taken: float = 0.0
    busy_until: float = 0.0
    clusters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a manager host has behaved: failures in a row, closed to it until when, last success."""

    failures: int = 0
    open_until: float = 0.0
    good: float = 0.0


@dataclass(frozen=True, slots=True)
class Host:
    """A manager as a place to run commands: the state of its own node, how it has behaved, its address."""

    instance: str
    state: NodeState = NodeState.IN_SERVICE
    breaker: Breaker = field(default_factory=Breaker)
    address: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient a cluster is, in seconds."""

    notice: float = 120.0  # from a Spot warning's time to the end
    shutdown: float = 30.0  # what an instance that shuts down unannounced may still give
    patience: float = 30.0  # how long a command may be out before it is asked for


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is known of a cluster at ``now``: those of its nodes that the event concerns, and its managers."""

    name: str
    now: float
    nodes: tuple[Node, ...] = ()
    managers: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)

    def node(self, instance: str) -> Node | None:
        """The node of an instance, if it is known."""
        return next((node for node in self.nodes if node.instance == instance), None)
