"""Choose a host's next step into its swarm, anew after each poll of its engine; pure.

| what its engine says, first match                         | next                                       |
| --------------------------------------------------------- | ------------------------------------------ |
| inactive                                                  | join                                       |
| it is the node that its managers no longer list           | leave                                      |
| active, or pending with a node id for long                | done                                       |
| pending                                                   | wait; leave once the engine has given up   |
| error, and no manager's state to lose, or it was removed  | leave                                      |
| error with a manager's state, locked, anything else       | stop: a person has to see to it            |
"""

from __future__ import annotations

from enum import Enum

from bootstrap.engine.node import Membership

BACKGROUND_JOIN_S = 25.0  # that a join may go on in the background; the engine itself waits for 20
REMOVED = "was removed from swarm"  # a manager's own words to a node that it does not list

LOCKED = (
    "its swarm is locked (autolock): run docker swarm unlock on this host, with the key that "
    "docker swarm unlock-key shows on another manager"
)


class JoinStep(Enum):
    """What to do after one poll."""

    JOIN = "join"  # join at a manager
    WAIT = "wait"  # a join is under way
    LEAVE = "leave"  # leave what the host is in, or half in
    DONE = "done"  # it is a member; whether it is a healthy one, its managers know
    STOP = "stop"  # a person has to see to it


def next_join_step(seen: Membership, disowned: str = "", waited: float = 0.0) -> tuple[JoinStep, str]:
    """Choose the step, and say why; ``waited`` is for how many seconds a join has been seen under way.

    A removed node still calls itself active (measured), so only its managers' word tells: ``disowned`` is the
    id of the node that the host was and that they no longer list, "" if there is none. Without that word no
    member leaves, and a manager's state is never thrown away: the quorum could need it.
    """
    if seen.state == "inactive":
        return JoinStep.JOIN, "it is in no swarm"
    if disowned and seen.node in ("", disowned):
        return JoinStep.LEAVE, f"its managers do not list node {disowned} as its own"
    if seen.state in ("active", "pending") and seen.node:
        return _member(seen, waited)
    if seen.state in ("active", "pending"):
        overdue = waited > BACKGROUND_JOIN_S
        return JoinStep.LEAVE if overdue else JoinStep.WAIT, "joining continues in the background"
    if seen.state == "error" and (not seen.has_raft_state or REMOVED in seen.error):
        return JoinStep.LEAVE, f"its engine cannot be the node that it was to be: {seen.error}"
    if seen.state == "locked":
        return JoinStep.STOP, LOCKED
    said = f"{seen.state} ({seen.error})" if seen.error else seen.state
    return (
        JoinStep.STOP,
        f"its swarm state is {said}: fix it, or docker swarm leave --force if its node is gone",
    )


def _member(seen: Membership, waited: float) -> tuple[JoinStep, str]:
    """Choose the step for a host that has a node id, and perhaps not yet more than that."""
    if seen.state == "pending" and waited <= BACKGROUND_JOIN_S:
        return JoinStep.WAIT, "joining continues in the background"
    return JoinStep.DONE, f"it is node {seen.node}"
