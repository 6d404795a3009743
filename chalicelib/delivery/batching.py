"""What one command carries: all open work of one kind that can share a time budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.protocol.messages import AgentTask, Arguments
from chalicelib.state.lifecycle import PLACES, NodeState, Place
from chalicelib.state.node import labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chalicelib.state.cluster import Host
    from chalicelib.state.instance import Role
    from chalicelib.state.node import Node

TARGETS = 100  # reports of more would not fit into protocol.MAX_LINE
COMMAND_INSTANCES = 50  # instances of one command, Run Command's maximum
TOGETHER = 15.0  # seconds; later deadlines are not cut down to the most urgent one
CROWD = 4  # commands at once on one manager: Run Command lets five run there, and keeps a sixth waiting
GATHER = 0.5  # seconds that more is waited for, for each command that is out
MOST = 3.0  # seconds
HURRY = 30.0  # seconds before a deadline from which on nothing more is waited for
LEAST = 30.0  # seconds; enough to start first (evacuation.py keeps 15 of them for the end of what is left)
# Seconds that the agent may need: beyond the deadline, where there is one.
LASTS = {AgentTask.EVACUATE: 60.0, AgentTask.LEAVE: 150.0, AgentTask.JOIN: 180.0}
# After evacuations: what makes room for them, then what only tidies up.
ORDER = (AgentTask.ACTIVATE, AgentTask.GIVE_BACK, AgentTask.LEAVE)
SETTLED = (NodeState.IN_SERVICE, NodeState.ACTIVATING, NodeState.RETURNING)
SEATS = (*SETTLED, NodeState.JOINING)  # best first


@dataclass(frozen=True, slots=True)
class Batch:
    """The targets of one command; ``deadline`` is in seconds since the epoch, 0 where there is none."""

    task: AgentTask
    nodes: tuple[Node, ...]
    deadline: float = 0.0
    managers: tuple[str, ...] = ()
    role: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    settled: bool = True  # there is a swarm to join, as far as is known

    @property
    def place(self) -> Place:
        """Where it runs: on the targets themselves, or on a manager."""
        return PLACES[self.task]

    @property
    def arguments(self) -> Arguments:
        """What the agent is told."""
        targets = tuple(node.target for node in self.nodes)
        return Arguments(targets, self.deadline, self.managers, self.role, self.labels)

    def seconds(self, now: float) -> int:
        """How long the command may run."""
        return round(max(self.deadline - now, 0.0) + LASTS.get(self.task, 60.0))


def next_batch(nodes: Iterable[Node], now: float) -> Batch | None:
    """The most valuable command that a manager can run: evacuations first, the nearest deadline first.

    Deadlines that are over come after those that can still be kept. None when nothing is to be sent now.
    """
    ready = _ready(nodes, now)
    if doomed := [node for node in ready if node.task is AgentTask.EVACUATE]:
        return _evacuation(doomed, now)
    for task in ORDER:
        if mine := sorted((node for node in ready if node.task is task), key=lambda node: node.instance):
            return Batch(task, tuple(mine[:TARGETS]))
    return None


def next_joins(nodes: Iterable[Node], now: float, hosts: Sequence[Host]) -> Batch | None:
    """The next instances to join, all of one role: they are told the same, where the managers are."""
    ready = [node for node in _ready(nodes, now) if node.task is AgentTask.JOIN]
    if not ready:
        return None
    ready.sort(key=lambda node: (node.role, node.instance))  # managers first
    role: Role = ready[0].role
    mine = tuple(node for node in ready if node.role is role)[:COMMAND_INSTANCES]
    settled = any(host.state in SETTLED for host in hosts)
    return Batch(
        AgentTask.JOIN, mine, 0.0, entrances(hosts), role.value, labels(mine[0].cluster, role), settled
    )


def gathering(batch: Batch, nodes: Iterable[Node], now: float) -> float:
    """Seconds to wait for more that can go with it: the more the longer, the more is out already.

    Were each node of a storm sent as it comes, a manager would soon run as many commands as it can, and the
    next would wait there as on a manager that is dead.
    """
    if len(batch.nodes) >= TARGETS or 0.0 < batch.deadline <= now + HURRY:
        return 0.0
    return min(GATHER * _out(nodes).total(), MOST)


def crowded(nodes: Iterable[Node]) -> frozenset[str]:
    """The managers on which as many commands are out as should be."""
    return frozenset(manager for manager, number in _out(nodes).items() if number >= CROWD)


def entrances(hosts: Sequence[Host]) -> tuple[str, ...]:
    """The managers' addresses to join at, the best first. A manager that is going is none."""
    usable = [host for host in hosts if host.address and host.state in SEATS]
    usable.sort(key=lambda host: (SEATS.index(host.state), host.breaker.failures > 0, host.instance))
    return tuple(host.address for host in usable)


def _ready(nodes: Iterable[Node], now: float) -> list[Node]:
    return [node for node in nodes if node.is_unsent and node.due is not None and node.due <= now]


def _out(nodes: Iterable[Node]) -> Counter[str]:
    """How many commands are out on each manager."""
    sent = {
        (node.manager, node.command)
        for node in nodes
        if node.command and node.task and PLACES[node.task] is Place.MANAGER
    }
    return Counter(manager for manager, _ in sent)


def _evacuation(doomed: list[Node], now: float) -> Batch:
    late = all(node.deadline < now for node in doomed)
    first = min(node.deadline for node in doomed if late or node.deadline >= now)
    mates = [node for node in doomed if late or first <= node.deadline <= first + TOGETHER]
    mates.sort(key=lambda node: (node.deadline, node.instance))
    return Batch(AgentTask.EVACUATE, tuple(mates[:TARGETS]), max(first, now + LEAST))
