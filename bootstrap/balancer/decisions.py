"""What the operator ``service-balancer`` makes of node events: whether to rebalance, when and why; pure.

| what happened                                             | decision    |
| --------------------------------------------------------- | ----------- |
| it has just started                                       | rebalance   |
| a node was created, became ready or active, and is usable | rebalance   |
| a usable node changed while events were missed            | rebalance   |
| anything else                                             | do nothing  |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bootstrap.engine.node import Node
from bootstrap.engine.node_event import NodeEvent
from chalicelib.protocol.messages import Result, SpreadReport

LONGEST_BACKOFF_S = 60.0  # between two tries


@dataclass(frozen=True)
class Decision:
    """Whether to rebalance now, and why (not)."""

    act: bool
    reason: str


def on_events(events: Sequence[NodeEvent], nodes: Iterable[Node]) -> Decision:
    """Decide after these events, with the nodes as they are now."""
    hopeful = {event.node for event in events if event.is_arrival}
    if not hopeful:
        return Decision(act=False, reason="no node has become usable")
    there = sorted((node for node in nodes if node.id in hopeful), key=lambda node: node.hostname)
    if ready := [node.hostname for node in there if node.is_usable]:
        return Decision(act=True, reason=f"{', '.join(ready)} may have tasks now")
    states = [f"{node.hostname} is {node.state} and {node.availability}" for node in there]
    return Decision(act=False, reason=", ".join(states) or "the node is gone again")


def on_connection(known: Iterable[Node] | None, nodes: Iterable[Node]) -> Decision:
    """Decide after events may have been missed; ``known`` are the nodes as listed last, None at first.

    A node's version tells of changes that nobody heard of: it may have been away, and be back.
    """
    if known is None:
        return Decision(act=True, reason="just started: nodes may have joined before")
    before = {node.id: node.version for node in known}
    changed = sorted(
        node.hostname for node in nodes if node.is_usable and before.get(node.id) != node.version
    )
    if changed:
        return Decision(act=True, reason=f"{', '.join(changed)} changed while events were missed")
    return Decision(act=False, reason="no usable node changed while nobody listened")


def backoff_seconds(failures: int, luck: float) -> float:
    """Choose the seconds before the next try; ``luck`` lies in 0 to 1."""
    return float(min(LONGEST_BACKOFF_S, 2.0 ** min(failures - 1, 10))) * (0.5 + luck / 2)


def summary(result: Result) -> str:
    """Write the result of a rebalance in one line."""
    text = "; ".join(map(_spread_text, result.spreads)) or str(
        result.facts.get("reason") or "nothing was to be moved"
    )
    ending = f"; to be tried again after {result.wait:g} s" if result.wait else ""
    return f"{'done' if result.ok else 'not done'}: {result.error or text}{ending}"


def _spread_text(plan: SpreadReport) -> str:
    done = f"{plan.moves} moves, {plan.restarted} restarted, {plan.seconds:.1f} s"
    figures = f" ({done})" if plan.moves else ""
    reason = f": {plan.reason}" if plan.reason not in ("", plan.balance.value) else ""
    warnings = "".join(f", warning: {warning}" for warning in plan.warnings)
    return f"{plan.service} {plan.balance.value}{figures}{reason}{warnings}"
