"""When the nodes have come to rest, so that those that join together cost one rebalance; pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from bootstrap.engine.node import INSTANCE_LABEL, Node

EXTRA_WAIT_S = 120.0  # over the time asked for; somebody may have drained a node for good


@dataclass(frozen=True)
class Stabilization:
    """Waits until no node has come for so many ``seconds``; times are in seconds since the epoch."""

    seconds: float
    started: float
    last: float  # when a node was last seen to come
    known: frozenset[str] | None = None
    coming: frozenset[str] = frozenset()

    def with_poll(self, nodes: Collection[Node], now: float) -> Stabilization:
        """Add one more list of the nodes."""
        here = frozenset(node.id for node in nodes if node.is_usable)
        new = self.known is not None and here - self.known
        coming = frozenset(node.hostname for node in nodes if _is_joining(node))
        return replace(
            self, known=here | (self.known or frozenset()), coming=coming, last=now if new else self.last
        )

    @property
    def latest_end(self) -> float:
        """When they have had time enough."""
        return self.started + self.seconds + EXTRA_WAIT_S

    def is_over(self, now: float) -> bool:
        """Tell whether they have come to rest, or have had time enough."""
        return now >= self.latest_end or (not self.coming and now >= self.last + self.seconds)


def _is_joining(node: Node) -> bool:
    """Tell whether it has joined drained, as Swarmkeeper's nodes do, and will soon be active.

    Its engine's word is enough: it only makes the rebalance wait, and not for long.
    """
    return (
        node.state == "ready"
        and node.availability == "drain"
        and bool(node.instance or node.engine_labels.get(INSTANCE_LABEL))
        and node.evacuation_deadline is None
    )
