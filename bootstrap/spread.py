"""Where the tasks of services shall stand: as even as the rules allow, with the fewest moves; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bootstrap.errors import AgentError
from bootstrap.even import Group, Vessels, even
from bootstrap.layout import Layout
from bootstrap.placement import may_hold
from bootstrap.view import Node, Service, Snapshot

OPT_IN = "rebalance.on.node.create"  # service label set by users: "true"

BUSY = {  # UpdateStatus.State of an update that must not be disturbed, and why
    "updating": "is still under way",
    "rollback_started": "is being rolled back",
    "paused": "is paused; any other update would resume it",
    "rollback_paused": "was being rolled back and is paused; any other update would resume it",
}


@dataclass(frozen=True)
class Spread:
    """How one service stands and shall stand: tasks by node id, nodes without any left out."""

    service: Service
    before: Mapping[str, int]
    after: Mapping[str, int]
    reason: str

    @property
    def moves(self) -> int:
        """How many tasks have to start on another node."""
        return sum(max(0, count - self.before.get(node, 0)) for node, count in self.after.items())


def chosen(snapshot: Snapshot, names: Collection[str] = ()) -> tuple[Service, ...]:
    """The services that are named (name or id) or, without names, that opted in by label; by name.

    AgentError names what no service is called.
    """
    by_name = {service.name: service for service in snapshot.services}
    found = {name: by_name.get(name) or snapshot.service_by_id.get(name) for name in names}
    if unknown := sorted(name for name, service in found.items() if not service):
        raise AgentError(
            f"no service is called {', '.join(unknown)}: nothing was changed; see docker service ls"
        )
    wanted = {service.id for service in found.values() if service} or {
        service.id for service in snapshot.services if not names and service.labels.get(OPT_IN) == "true"
    }
    services = (service for service in snapshot.services if service.id in wanted)
    return tuple(sorted(services, key=lambda service: service.name))


def untouched(service: Service, snapshot: Snapshot) -> str:
    """Why the service must not be rebalanced now; "" if it may be."""
    if not service.replicated:
        return "it is global: it has a task on every node" if service.is_global else "it is a job"
    if service.before is not None:
        return "it is being evacuated"
    if why := BUSY.get(service.update):
        return f"its own update {why}"
    return _unsettled(service, snapshot)


def _unsettled(service: Service, snapshot: Snapshot) -> str:
    wanted = [task for task in snapshot.tasks_of(service) if task.wanted]
    nodes = snapshot.node_by_id
    for task in wanted:
        if task.node in nodes and nodes[task.node].doom is not None:
            return f"an evacuation has yet to take its tasks off {nodes[task.node].hostname}"
    running = sum(task.running for task in wanted)
    if running < service.replicas or len(wanted) != service.replicas:
        return f"{running} of {service.replicas} tasks run: Swarm is at work on it, or cannot place them"
    return ""


def plan(snapshot: Snapshot, services: Collection[Service], most: int = 0) -> tuple[Spread, ...]:
    """One spread for each service, the most uneven first. ``most`` (0: any number) bounds all moves together.

    Where a plan is free, tasks go to the nodes with the least load, which each service changes for the next.
    """
    layout = Layout(snapshot)
    grounds: dict[object, Group] = {}
    found = []
    for service in sorted(services, key=lambda one: (-_gap(layout.counts.get(one.id, {})), one.name)):
        spread = _spread(service, snapshot, layout, grounds)
        layout.settle(service.id, spread.after)
        found.append(spread)
    return tuple(found)


def _gap(counts: Mapping[str, int]) -> int:
    return max(counts.values(), default=0)


def _spread(service: Service, snapshot: Snapshot, layout: Layout, grounds: dict[object, Group]) -> Spread:
    before = dict(layout.counts.get(service.id, {}))
    if why := untouched(service, snapshot):
        return Spread(service, before, before, why)
    nodes = [node.id for node in snapshot.nodes if may_hold(node, service) and node.doom is None]
    known = set(nodes)
    ground = grouped([snapshot.node_by_id[key] for key in {**dict.fromkeys(nodes), **before}], service)
    caps = {node: float(count) for node, count in before.items() if node not in known}
    if not layout.demand(service.id).fits_anywhere:
        caps |= {node: before.get(node, 0) + layout.room(node, service.id) for node in nodes}
    vessels = Vessels(before, caps, lambda node: layout.held[node].load)
    _, after = even(ground, sum(before.values()), vessels)
    moves = sum(max(0, count - before.get(node, 0)) for node, count in after.items())
    return Spread(service, before, after, f"{moves} moves" if moves else "balanced")


def grouped(nodes: Sequence[Node], service: Service) -> Group:
    """The nodes as the service's placement preferences group them, outermost first."""
    return _grouped(nodes, [text for text in service.spread_over if label(text)])


def label(preference: str) -> str:
    """The label of a preference; "" where Swarm would pass over it."""
    return preference


def _grouped(nodes: Sequence[Node], preferences: Sequence[str]) -> Group:
    if not preferences:
        return Group(nodes=tuple(node.id for node in nodes))
    parts: dict[str, list[Node]] = {}
    for node in nodes:
        parts.setdefault(value(node, preferences[0]), []).append(node)
    return Group({key: _grouped(part, preferences[1:]) for key, part in sorted(parts.items())})


def value(node: Node, preference: str) -> str:
    """The node's group for a preference; a node without the label is in the group ""."""
    kind, _, name = preference.partition(".labels.")
    return (node.labels if kind == "node" else node.engine_labels).get(name, "")
