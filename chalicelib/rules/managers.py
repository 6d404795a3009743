"""Which manager gets a command, and the breaker that keeps a failing one out of the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.cluster import AGAIN, Breaker, Host, Incident
from chalicelib.states import NodeState

if TYPE_CHECKING:
    from collections.abc import Collection

    from chalicelib.cluster import Cluster
    from chalicelib.protocol import Task

TOLERATED = 1  # failures in a row that leave the breaker closed
FIRST_PAUSE = 30.0  # seconds; doubled with each further failure
LONGEST_PAUSE = 300.0
LOST = ("managers", "bring managers back; where their quorum is lost for good: recover (README)")
STANDING = {  # the less a manager's node is disturbed by anything, the better
    state: rank
    for rank, state in enumerate(
        (NodeState.IN_SERVICE, NodeState.ACTIVATING, NodeState.RETURNING, NodeState.JOINING)
    )
}


def choose(
    hosts: Collection[Host], now: float, avoid: Collection[str] = (), *, again: bool = False
) -> Host | None:
    """The manager to send to: none to avoid, not doomed, in the swarm, no failure last time, last good first.

    What is sent ``again`` goes to the last good last: it took that command, too, and may never end it.

    Hosts whose breaker is open are left out. Where all are open, the one that closes first is it: inside a
    two-minute notice a doubtful manager is better than none. None without managers.
    """

    def rank(host: Host) -> tuple[bool, int, bool, float, str]:
        standing = STANDING.get(host.state, len(STANDING))
        failed = host.breaker.failures > 0
        good = host.breaker.good if again else -host.breaker.good
        return host.instance in avoid, standing, failed, good, host.instance

    closed = [host for host in hosts if host.breaker.open_until <= now]
    if closed:
        return min(closed, key=rank)
    return min(hosts, key=lambda host: host.breaker.open_until, default=None)


def after_failure(breaker: Breaker, now: float) -> Breaker:
    """One more failure in a row: from the second on the breaker opens, each time for longer."""
    failures = breaker.failures + 1
    if failures <= TOLERATED:
        return Breaker(failures, good=breaker.good)
    # The exponent is capped as the pause is, so that a long row of failures does not overflow.
    pause = min(FIRST_PAUSE * 2.0 ** min(failures - TOLERATED - 1, 10), LONGEST_PAUSE)
    return Breaker(failures, now + pause, breaker.good)


def after_success(now: float) -> Breaker:
    """The host did well: the breaker is closed."""
    return Breaker(good=now)


def silent(cluster: Cluster, task: Task, said: str, manager: str, cause: tuple[str, str] = LOST) -> Incident:
    """Managers were tried, and none could; its key and remedy are the ``cause``'s."""
    key, remedy = cause
    return Incident(
        key=key,
        at=cluster.now,
        what=f"no manager of {cluster.name} could {task.value}: {said}",
        left="nothing destructive is done; the work is tried again, ever more rarely",
        remedy=remedy,
        instance=manager,
        expires=cluster.now + AGAIN,
    )
