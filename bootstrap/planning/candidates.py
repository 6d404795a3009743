"""The nodes a service may use, grouped by its placement preferences, and how many tasks each may hold."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from bootstrap.engine.node import Node
from bootstrap.engine.service import Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.placement.capacity import SwarmCapacity
from bootstrap.placement.constraints import Plugin, can_hold, label, needed_plugins, why_unfit
from bootstrap.planning.leveling import Group, Occupancy, Path, level_tasks, unevenness
from bootstrap.planning.swarmkit import Scheduler, plan_waves, scale_down


@dataclass(frozen=True)
class Candidates:
    """The nodes that one service may stand on, also those that may only keep their tasks.

    ``group`` leaves out nodes that no plan needs: those with more load than as many free ones as there are
    tasks. ``sizes`` counts them all, by their outermost group.
    """

    service: Service
    capacity: SwarmCapacity
    plugins: frozenset[Plugin]  # that its tasks need
    usable: frozenset[str]  # nodes that may get tasks, as far as they have room
    group: Group
    occupancy: Occupancy
    sizes: Mapping[str, int]

    @property
    def before(self) -> Mapping[str, int]:
        """Its tasks by node id."""
        return self.occupancy.before

    @cached_property
    def room(self) -> Mapping[str, float]:
        """How many more tasks each node of the group can take that may get any."""
        most = self.occupancy.most
        nodes = (node for node in self.group.paths if node in self.usable)
        return {node: most[node] - self.before.get(node, 0) for node in nodes}

    @cached_property
    def others(self) -> Mapping[str, int]:
        """How many tasks of other services these nodes hold."""
        return {node: self.capacity.nodes[node].tasks - self.before.get(node, 0) for node in self.room}

    def most_even(self) -> dict[str, int]:
        """Find the most even distribution that the rules allow, with the fewest moves to it."""
        return level_tasks(self.group, sum(self.before.values()), self.occupancy)[1]

    @cached_property
    def flat(self) -> Group:
        """Its nodes without the groups: a surge knows none."""
        return Group(nodes=tuple(self.group.paths))

    def most_even_on_nodes(self) -> dict[str, int]:
        """Find the most even distribution over nodes alone, with the fewest moves: a surge can reach it."""
        return level_tasks(self.flat, sum(self.before.values()), self.occupancy)[1]

    def simulate_surge(self, waves: Sequence[int], *, aside: bool) -> dict[str, int]:
        """Simulate scale-ups by so many, one after the other, and one scale-down by all, with bad luck.

        ``aside``: while it is scaled up the service has no placement preferences.
        """
        room = dict(self.room)
        counts = self.before
        for tasks in waves:
            scheduler = Scheduler(self.flat if aside else self.group, counts, room, self.others, tasks)
            if scheduler.scale_up() < tasks:
                return dict(self.before)  # some would wait for ever: they are taken away first
            counts = scheduler.counts
        return scale_down(counts, sum(waves), self.group)

    def plan_surge(self, level: Mapping[str, int]) -> tuple[tuple[int, ...], bool, dict[str, int]]:
        """Plan how nodes come to stand ``level``: waves, whether without preferences, the sure outcome.

        With preferences nodes may stay empty, without them groups may be left behind: the nodes come first.
        """
        steps = plan_waves(self.before, level)
        ways = ((aside, self.simulate_surge(steps, aside=aside)) for aside in (False, True))
        aside, after = min(
            ways, key=lambda way: (unevenness(self.flat, way[1]), unevenness(self.group, way[1]))
        )
        return steps, aside, after

    def helps_groups(self, level: Mapping[str, int]) -> bool:
        """Tell whether groups gain from nodes that stand ``level``: they want that too, or end more even.

        Each move changes two groups by one at most, so that what is even over both stays nearly so.
        """
        if unevenness(self.flat, level) == unevenness(self.flat, self.most_even()):
            return True
        return unevenness(self.group, self.plan_surge(level)[2]) < unevenness(self.group, self.before)

    def limiting_rules(self, after: Mapping[str, int]) -> dict[str, list[str]]:
        """Find the rules that keep nodes two or more below the fullest, each with these hosts' names."""
        found: dict[str, list[str]] = {}
        top = max(after.values(), default=0)
        for node, most in self.occupancy.most.items():
            if most <= after.get(node, 0) < top - 1:
                found.setdefault(self._limiting_rule(node), []).append(self.capacity.hosts[node])
        return found

    def _limiting_rule(self, node: str) -> str:
        """Name why the node can hold no more."""
        if node in self.usable:
            return min(self.capacity.limits(node, self.service.id), key=lambda limit: limit[1])[0]
        return why_unfit(self.capacity.nodes[node].node, self.service, self.plugins)


class CandidateFinder:
    """Find the candidates of many services; what those with the same rules share is found once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.usable: dict[str, frozenset[str]] = {}
        self.paths: dict[tuple[str, ...], dict[str, Path]] = {}
        self.leaves: dict[tuple[str, ...], dict[Path, list[str]]] = {}

    def find(self, service: Service, capacity: SwarmCapacity) -> Candidates:
        """Find the candidates of one service, as the capacity is now."""
        before = dict(capacity.counts.get(service.id, {}))
        wanted = needed_plugins(service, self.snapshot)
        placement = service.placement
        rules = json.dumps([placement.get("Constraints"), placement.get("Platforms"), sorted(wanted)])
        usable, paths = self._usable(rules, service, wanted), self._paths(service.spread_over)
        leaves = self._leaves(rules, service)
        most = {node: float(count) for node, count in before.items() if node not in usable}
        sizes = Counter("".join(paths[node][:1]) for node in most)
        for path, nodes in leaves.items():
            sizes["".join(path[:1])] += len(nodes)
        homes: dict[Path, list[str]] = {path: [] for path in leaves}
        for node, count in before.items():
            homes[paths[node]].append(node)
            if node in usable:
                most[node] = count + capacity.room(node, service.id)
        for path, nodes in leaves.items():
            others = (node for node in sorted(nodes, key=capacity.load.__getitem__) if node not in before)
            homes[path] += islice(_open_nodes(others, service, capacity, most), sum(before.values()))
        occupancy = Occupancy(before, most, capacity.load_of_others(service.id))
        return Candidates(service, capacity, wanted, usable, group_tree(homes), occupancy, sizes)

    def _usable(self, rules: str, service: Service, wanted: frozenset[Plugin]) -> frozenset[str]:
        if rules not in self.usable:
            fit = (node.id for node in self.snapshot.nodes if can_hold(node, service, wanted))
            self.usable[rules] = frozenset(fit)
        return self.usable[rules]

    def _paths(self, preferences: tuple[str, ...]) -> dict[str, Path]:
        if preferences not in self.paths:
            self.paths[preferences] = {node.id: group_path(node, preferences) for node in self.snapshot.nodes}
        return self.paths[preferences]

    def _leaves(self, rules: str, service: Service) -> dict[Path, list[str]]:
        """List the usable nodes of every group that there is, also of those that have none."""
        key = (rules, *service.spread_over)
        if key not in self.leaves:
            paths = self._paths(service.spread_over)
            found: dict[Path, list[str]] = {path: [] for path in paths.values()}
            for node in sorted(self.usable[rules]):
                found[paths[node]].append(node)
            self.leaves[key] = found
        return self.leaves[key]


def _open_nodes(
    nodes: Iterable[str], service: Service, capacity: SwarmCapacity, most: dict[str, float]
) -> Iterator[str]:
    """Pass on the nodes with room; note in ``most`` how much."""
    is_limited = capacity.demand(service.id).is_limited
    for node in nodes:
        room = capacity.room(node, service.id) if is_limited else math.inf
        most[node] = room
        if room > 0:
            yield node


def group_path(node: Node, preferences: Sequence[str]) -> Path:
    """Read the node's groups by placement preferences, outermost first; "" where it lacks the label.

    Preferences that swarmkit cannot read are passed over, as it does.
    """
    values = (label(node, preference) for preference in preferences)
    return tuple(value for value in values if value is not None)


def group_tree(leaves: Mapping[Path, Sequence[str]]) -> Group:
    """Nest the nodes at each path as groups inside groups."""
    if () in leaves or not leaves:
        return Group(nodes=leaves.get((), ()))
    parts: dict[str, dict[Path, Sequence[str]]] = {}
    for path, nodes in leaves.items():
        parts.setdefault(path[0], {})[path[1:]] = nodes
    return Group({value: group_tree(part) for value, part in sorted(parts.items())})
