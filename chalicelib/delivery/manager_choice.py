"""Which manager gets a command: one that stays, and whose circuit breaker is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.state.cluster import Host
from chalicelib.state.lifecycle import ENTERING, STAYING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


STATE_RANK = {state: rank for rank, state in enumerate(STAYING)}  # the less a node is disturbed, the better


def members(hosts: Collection[Host]) -> list[Host]:
    """Leave out managers that may never have been in the swarm, once one is known to be."""
    if not any(host.is_proven for host in hosts):
        return list(hosts)
    return [host for host in hosts if host.node and host.state not in ENTERING and not host.only_tagged]


def choose_manager(
    hosts: Collection[Host], now: float, avoid: Collection[str] = (), *, tried: Sequence[str] = ()
) -> Host | None:
    """Choose the manager to send to: none to avoid, in the swarm and staying, no failure last time.

    Of equals the one that did well last is the first. Those that were ``tried`` come later, in that order:
    what they were sent for the same work may never end. One whose breaker is open comes after those whose is
    closed, the one that closes first before the others; one that is about to end comes last: it may end in
    the middle, and the last demotion is for one that stays. A breaker is advice, the quorum is not. None
    without managers.

    A tag alone makes no manager: once there is one that is proven, those that may never have been in the
    swarm (without a node id, or on their way into it) or a manager of it (tagged as one when they were
    workers already) get no command.
    """
    hosts = members(hosts)

    def rank(host: Host) -> tuple[bool, bool, float, int, int, bool, float, str]:
        state_rank = STATE_RANK.get(host.state, len(STATE_RANK))
        open_until = host.breaker.open_until if host.breaker.open_until > now else 0.0
        failed = host.breaker.failures > 0
        last_try = max((at for at, name in enumerate(tried, 1) if name == host.instance), default=0)
        is_ending, good = host.state not in STAYING, -host.breaker.good
        use = (host.instance in avoid, is_ending, open_until, last_try)
        return *use, state_rank, failed, good, host.instance

    return min(hosts, key=rank, default=None)
