"""What swarmkit does when a service is scaled up and down again; pure, after its own code.

* A scale-up goes through the feasible nodes from the one with the fewest tasks of the service (then of all
  services), and goes on to the next one only where that holds fewer. So of 9/0/0 plus 6 it makes 9/5/1, and
  9/3/3 only when it is asked three times for 2 (both measured): hence the waves.
* With placement preferences, each group below the average is filled up to it, in no certain order, whatever
  its nodes hold. A surge that would so leave nodes empty sets the preferences aside (both measured).
* A scale-down takes the highest of "n-th copy on its node" first, and knows no preferences.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import groupby

from bootstrap.planning.leveling import Group, Path


@dataclass
class Scheduler:
    """A scale-up of one service: its tasks by node ``before``, and in ``counts`` as they are placed.

    Where swarmkit's order is left to chance, an unlucky one is taken: groups come first that need it least.
    """

    group: Group
    before: Mapping[str, int]
    room: MutableMapping[str, float]  # of the feasible nodes
    others: Mapping[str, float]  # of the feasible nodes: tasks of other services
    waiting: int  # tasks that are not placed yet
    counts: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = dict(self.before)
        self.totals = self.group.totals(self.before)

    def scale_up(self) -> int:
        """Place the waiting tasks; how many found a place."""
        return self._schedule((), self.group, self.waiting)

    def _schedule(self, path: Path, group: Group, tasks: int) -> int:
        return self._on_groups(path, group, tasks) if group.groups else self._on_nodes(group, tasks)

    def _on_groups(self, path: Path, group: Group, tasks: int) -> int:
        """Place tasks until none is left or all groups are full; a full one no longer counts.

        As in swarmkit, the average does not count what was placed before: a second round can overshoot.
        """
        totals = {key: self.totals.get((*path, key), 0) for key in group.groups}
        usable = sorted(totals, key=lambda key: (-totals[key], -self._lowest(group.groups[key])))
        placed = 0
        while placed < tasks and usable:
            share, extra = divmod(sum(totals[key] for key in usable) + tasks - placed, len(usable))
            for key in tuple(usable):
                wanted = share - totals[key] + (extra > 0)
                if wanted <= 0:
                    continue
                found = self._schedule((*path, key), group.groups[key], wanted)
                placed += found
                if found < wanted:
                    usable.remove(key)
                elif extra:
                    extra -= 1
        return placed

    def _on_nodes(self, group: Group, tasks: int) -> int:
        tasks = min(tasks, self.waiting)
        feasible = (node for node in group.nodes if self.room.get(node, 0) > 0)
        nodes = nsmallest(tasks, feasible, key=self._rank)
        at = placed = 0
        while placed < tasks and nodes:
            self._place(nodes[at % len(nodes)])
            placed += 1
            last = at + 1 >= len(nodes)
            if last or self._rank(nodes[at + 1]) < self._rank(nodes[at]):
                at += 1
            passed = 0
            while self.room[nodes[at % len(nodes)]] <= 0 and passed < len(nodes):
                at, passed = at + 1, passed + 1
            if passed == len(nodes):
                break
        return placed

    def _lowest(self, group: Group) -> int:
        """Count what its emptiest node holds: where that is much, one task more is of the least use."""
        return min((self.counts.get(node, 0) for node in group.paths if node in self.room), default=0)

    def _rank(self, node: str) -> tuple[int, float]:
        return self.counts.get(node, 0), self.others[node] + self.counts.get(node, 0)

    def _place(self, node: str) -> None:
        self.counts[node] = self.counts.get(node, 0) + 1
        self.room[node] -= 1
        self.waiting -= 1


def scale_down(counts: Mapping[str, int], tasks: int, group: Group) -> dict[str, int]:
    """Take so many tasks away; of equal ones those whose loss hurts the distribution most."""
    left = dict(counts)
    while tasks:
        top = max(left.values())
        highest = [node for node, count in left.items() if count == top]
        below = max((count for count in left.values() if count < top), default=0)
        if tasks >= len(highest) * (top - below):
            left.update(dict.fromkeys(highest, below))
            tasks -= len(highest) * (top - below)
        elif tasks >= len(highest):
            left.update(dict.fromkeys(highest, top - 1))
            tasks -= len(highest)
        else:
            totals = group.totals(left)
            emptiest = sorted(highest, key=lambda node: _fullness(group.paths[node], totals))
            left.update(dict.fromkeys(emptiest[:tasks], top - 1))
            tasks = 0
    return {node: count for node, count in left.items() if count}


def _fullness(path: Path, totals: Mapping[Path, int]) -> list[int]:
    """Count how many tasks the groups on the path hold, outermost first."""
    return [totals[path[: depth + 1]] for depth in range(len(path))]


def plan_waves(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[int, ...]:
    """Tell by how many to scale up at a time, so that receivers without groups fill level by level."""
    need = [(before.get(node, 0), count, node) for node, count in after.items()]
    need = [row for row in need if row[1] > row[0]]
    heights = range(min((low for low, _, _ in need), default=0), max((top for _, top, _ in need), default=0))
    rows = [[node for low, top, node in need if low <= height < top] for height in heights]
    single = groupby(rows, key=lambda row: row if len(row) == 1 else None)
    return tuple(
        size
        for alone, run in single
        for size in ([len(list(run))] if alone else [len(row) for row in run])
        if size
    )
