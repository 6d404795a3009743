"""The record of one instance as a node, and its labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from chalicelib.errors import TransitionError
from chalicelib.protocol import checks
from chalicelib.protocol.messages import AgentTask, End, Fate, Target
from chalicelib.state.instance import LifecycleAction, Role
from chalicelib.state.lifecycle import (
    ENTERING,
    LEGAL_CHANGES,
    MAX_ATTEMPTS,
    OUT_OF_SERVICE,
    UNDER_EVACUATION,
    WORK,
    NodeState,
)
from chalicelib.state.postponed import Postponed
from chalicelib.state.scheduled_change import ScheduledChange

MAX_EARLIER = 8  # commands that a record remembers beside the last one


@dataclass(frozen=True, slots=True)
class SentCommand:
    """A command that was sent, and the host that it was sent to."""

    command: str
    manager: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The record of one instance. Times are seconds since the epoch.

    ``launched``: when the instance was last started. ``since``: when the state began.
    ``deadline``: until when the state's work is of use. ``due``: when the tick has to look at the record;
    None while no work is open. ``command`` and ``manager``: the last command and the host it runs on ("" if
    none): a manager, or for a join the instance itself. ``attempts``: commands that ran in this state.
    ``node``: the Swarm node id, once known. ``fate``: the node's fate in the agent's last report.
    ``expires``: when the record of a gone node is deleted. ``hooks``: lifecycle actions to complete.
    ``back``: when an evacuated node is given back (0: never). ``announced``: EC2 has announced the end of the
    instance; if it survives, it joins again. ``drill``: the evacuation is a drill. ``hinted``: time of the
    last rebalance recommendation that counted. ``notices``: the latest notice about each scheduled change.
    ``earlier``: commands sent for the same work before the last one, which may still end well.
    ``labels``: what people have set on the node that it was before, until the next one has it (NodeReport).
    ``zone``, ``kind`` (instance type), ``lifecycle``: as EC2 shows them, for the node's labels; "" in a
    record of version 0.1 until the next discovery. ``gentle``: no end is announced, so tasks without
    another place serve on. ``postponed``: the evacuation that waits for its turn; one at most. ``claimed``:
    the node id that the host says to have, while another record has it or managers do not call it its own.
    ``doubted_by``: the manager that said first, in this state, that the node is not the instance's.
    ``only_tagged``: it was tagged as manager while it was a worker in the swarm, and no manager has named it
    as one since.
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
    earlier: tuple[SentCommand, ...] = ()
    zone: str = ""
    kind: str = ""
    lifecycle: str = ""
    labels: str = ""
    gentle: bool = False
    postponed: tuple[Postponed, ...] = ()
    claimed: str = ""
    doubted_by: str = ""
    doubted_at: float = 0.0
    only_tagged: bool = False

    @property
    def task(self) -> AgentTask | None:
        """The task that this state waits for; None where it waits for none."""
        work = WORK.get(self.state)
        return work.task if work else None

    @property
    def is_unsent(self) -> bool:
        """Whether work is open that has no command out and may still be tried."""
        return self.task is not None and not self.command and not self.is_exhausted

    def is_ready(self, now: float) -> bool:
        """Whether work is unsent and due by now."""
        return self.is_unsent and self.due is not None and self.due <= now

    @property
    def is_exhausted(self) -> bool:
        """Whether all attempts at the open work were made, and none is under way."""
        return not self.command and self.task is not None and self.attempts >= MAX_ATTEMPTS[self.task]

    @property
    def is_given_up(self) -> bool:
        """Whether the open work rests until a person orders it again or the instance ends."""
        return self.is_exhausted and self.due is None

    @property
    def is_left_unfinished(self) -> bool:
        """Whether its evacuation ended at its deadline, with tasks still on it."""
        return self.state is NodeState.EVACUATED and self.fate == Fate.UNFINISHED.value

    @property
    def is_out_gently(self) -> bool:
        """Whether it serves less or not at all, though no end of its instance is announced."""
        return self.gentle and self.state in {*UNDER_EVACUATION, *OUT_OF_SERVICE}

    def waits_for_turn(self, now: float) -> bool:
        """Whether the tick has to begin its evacuation, as soon as it is its turn."""
        return self.state is NodeState.IN_SERVICE and self.due is not None and self.due <= now

    @property
    def misfit(self) -> str:
        """Explain why no agent would take it as a target; "" where one would.

        Everything that is recorded is validated before; a record may be of an earlier version.
        """
        if wanted := checks.node_id(self.node):
            return checks.wrong("its recorded node id", wanted, self.node)
        wanted = checks.address(self.address)
        return checks.wrong("its recorded address", wanted, self.address) if wanted else ""

    @property
    def target(self) -> Target:
        """The node as agents know it."""
        return Target(self.instance, self.address, self.asked_id, self.version, end=self._end)

    @property
    def asked_id(self) -> str:
        """The node id that an agent is asked about; while joining, also one that is only claimed."""
        return self.node or (self.claimed if self.state in ENTERING else "")

    @property
    def _end(self) -> End:
        """What an evacuation has to know of the instance's end; a drill of version 0.1 was not gentle."""
        if self.state is not NodeState.EVACUATING:
            return End.NOT_SAID
        if self.back or self.drill:
            return End.FOR_A_WHILE if self.gentle else End.NOT_SAID
        return End.FOR_GOOD if self.gentle else End.ANNOUNCED

    @property
    def described_target(self) -> Target:
        """The same with what EC2 says of it, for tasks that label a node or give it a role."""
        shown = (self.role.value, self.zone, self.kind, self.lifecycle)
        return Target(self.instance, self.address, self.asked_id, self.version, *shown, labels=self.labels)

    def enter(self, state: NodeState, *, since: float, reason: str, **phase: Any) -> Self:
        """Return the record at the beginning of another state, without what belonged to the last one.

        Raises TransitionError if LEGAL_CHANGES does not have the change.
        """
        if state not in LEGAL_CHANGES[self.state]:
            raise TransitionError(f"{self.instance} cannot go from {self.state} to {state}")
        fresh: dict[str, Any] = {"fate": "", "deadline": 0.0, "due": None, "command": "", "manager": ""}
        fresh |= {"attempts": 0, "expires": None, "state": state, "since": since, "reason": reason}
        fresh |= {"earlier": (), "postponed": (), "claimed": "", "doubted_by": "", "doubted_at": 0.0}
        if state not in OUT_OF_SERVICE:
            fresh |= {"back": 0.0, "announced": False, "gentle": False}
        if state not in OUT_OF_SERVICE | ENTERING:
            fresh |= {"drill": False}
        if state in (NodeState.JOINING, NodeState.IN_SERVICE):  # which it enters in the role of its tag
            fresh |= {"only_tagged": False}
        return self.revise(**(fresh | phase))

    def revise(self, **changes: Any) -> Self:
        """Return the next version of the record, in the same state."""
        return replace(self, version=self.version + 1, **changes)

    def mark_sent(self, command: str, manager: str, *, due: float) -> Self:
        """Return the record with a command out for the open work."""
        return self.revise(command=command, manager=manager, due=due, attempts=self.attempts + 1)

    def reopen(self, *, due: float, reason: str, fate: str = "") -> Self:
        """Return the record without a command; its work is still to be done."""
        return self.revise(command="", due=due, reason=reason, fate=fate, earlier=self.remember())

    def remember(self) -> tuple[SentCommand, ...]:
        """Return the commands of this state, the last one included, before another one is sent."""
        last = SentCommand(self.command, self.manager)
        known = (*self.earlier, last) if last.command and last not in self.earlier else self.earlier
        return known[-MAX_EARLIER:]


def make_labels(cluster: str, role: Role) -> dict[str, str]:
    """Make the labels of every host's engine; the agent learns the cluster from them too."""
    return {"swarmkeeper.cluster": cluster, "swarmkeeper.role": role.value}
