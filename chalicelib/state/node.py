"""The record of one instance as a node, and its labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from chalicelib.errors import TransitionError
from chalicelib.protocol.messages import AgentTask, Target
from chalicelib.state.instance import LifecycleAction, Role
from chalicelib.state.lifecycle import COMING, LEGAL_CHANGES, MAX_ATTEMPTS, OUT, WORK, NodeState
from chalicelib.state.scheduled_change import ScheduledChange


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
    hooks: tuple[LifecycleAction, ...] = ()
    back: float = 0.0
    announced: bool = False
    drill: bool = False
    hinted: float = 0.0
    notices: tuple[ScheduledChange, ...] = ()

    @property
    def task(self) -> AgentTask | None:
        """The task whose work is open in this state."""
        work = WORK.get(self.state)
        return work.task if work else None

    @property
    def is_unsent(self) -> bool:
        """Work is open, no command is out for it, and it may still be tried."""
        return self.task is not None and not self.command and not self.is_exhausted

    @property
    def is_exhausted(self) -> bool:
        """All attempts at the open work were made, and none is under way."""
        return not self.command and self.task is not None and self.attempts >= MAX_ATTEMPTS[self.task]

    @property
    def is_given_up(self) -> bool:
        """The open work is left as it is until a person or the instance's end changes something."""
        return self.is_exhausted and self.due is None

    @property
    def target(self) -> Target:
        """This node as the agents know it."""
        return Target(self.instance, self.address, self.node, self.version)

    def enter(self, state: NodeState, *, since: float, reason: str, **phase: Any) -> Self:
        """The record at the beginning of another state; what belonged to the last one is forgotten.

        Raises TransitionError where LEGAL_CHANGES does not know the way.
        """
        if state not in LEGAL_CHANGES[self.state]:
            raise TransitionError(f"{self.instance} cannot go from {self.state} to {state}")
        fresh: dict[str, Any] = {"fate": "", "deadline": 0.0, "due": None, "command": "", "manager": ""}
        fresh |= {"attempts": 0, "expires": None, "state": state, "since": since, "reason": reason}
        if state not in OUT:
            fresh |= {"back": 0.0, "announced": False}
        if state not in OUT | COMING:
            fresh |= {"drill": False}
        return self.revise(**(fresh | phase))

    def revise(self, **changes: Any) -> Self:
        """The next version of the record, in the same state."""
        return replace(self, version=self.version + 1, **changes)

    def mark_sent(self, command: str, manager: str, *, due: float) -> Self:
        """A command is out for the open work."""
        return self.revise(command=command, manager=manager, due=due, attempts=self.attempts + 1)

    def reopen(self, *, due: float, reason: str, fate: str = "") -> Self:
        """No command is out any more, and the work is still to be done."""
        return self.revise(command="", due=due, reason=reason, fate=fate)


def labels(cluster: str, role: Role) -> dict[str, str]:
    """What the engine of every host is labelled with; the agent learns the cluster from it too."""
    return {"swarmkeeper.cluster": cluster, "swarmkeeper.role": role.value}
