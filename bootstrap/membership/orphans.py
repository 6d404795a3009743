"""Nodes that nobody owns: a join that lost the quorum leaves them in the list."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from bootstrap.actions import RemoveNode
from bootstrap.engine.node import Node

JOIN_S = 15.0  # that a joining node may be without a name; measured: about one


@dataclass
class Orphans:
    """The nodes without a name that a task has seen, and since when; by the task's own clock."""

    since: dict[str, float] = field(default_factory=dict)

    def removals(self, nodes: Collection[Node], now: float) -> tuple[RemoveNode, ...] | None:
        """Choose those that have been nobody's for longer than a join takes; None where there is none."""
        seen = [node for node in nodes if node.is_orphan]
        self.since = {node.id: self.since.get(node.id, now) for node in seen}
        reason = "it is nobody's: its join never ended"
        ripe = (node for node in seen if now - self.since[node.id] >= JOIN_S)
        return tuple(RemoveNode(node, reason) for node in ripe) if seen else None
