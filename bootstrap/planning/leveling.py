"""The most even distribution of tasks, and among those the one with the fewest moves; pure arithmetic.

Even is what swarmkit means by it: the groups of the outermost placement preference hold equally many tasks,
in each of them those of the next one, and in the innermost the nodes. Each level is filled like vessels that
are joined: all stand at one level or one above it, lower only where a vessel is full. What is then free is
decided by load: the squares of the nodes' loads, with these tasks on them, add up to the least.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import nsmallest

Path = tuple[str, ...]  # a group by its labels' values, outermost first
Cost = tuple[float, ...]  # squares at each level from this one inwards, then moves, then load


@dataclass(frozen=True)
class Group:
    """Nodes that a placement preference treats as one: either groups inside it, or its nodes (ids)."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    nodes: Sequence[str] = ()

    @cached_property
    def paths(self) -> Mapping[str, Path]:
        """The groups that each of its nodes is in, outermost first."""
        inner = (
            (node, (key, *path)) for key, part in self.groups.items() for node, path in part.paths.items()
        )
        return {**dict.fromkeys(self.nodes, ()), **dict(inner)}

    def totals(self, counts: Mapping[str, int]) -> Counter[Path]:
        """Count the tasks in each group, at any depth, by its path."""
        found: Counter[Path] = Counter()
        for node, count in counts.items():
            path = self.paths[node]
            for depth in range(len(path)):
                found[path[: depth + 1]] += count
        return found


@dataclass(frozen=True)
class Occupancy:
    """What is to be evened: each node's tasks, how many it may hold, and its load."""

    before: Mapping[str, int]
    most: Mapping[str, float]  # of a node that is not in it: any number
    load: Mapping[str, float]  # by tasks of other services

    def cap(self, group: Group) -> float:
        """Count how many tasks the group may hold."""
        if group.groups:
            return sum(self.cap(inner) for inner in group.groups.values())
        if not self.most:
            return math.inf if group.nodes else 0
        return sum(self.most.get(node, math.inf) for node in group.nodes)


def level_tasks(group: Group, tasks: int, occupancy: Occupancy) -> tuple[Cost, dict[str, int]]:
    """Find the best distribution of so many tasks: what it costs, and where they stand (nodes with any).

    The group must be able to hold them.
    """
    if group.groups:
        return _even_groups(list(group.groups.values()), tasks, occupancy)
    return _even_nodes(group.nodes, tasks, occupancy)


def unevenness(group: Group, counts: Mapping[str, int]) -> Cost:
    """Tell how uneven a distribution is, at each level from the outermost inwards: less is more even."""
    depth = max(map(len, group.paths.values()), default=0)
    found = [0] * depth + [sum(count * count for count in counts.values())]
    for path, count in group.totals(counts).items():
        found[len(path) - 1] += count * count
    return tuple(found)


def find_level(most: Sequence[float], tasks: int) -> tuple[int, int]:
    """Find the level to which tasks fill vessels of these sizes, and how many hold one more."""
    if most and min(most) > tasks // len(most):  # none is full: the usual case, and most of the work saved
        return divmod(tasks, len(most))
    low, high = 0, tasks
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _content(most, middle) <= tasks else (low, middle - 1)
    return low, tasks - int(_content(most, low))


def _content(most: Sequence[float], height: int) -> float:
    return sum(min(one, height) for one in most)


def _even_groups(groups: Sequence[Group], tasks: int, occupancy: Occupancy) -> tuple[Cost, dict[str, int]]:
    """Tell which groups hold one more is decided by what that costs inside them."""
    caps = [occupancy.cap(group) for group in groups]
    height, extra = find_level(caps, tasks)
    found = [
        level_tasks(one, int(min(cap, height)), occupancy) for one, cap in zip(groups, caps, strict=True)
    ]
    raised = {
        at: level_tasks(groups[at], height + 1, occupancy)
        for at, cap in enumerate(caps)
        if extra and cap > height
    }
    for at in nsmallest(extra, raised, key=lambda at: _less(raised[at][0], found[at][0])):
        found[at] = raised[at]
    after = {node: count for _, inner in found for node, count in inner.items()}
    outer = sum(sum(inner.values()) ** 2 for _, inner in found)
    return (outer, *map(sum, zip(*(cost for cost, _ in found), strict=True))), after


def _less(cost: Cost, other: Cost) -> Cost:
    return tuple(one - two for one, two in zip(cost, other, strict=True))


def _even_nodes(nodes: Sequence[str], tasks: int, occupancy: Occupancy) -> tuple[Cost, dict[str, int]]:
    before, load, most = occupancy.before, occupancy.load, occupancy.most
    height, extra = _level_of(nodes, tasks, occupancy)
    after = {node: int(min(most.get(node, height), height)) for node in nodes} if height else {}
    if extra:
        open_ = [node for node in nodes if most.get(node, math.inf) > height] if most else nodes
        after.update(dict.fromkeys(_raised(open_, extra, height, occupancy), height + 1))
    moves = sum(max(0, count - before.get(node, 0)) for node, count in after.items())
    weight = sum(count * load[node] for node, count in after.items())
    uneven = sum(count * count for count in after.values())
    return (uneven, moves, weight), {node: count for node, count in after.items() if count}


def _raised(nodes: Sequence[str], extra: int, height: int, occupancy: Occupancy) -> list[str]:
    """Choose the nodes that hold one more: those that hold it already, then those with the least load."""
    stay = [node for node in nodes if occupancy.before.get(node, 0) > height]
    kept = nsmallest(extra, stay, key=occupancy.load.__getitem__)
    if len(kept) == extra:
        return kept
    there = set(stay)
    others = (node for node in nodes if node not in there)
    return kept + nsmallest(extra - len(kept), others, key=occupancy.load.__getitem__)


def _level_of(nodes: Sequence[str], tasks: int, occupancy: Occupancy) -> tuple[int, int]:
    if not occupancy.most and nodes:
        return divmod(tasks, len(nodes))
    return find_level([occupancy.most.get(node, math.inf) for node in nodes], tasks)
