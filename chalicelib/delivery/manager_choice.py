"""Which manager gets a command, and the breaker that keeps a failing one out of the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.state.cluster import Host
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from collections.abc import Collection


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
