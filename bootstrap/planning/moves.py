"""Moves between two distributions of a service's tasks (by node id): how many, and which help most; pure."""

from __future__ import annotations

from collections.abc import Mapping

Counts = Mapping[str, int]


def count_moves(before: Counts, after: Counts) -> int:
    """Count how many tasks have to start on another node."""
    return sum(max(0, count - before.get(node, 0)) for node, count in after.items())


def fullest_count(counts: Counts) -> int:
    """Count how many tasks stand on the fullest node."""
    return max(counts.values(), default=0)


def move_gains(before: Counts, after: Counts, tasks: int) -> list[int]:
    """Tell by how much each move evens, best first: how many more its giver holds than its receiver.

    A surge that starts more ``tasks`` than change their node has as many gains, the others like the least.
    """
    given = [height for height, _ in _leaving(before, after)]
    taken = [height for height, _ in _coming(before, after)]
    found = [high - low for high, low in zip(given, taken, strict=True)]
    return found + found[-1:] * (tasks - len(found))


def apply_moves(before: Counts, after: Counts, tasks: int) -> dict[str, int]:
    """Apply the first so many moves: from the fullest nodes to the emptiest."""
    found = dict(before)
    for _, node in _leaving(before, after)[:tasks]:
        found[node] -= 1
    for _, node in _coming(before, after)[:tasks]:
        found[node] = found.get(node, 0) + 1
    return {node: count for node, count in found.items() if count}


def _leaving(before: Counts, after: Counts) -> list[tuple[int, str]]:
    """List each task that leaves: how many its node held with it, and the node; the most first."""
    rows = (
        (node, height) for node, top in before.items() for height in range(after.get(node, 0) + 1, top + 1)
    )
    return sorted(((height, node) for node, height in rows), key=lambda row: (-row[0], row[1]))


def _coming(before: Counts, after: Counts) -> list[tuple[int, str]]:
    """List each task that comes: how many its node held before it, and the node; the fewest first."""
    return sorted((height, node) for node, top in after.items() for height in range(before.get(node, 0), top))
