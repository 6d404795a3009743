"""What one command carries: all open work of one kind that can share a time budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.protocol import Arguments, Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.cluster import Node

SUBJECTS = 100  # reports of more would not fit into protocol.MAX_LINE
TOGETHER = 15.0  # seconds; later deadlines are not cut down to the most urgent one
LEAST = 5.0  # seconds; enough for a plain drain, the agent does nothing once its deadline is long over
OVERTIME = {Task.EVACUATE: 60.0, Task.LEAVE: 150.0}  # seconds that the agent may need beyond the deadline


@dataclass(frozen=True, slots=True)
class Batch:
    """The subjects of one command; ``deadline`` is in seconds since the epoch, 0 where there is none."""

    task: Task
    nodes: tuple[Node, ...]
    deadline: float = 0.0

    @property
    def arguments(self) -> Arguments:
        """What the agent is told."""
        return Arguments(tuple(node.subject for node in self.nodes), self.deadline)

    def seconds(self, now: float) -> int:
        """How long the command may run."""
        return round(max(self.deadline - now, 0.0) + OVERTIME.get(self.task, 60.0))


def next_batch(nodes: Iterable[Node], now: float) -> Batch | None:
    """The most valuable command among open work: evacuations before removals, the nearest deadline first.

    Deadlines that are over come after those that can still be kept. None when nothing is to be sent now.
    """
    ready = [node for node in nodes if node.unsent and node.due is not None and node.due <= now]
    doomed = [node for node in ready if node.task is Task.EVACUATE]
    if not doomed:
        dead = sorted((node for node in ready if node.task is Task.LEAVE), key=lambda node: node.instance)
        return Batch(Task.LEAVE, tuple(dead[:SUBJECTS])) if dead else None
    late = all(node.deadline < now for node in doomed)
    first = min(node.deadline for node in doomed if late or node.deadline >= now)
    mates = [node for node in doomed if late or first <= node.deadline <= first + TOGETHER]
    mates.sort(key=lambda node: (node.deadline, node.instance))
    return Batch(Task.EVACUATE, tuple(mates[:SUBJECTS]), max(first, now + LEAST))
