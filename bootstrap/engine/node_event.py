"""What a node event of the engine tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NodeEvent:
    """One node event: create, update or remove; ``changes`` is what became of which field, such as state."""

    action: str
    node: str
    name: str
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # field -> (old, new)

    @property
    def is_arrival(self) -> bool:
        """The node may have become usable by it."""
        news = {field: new for field, (_, new) in self.changes.items()}
        return self.action == "create" or news.get("state") == "ready" or news.get("availability") == "active"

    def __str__(self) -> str:
        changes = ", ".join(f"{field} {old} -> {new}" for field, (old, new) in sorted(self.changes.items()))
        return f"node {self.name or '?'} ({self.node}) {self.action}: {changes or 'nothing that counts'}"
