"""The nodes a service may use, grouped by its placement preferences, and how many tasks each may hold."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bootstrap.even import Cost, Group, Vessels, even, squares
from bootstrap.layout import Layout
from bootstrap.placement import may_hold
from bootstrap.scheduling import Scheduler, scaled_down
from bootstrap.view import Node, Service, Snapshot

WAVES = 8  # that are tried at most for a service with placement preferences
SAMPLES = 16  # sizes of a surge that are tried for a service with placement preferences
UNUSABLE = "its constraints or platform"


@dataclass(frozen=True)
class Ground:
    """Where one service may stand. Nodes that may get no task still may keep those they hold."""

    service: Service
    layout: Layout
    usable: frozenset[str]  # nodes that may get tasks, as far as they have room
    group: Group
    vessels: Vessels
    swarm: Group  # all nodes, by the same preferences

    @property
    def before(self) -> Mapping[str, int]:
        """Its tasks by node id."""
        return self.vessels.before

    def best(self) -> dict[str, int]:
        """The most even spread that the rules allow, with the fewest moves to it."""
        return even(self.group, sum(self.before.values()), self.vessels)[1]

    def surged(self, waves: Sequence[int]) -> dict[str, int]:
        """What at least comes of scale-ups by so many, one after the other, and one scale-down by all."""
        room = {node: self.layout.room(node, self.service.id) for node in self.usable}
        others = {node: self.layout.held[node].tasks - self.before.get(node, 0) for node in room}
        counts = self.before
        for tasks in waves:
            scheduler = Scheduler(counts, room, others, tasks)
            if scheduler.schedule(self.swarm, tasks) < tasks:
                return dict(self.before)  # some would wait for ever: they are taken away first
            counts = scheduler.counts
        return scaled_down(counts, sum(waves), self.group)

    def best_surge(self, least: int, most: int) -> tuple[tuple[int, ...], dict[str, int]]:
        """The waves, of ``least`` to ``most`` tasks together, that end most even, and what they end in.

        Without placement preferences the fewest moves always do. With them Swarm first fills all groups up to
        the average, so that more may be needed. No wave and all as before where none makes it more even.
        """
        aim = squares(self.group, self.best())
        best: tuple[Cost, tuple[int, ...], dict[str, int]]
        best = (squares(self.group, self.before), (), dict(self.before))
        for waves in (one for tasks in sampled(least, most) for one in self._ways(tasks)):
            after = self.surged(waves)
            best = min(
                best, (squares(self.group, after), waves, after), key=lambda one: (one[0], sum(one[1]))
            )
            if best[0] == aim:
                break
        return best[1], best[2]

    def _ways(self, tasks: int) -> list[tuple[int, ...]]:
        """All at once, and in a few waves that bring the same number to each group."""
        groups = self.group.leaves()
        width = groups * math.ceil(tasks / groups / WAVES)
        rest = (tasks % width,) if tasks % width else ()
        return [(tasks,), (width,) * (tasks // width) + rest] if width < tasks else [(tasks,)]

    def short(self, after: Mapping[str, int]) -> dict[str, list[str]]:
        """The rules that keep nodes two or more below the fullest, each with the host names of those."""
        found: dict[str, list[str]] = {}
        top = max(after.values(), default=0)
        for node in self.group.all_nodes():
            count = after.get(node, 0)
            if count < top - 1 and count >= self.vessels.most.get(node, top):
                found.setdefault(self._rule(node), []).append(self.layout.hosts[node])
        return found

    def _rule(self, node: str) -> str:
        """Why the node can hold no more."""
        known = self.layout.held[node].node
        if node in self.usable:
            return min(self.layout.limits(node, self.service.id), key=lambda limit: limit[1])[0]
        if known.doom is not None:
            return "doomed"
        if known.state != "ready":
            return known.state
        return UNUSABLE if known.availability == "active" else f"availability {known.availability}"


class Grounds:
    """Makes the grounds of many services; what those with the same rules share is found once."""

    def __init__(self, snapshot: Snapshot, layout: Layout) -> None:
        self.layout = layout
        self.nodes = {node.id: node for node in sorted(snapshot.nodes, key=lambda node: node.id)}
        self.usable: dict[str, frozenset[str]] = {}
        self.groups: dict[tuple[str, ...], Group] = {}

    def of(self, service: Service) -> Ground:
        """The ground of one service, as the layout is now."""
        before = dict(self.layout.counts.get(service.id, {}))
        rules = json.dumps([service.placement.get(key) for key in ("Constraints", "Platforms")])
        usable = self._usable(rules, service)
        strays = {node: count for node, count in before.items() if node not in usable}
        group = self._group(rules, usable, service, tuple(strays))
        most = {node: float(count) for node, count in strays.items()}
        if not self.layout.demand(service.id).fits_anywhere:
            most.update(self.layout.most(usable, service.id))
        vessels = Vessels(before, most, self.layout.load)
        return Ground(service, self.layout, usable, group, vessels, self._everything(service))

    def _usable(self, rules: str, service: Service) -> frozenset[str]:
        if rules not in self.usable:
            self.usable[rules] = frozenset(
                key for key, node in self.nodes.items() if node.doom is None and may_hold(node, service)
            )
        return self.usable[rules]

    def _everything(self, service: Service) -> Group:
        return self._group("", self.nodes.keys(), service, ())

    def _group(self, rules: str, usable: Collection[str], service: Service, strays: Collection[str]) -> Group:
        key = (rules, *service.spread_over, "", *sorted(strays))
        if key not in self.groups:
            nodes = [node for name, node in self.nodes.items() if name in usable or name in strays]
            self.groups[key] = grouped(nodes, service.spread_over)
        return self.groups[key]


def grouped(nodes: Sequence[Node], preferences: Sequence[str]) -> Group:
    """The nodes as placement preferences group them, outermost first."""
    if not preferences:
        return Group(nodes=tuple(node.id for node in nodes))
    first, *others = preferences
    kind, _, label = first.partition(".labels.")
    if kind.lower() not in ("node", "engine") or not label:
        return grouped(nodes, others)  # swarmkit passes over what it cannot read
    parts: dict[str, list[Node]] = {}
    for node in nodes:
        labels = node.labels if kind.lower() == "node" else node.engine_labels
        parts.setdefault(labels.get(label, ""), []).append(node)
    return Group({value: grouped(part, others) for value, part in sorted(parts.items())})


def sampled(least: int, most: int) -> list[int]:
    """All numbers from least to most where they are few, else the first ones and then wider apart."""
    if most - least < SAMPLES:
        return list(range(least, most + 1))
    near = range(least, least + SAMPLES // 2)
    step = (most - near.stop) / (SAMPLES // 2)
    return [*near, *(near.stop + round(step * at) for at in range(1, SAMPLES // 2 + 1))]
