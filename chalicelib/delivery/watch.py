"""Watch urgent evacuations: whoever has sent one, and then its guard, says what nobody else does.

What is seen -> what is said, and then decided:
    its command has ended, and no event said so        the command has finished
    its command runs for long: its host may be dead    the command still runs: it is sent elsewhere too
    its work is open again, and nobody has sent it     nothing: it is sent
    no node is evacuating any more; time is over       nothing: the end
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch
from chalicelib.adapters.ports import OPEN_WORK_AHEAD_S
from chalicelib.delivery.dispatcher import dispatch
from chalicelib.errors import RefusedError, ThrottledError
from chalicelib.events import (
    IN_FLIGHT,
    UNKNOWN,
    CommandFinished,
    CommandRunning,
    InvocationEnded,
    finish_command,
)
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules.retry import exponential_s
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import SentCommand

if TYPE_CHECKING:
    from chalicelib.actions import Watch
    from chalicelib.adapters.ports import World
    from chalicelib.state.node import Node

POLL_S = 2.0
LONGEST_HEDGE_S = 60.0
EVENT_LATE_S = 3.0  # that the event of a command's end may take; then it counts as lost
UNSENT_LATE_S = 5.0  # that whoever has opened work again may take to send it

Said = CommandFinished | CommandRunning


@dataclass(slots=True)
class Watcher:
    """One watch: when commands were first seen, which were hedged, and when their ends were first seen."""

    cluster: str
    watch: Watch
    world: World
    seen: dict[SentCommand, float] = field(default_factory=dict)
    hedged: set[SentCommand] = field(default_factory=set)
    ended: dict[SentCommand, float] = field(default_factory=dict)

    def run(self) -> Iterator[Said]:
        """Yield what has to be decided on, until all nodes are out of it or the time is over.

        Whoever iterates follows each event before it asks for the next one.
        """
        clock = self.world.clock
        last = self.watch.since
        while clock.now() < self.watch.until:
            clock.sleep(POLL_S)
            if not (nodes := self._evacuating_nodes()):
                return
            if _is_left_unsent(nodes, clock.now()):
                dispatch(self.cluster, Dispatch(seconds=0), self.world)
            elif said := self._find(nodes, last, clock.now()):
                yield said
            last = clock.now()

    def _evacuating_nodes(self) -> list[Node]:
        now = self.world.clock.now()
        return [
            node
            for node in self.world.nodes.list_open(self.cluster, now + OPEN_WORK_AHEAD_S)
            if node.instance in self.watch.instances and node.state is NodeState.EVACUATING
        ]

    def _find(self, nodes: list[Node], last: float, now: float) -> Said | None:
        """Find what is to be said first. ``last``: the last poll; a new command was sent after it."""
        commands = {SentCommand(node.command, node.manager): node for node in nodes if node.command}
        found = (self._ask(sent, node.attempts, last, now) for sent, node in commands.items())
        return next((said for said in found if said), None)

    def _ask(self, sent: SentCommand, attempts: int, last: float, now: float) -> Said | None:
        since = self.seen.setdefault(sent, last)
        try:
            answer = self.world.hosts.fetch_answer(sent.command, sent.manager)
        except (ThrottledError, RefusedError):
            return None  # where AWS does not say it, the event or the tick does
        if answer.status in IN_FLIGHT or answer.status == UNKNOWN:
            is_late = now >= since + hedge_after_s(attempts, self.world) and sent not in self.hedged
            return self._hedge(sent, now) if is_late else None
        if now < self.ended.setdefault(sent, now) + EVENT_LATE_S:
            return None
        if self.world.nodes.find_owner(sent.manager) != self.cluster:
            return None  # another cluster's host is not believed; the tick says so
        return finish_command(InvocationEnded(now, sent.command, sent.manager), AgentTask.EVACUATE, answer)

    def _hedge(self, sent: SentCommand, now: float) -> CommandRunning:
        """Say that it runs for long. One of a host's is enough: the next agent works on all nodes."""
        self.hedged.add(sent)
        self.seen |= {other: now for other in self.seen if other.manager == sent.manager}
        return CommandRunning(now, sent.command, sent.manager)


def _is_left_unsent(nodes: list[Node], now: float) -> bool:
    """Whether somebody has opened the work on a node again, and has died before he could send it."""
    return any(node.is_ready(now - UNSENT_LATE_S) and not node.misfit for node in nodes)


def hedge_after_s(attempts: int, world: World) -> float:
    """Return the seconds after which a command that still runs is sent elsewhere too: 12, 12, 24, 48."""
    return exponential_s(world.timeouts.hedge_s, attempts - 2, LONGEST_HEDGE_S)


def watch_evacuations(cluster: str, watch: Watch, world: World) -> Iterator[Said]:
    """Watch urgent evacuations; yield what has to be decided on. Nothing where hedges are off."""
    return Watcher(cluster, watch, world).run() if world.timeouts.hedge_s else iter(())
