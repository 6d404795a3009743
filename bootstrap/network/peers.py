"""Let the network plugin forget a host that is gone: its address range comes back, nobody connects to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Union

from bootstrap.clock import Clock
from bootstrap.errors import AgentError
from bootstrap.log import say
from bootstrap.network.plugin import NetworkHost
from bootstrap.network.router_status import RouterStatus

POLL_S = 1.0
TIMEOUT_S = 45.0


class PeerStep(str, Enum):
    """One step towards a router that has forgotten a peer."""

    DONE = "done"
    TAKE_OVER = "take over"
    FORGET = "forget"
    WAIT = "wait"
    STOP = "stop"


@dataclass(frozen=True)
class GonePeer:
    """A host that is gone: its nickname (host name), and its address if it was a manager.

    ``takes_over``: this is the one living peer that takes its range over; all others only forget.
    """

    name: str
    address: str = ""
    takes_over: bool = True


def next_peer_step(
    status: Union[RouterStatus, None], peer: GonePeer, done: frozenset[PeerStep], *, waited: bool
) -> tuple[PeerStep, str]:
    """Choose the next step, with its reason.

    What an order answers tells nothing (200 for a peer that nobody knows, too), so it is done once in a run
    and judged by the status page. ``waited``: long enough.
    """
    if status is None:
        return PeerStep.STOP, "the status page of this host's plugin does not answer"
    if peer.name == status.nickname:
        return PeerStep.STOP, f"{peer.name} is this host itself: ask one that lives on"
    if alive := [
        link for link in status.links if link.is_established and _is_of(link.peer, link.address, peer)
    ]:
        if waited:
            return PeerStep.STOP, f"{peer.name} is connected at {alive[0].address}, so it lives: end it first"
        return PeerStep.WAIT, f"{peer.name} is connected still"
    if peer.takes_over and PeerStep.TAKE_OVER not in done:
        return PeerStep.TAKE_OVER, "its addresses come back"
    if peer.address and PeerStep.FORGET not in done:
        return PeerStep.FORGET, f"nobody is to connect to {peer.address}"
    if left := [link for link in status.links if _is_of(link.peer, link.address, peer)]:
        why = f"it is still tried at {left[0].address} ({left[0].state}: {left[0].text})"
        if not waited:
            return PeerStep.WAIT, why
        return PeerStep.STOP, f"{why}: it was a manager, so name its address (--address {left[0].address})"
    return PeerStep.DONE, f"{status.peers} peers, {status.established} connections established"


def remove_peer(host: NetworkHost, peer: GonePeer, clock: Clock, *, dry_run: bool = False) -> str:
    """Do it on this host; answers how the router stands. Run again, it does the same and harms nothing.

    Raises AgentError where the peer lives, or is not forgotten in time.
    """
    done: frozenset[PeerStep] = frozenset()
    until, said = clock.now() + TIMEOUT_S, ""
    while True:
        step, why = next_peer_step(host.router.status(), peer, done, waited=clock.now() > until)
        if (line := f"peer {peer.name}: {step.value}: {why}") != said:
            said = line
            say(line)
        if step is PeerStep.STOP:
            raise AgentError(f"peer {peer.name} was left as it is: {why}")
        if step is PeerStep.DONE or dry_run:
            return f"{step.value}: {why}"
        if step is PeerStep.TAKE_OVER:
            say(f"peer {peer.name}: the plugin says: {host.router.remove_peer(peer.name).strip()}")
        elif step is PeerStep.FORGET:
            host.router.forget(peer.address)
        if step is PeerStep.WAIT:
            clock.sleep(POLL_S)
        else:
            done |= {step}


def _is_of(name: str, address: str, peer: GonePeer) -> bool:
    return name == peer.name or (bool(peer.address) and address == peer.address)
