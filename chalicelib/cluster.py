"""What we know: a cluster, its nodes, and every legal change of a node's state."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from chalicelib.conduct import Conduct, Policy
from chalicelib.errand import Errand
from chalicelib.errors import TransitionError
from chalicelib.notice import Notice
from chalicelib.protocol import Subject, Task
from chalicelib.states import COMING, LEGAL, LIMITS, OUT, WORK, NodeState

AGAIN = 3600.0  # seconds after which the same incident is news again, where it says no other time
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


class Transition(StrEnum):
    """At which end of an instance's life an Auto Scaling group holds it."""

    LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
    TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"


@dataclass(frozen=True, slots=True)
class Hook:
    """An Auto Scaling group waits, with this lifecycle action, since ``opened``; last heartbeat ``beat``.

    ``token`` is "" for an action of which no event told: the instance's id then stands for it.
    """

    group: str
    name: str
    token: str
    transition: Transition
    opened: float
    beat: float = 0.0


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
    ``hooks``: lifecycle actions to complete. ``back``: when an evacuated node is given back (0: never).
    ``announced``: EC2 ends the instance, so one that lives on all the same was spared.
    ``drill``: this is a rehearsal. ``hinted``: the last rebalance recommendation that was heeded.
    ``notices``: the last word on each scheduled change.
    """

    cluster: str
    instance: str
    role: Role
    address: str = ""  # EC2 shows none of an instance that had ended before it was seen
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
    hooks: tuple[Hook, ...] = ()
    back: float = 0.0
    announced: bool = False
    drill: bool = False
    hinted: float = 0.0
    notices: tuple[Notice, ...] = ()

    @property
    def task(self) -> Task | None:
        """The task whose work is open in this state."""
        work = WORK.get(self.state)
        return work.task if work else None

    @property
    def unsent(self) -> bool:
        """Work is open, no command is out for it, and it may still be tried."""
        return self.task is not None and not self.command and not self.exhausted

    @property
    def exhausted(self) -> bool:
        """All attempts at the open work were made, and none is under way."""
        return not self.command and self.task is not None and self.attempts >= LIMITS[self.task]

    @property
    def given_up(self) -> bool:
        """The open work is left as it is until a person or the instance's end changes something."""
        return self.exhausted and self.due is None

    @property
    def subject(self) -> Subject:
        """This node as the agents know it."""
        return Subject(self.instance, self.address, self.node, self.version)

    def to(self, state: NodeState, *, since: float, reason: str, **phase: Any) -> Self:
        """The record at the beginning of another state; what belonged to the last one is forgotten.

        Raises TransitionError where LEGAL does not know the way.
        """
        if state not in LEGAL[self.state]:
            raise TransitionError(f"{self.instance} cannot go from {self.state} to {state}")
        fresh: dict[str, Any] = {"fate": "", "deadline": 0.0, "due": None, "command": "", "manager": ""}
        fresh |= {"attempts": 0, "expires": None, "state": state, "since": since, "reason": reason}
        if state not in OUT:
            fresh |= {"back": 0.0, "announced": False}
        if state not in OUT | COMING:
            fresh |= {"drill": False}
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
    """One tagged instance as EC2 shows it; ``launched``: when it was last started, ``fleet``: by what.

    ``group``: its Auto Scaling group, and ``hooks``: the lifecycle actions with which that waits.
    """

    cluster: str
    instance: str
    role: Role
    address: str
    state: InstanceState
    launched: float
    fleet: str = ""
    group: str = ""
    hooks: tuple[Hook, ...] = ()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that a person has to know, once.

    ``key`` says what is the same incident. ``what`` happened, what was ``left`` as it was, what to do
    (``remedy``). ``record``: the node's record as JSON where work was given up, which makes it a dead letter.
    ``told``: a notification was sent, or the cluster wants none.
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
    told: bool = False
    expires: float = 0.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is known of a cluster at ``now``: those of its nodes that the event concerns, and its managers.

    ``untold``: incidents of which nobody has been told yet. ``errands``: one for each task that was ordered.
    """

    name: str
    now: float
    nodes: tuple[Node, ...] = ()
    managers: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)
    conduct: Conduct = field(default_factory=Conduct)
    untold: tuple[Incident, ...] = ()
    errands: tuple[Errand, ...] = ()

    def node(self, instance: str) -> Node | None:
        """The node of an instance, if it is known."""
        return next((node for node in self.nodes if node.instance == instance), None)

    def errand(self, task: Task) -> Errand | None:
        """The errand of a task, if it was ever ordered."""
        return next((errand for errand in self.errands if errand.task is task), None)
