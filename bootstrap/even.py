"""The most even distribution of tasks, and among those the one with the fewest moves; pure arithmetic.

Even is what swarmkit means by it: the groups of the outermost placement preference hold equally many tasks, in
each of them those of the next one, and in the innermost the nodes. Each level is filled like vessels that are
joined: all at one level or one above it, less only where a vessel is full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest

Cost = tuple[float, ...]  # squares at each level from this one inwards, then moves, then load


@dataclass(frozen=True)
class Group:
    """Nodes that a placement preference treats as one: either groups inside it, or its nodes (ids)."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    nodes: Sequence[str] = ()


@dataclass(frozen=True)
class Vessels:
    """What is to be evened: tasks by node id, and how many a node may hold, and how loaded it is."""

    before: Mapping[str, int]
    most: Mapping[str, float]  # of nodes that are not listed: any number
    load: Callable[[str], float]

    def cap(self, group: Group) -> float:
        """How many tasks the group may hold."""
        if group.groups:
            return sum(self.cap(inner) for inner in group.groups.values())
        if not self.most:
            return math.inf if group.nodes else 0
        return sum(self.most.get(node, math.inf) for node in group.nodes)


def even(group: Group, tasks: int, vessels: Vessels) -> tuple[Cost, dict[str, int]]:
    """The best distribution of so many tasks, what it costs, and where they stand then (nodes with any).

    The group must be able to hold them.
    """
    if group.groups:
        return _even_groups(list(group.groups.values()), tasks, vessels)
    return _even_nodes(group.nodes, tasks, vessels)


def level(most: Sequence[float], tasks: int) -> tuple[int, int]:
    """How high vessels of these sizes stand with so many tasks, and how many of them hold one more."""
    low, high = 0, tasks
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _content(most, middle) <= tasks else (low, middle - 1)
    return low, tasks - int(_content(most, low))


def _content(most: Sequence[float], height: int) -> float:
    return sum(one if one < height else height for one in most)


def _even_groups(groups: Sequence[Group], tasks: int, vessels: Vessels) -> tuple[Cost, dict[str, int]]:
    """Which groups hold one more is decided by what that costs inside them."""
    caps = [vessels.cap(group) for group in groups]
    height, extra = level(caps, tasks)
    found = [even(one, int(min(cap, height)), vessels) for one, cap in zip(groups, caps, strict=True)]
    raised = {
        at: even(groups[at], height + 1, vessels) for at, cap in enumerate(caps) if extra and cap > height
    }
    for at in nsmallest(extra, raised, key=lambda at: _less(raised[at][0], found[at][0])):
        found[at] = raised[at]
    after = {node: count for _, inner in found for node, count in inner.items()}
    squares = sum(sum(inner.values()) ** 2 for _, inner in found)
    return (squares, *map(sum, zip(*(cost for cost, _ in found), strict=True))), after


def _less(cost: Cost, other: Cost) -> Cost:
    return tuple(one - two for one, two in zip(cost, other, strict=True))


def _even_nodes(nodes: Sequence[str], tasks: int, vessels: Vessels) -> tuple[Cost, dict[str, int]]:
    """One more stays first where it stands already, then comes to the node with the least load."""
    before, load = vessels.before, vessels.load
    height, extra = _level_of(nodes, tasks, vessels)
    after = {node: int(min(vessels.most.get(node, height), height)) for node in nodes} if height else {}
    if extra:
        most = vessels.most
        open_ = [node for node in nodes if most.get(node, math.inf) > height] if most else nodes
        rank = lambda node: (before.get(node, 0) <= height, load(node), node)  # noqa: E731
        after.update(dict.fromkeys(nsmallest(extra, open_, key=rank), height + 1))
    moves = sum(max(0, count - before.get(node, 0)) for node, count in after.items())
    weight = sum(count * load(node) for node, count in after.items())
    squares = sum(count * count for count in after.values())
    return (squares, moves, weight), {node: count for node, count in after.items() if count}


def _level_of(nodes: Sequence[str], tasks: int, vessels: Vessels) -> tuple[int, int]:
    if not vessels.most and nodes:
        return divmod(tasks, len(nodes))
    return level([vessels.most.get(node, math.inf) for node in nodes], tasks)
