"""What one command carries: all open work of one kind that can share a time budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.protocol.messages import AgentTask, Arguments
from chalicelib.rules.nodes.evacuate import CUT_DOWN_S
from chalicelib.state.lifecycle import IN_SWARM, PLACES, STAYING, Place
from chalicelib.state.node import make_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chalicelib.state.cluster import Host
    from chalicelib.state.instance import Role
    from chalicelib.state.node import Node

MAX_TARGETS = 100  # reports of more would not fit into protocol.codec.MAX_LINE
MAX_COMMAND_INSTANCES = 50  # instances of one command, Run Command's maximum
MAX_MANAGER_COMMANDS = 4  # at once: Run Command lets five run on a host, and keeps a sixth waiting
HOLD_PER_COMMAND_S = 0.5  # that a batch is held for more, for each command in flight
MAX_HOLD_S = 3.0
NO_HOLD_S = 30.0  # before a deadline, from then on a batch is not held
MIN_EVACUATION_S = 30.0  # enough to start replacements first; the agent keeps 15 of them for the end
# That the agent may need: beyond the deadline, where there is one.
COMMAND_S = {AgentTask.EVACUATE: 60.0, AgentTask.LEAVE: 150.0, AgentTask.JOIN: 180.0}
DEFAULT_COMMAND_S = 60.0
# After evacuations: what makes room for them, then what only tidies up.
TASK_ORDER = (AgentTask.ACTIVATE, AgentTask.GIVE_BACK, AgentTask.LEAVE)


@dataclass(frozen=True, slots=True)
class Batch:
    """The targets of one command; ``deadline`` is in seconds since the epoch, 0 where there is none."""

    task: AgentTask
    nodes: tuple[Node, ...]
    deadline: float = 0.0
    managers: tuple[str, ...] = ()
    role: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    has_swarm: bool = True  # there is a swarm to join, as far as is known

    @property
    def place(self) -> Place:
        """Return where it runs: on the targets themselves, or on a manager."""
        return PLACES[self.task]

    def arguments(self, now: float) -> Arguments:
        """Return the arguments for the agent, if they are sent now."""
        described = self.task is AgentTask.ACTIVATE
        targets = tuple(node.described_target if described else node.target for node in self.nodes)
        return Arguments(targets, self.deadline, self.managers, self.role, self.labels, sent=now)

    def seconds(self, now: float) -> int:
        """Return how long the command may run."""
        return round(max(self.deadline - now, 0.0) + COMMAND_S.get(self.task, DEFAULT_COMMAND_S))


def next_batch(nodes: Iterable[Node], now: float) -> Batch | None:
    """Choose the most urgent command for a manager: evacuations first, the nearest deadline first.

    Deadlines that are over come after those that can still be kept. None when nothing is to be sent now.
    """
    ready = [node for node in nodes if node.is_ready(now) and not node.misfit]
    if evacuating := [node for node in ready if node.task is AgentTask.EVACUATE]:
        return _batch_evacuations(evacuating, now)
    for task in TASK_ORDER:
        if mine := sorted((node for node in ready if node.task is task), key=lambda node: node.instance):
            return Batch(task, tuple(mine[:MAX_TARGETS]), labels=_cluster_labels(task, mine[0]))
    return None


def _cluster_labels(task: AgentTask, node: Node) -> dict[str, str]:
    """Return the label that an activation sets beside those of each target."""
    return {"swarmkeeper.cluster": node.cluster} if task is AgentTask.ACTIVATE else {}


def next_joins(nodes: Iterable[Node], now: float, hosts: Sequence[Host]) -> Batch | None:
    """Choose the next instances to join, all of one role: one command tells them all the same."""
    waiting = (node for node in nodes if node.task is AgentTask.JOIN and not node.misfit)
    ready = [node for node in waiting if node.is_ready(now)]
    if not ready:
        return None
    ready.sort(key=lambda node: (node.role, node.instance))  # managers first
    role: Role = ready[0].role
    mine = tuple(node for node in ready if node.role is role)[:MAX_COMMAND_INSTANCES]
    has_swarm = any(host.state in IN_SWARM for host in hosts)
    return Batch(
        AgentTask.JOIN,
        mine,
        0.0,
        join_addresses(hosts),
        role.value,
        make_labels(mine[0].cluster, role),
        has_swarm,
    )


def hold_s(batch: Batch, in_flight: Counter[str], now: float) -> float:
    """Return the seconds to hold a batch for more; grows with the commands in flight.

    Were each node of a storm sent as it comes, a manager would soon run as many commands as it can, and the
    next would wait there as on a manager that is dead.
    """
    if len(batch.nodes) >= MAX_TARGETS or 0.0 < batch.deadline <= now + NO_HOLD_S:
        return 0.0
    return min(HOLD_PER_COMMAND_S * in_flight.total(), MAX_HOLD_S)


def count_in_flight(nodes: Iterable[Node]) -> Counter[str]:
    """Count the commands in flight on each manager."""
    sent = {
        (node.manager, node.command)
        for node in nodes
        if node.command and node.task and PLACES[node.task] is Place.MANAGER
    }
    return Counter(manager for manager, _ in sent)


def join_addresses(hosts: Sequence[Host]) -> tuple[str, ...]:
    """Return the managers' addresses to join at, the best first; none of a manager that is leaving.

    Once there are proven managers, only those: who is tagged could have joiners enter a swarm of his own.
    """
    usable = [host for host in hosts if host.address and host.state in STAYING]
    usable = [host for host in usable if host.is_proven] or usable
    usable.sort(key=lambda host: (STAYING.index(host.state), host.breaker.failures > 0, host.instance))
    return tuple(host.address for host in usable)


def _batch_evacuations(nodes: list[Node], now: float) -> Batch:
    """Put the nearest deadline that can be kept into one command, with those that are not much later."""
    are_late = all(node.deadline < now for node in nodes)
    first = min(node.deadline for node in nodes if are_late or node.deadline >= now)
    mine = [node for node in nodes if are_late or first <= node.deadline <= first + CUT_DOWN_S]
    mine.sort(key=lambda node: (node.deadline, node.instance))
    return Batch(AgentTask.EVACUATE, tuple(mine[:MAX_TARGETS]), max(first, now + MIN_EVACUATION_S))
