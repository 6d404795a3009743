"""Send a join to the very instances that it is about, not to a manager."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.delivery.postpone import postpone
from chalicelib.errors import RefusedError, ThrottledError
from chalicelib.metrics import Measure, Metric
from chalicelib.observability import measure, warn
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules.retry import MAX_ATTEMPTS_WITHOUT_SWARM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chalicelib.adapters.ports import World
    from chalicelib.delivery.batching import Batch
    from chalicelib.state.node import Node

MAX_CALLS = 16  # of each kind for one batch; what is left then goes out with the next
MAX_REFUSED = 3  # parts refused while nothing is taken: then it is not for single instances


def send_join(cluster: str, batch: Batch, world: World) -> tuple[int, str]:
    """Send the batch to those targets that Run Command reaches; answers how many, and "" or a problem.

    An instance is reached only a while after its start. It is not waited for here, where evacuations would
    wait too: each poll that does not reach it counts as an attempt, and the next is later. Where there is no
    swarm to join, attempts are not used up: that is not the instance's fault.
    """
    if not batch.has_swarm:
        batch = replace(batch, nodes=tuple(map(_keep_attempts, batch.nodes)))
    if not batch.managers:
        postpone(batch.nodes, "no manager stays that it could join at", world)
        return 0, ""
    try:
        there = _find_reachable(cluster, batch.nodes, world)
        return (_send_in_parts(cluster, replace(batch, nodes=there), world) if there else 0), ""
    except ThrottledError as error:
        return 0, str(error)


def _find_reachable(cluster: str, nodes: tuple[Node, ...], world: World) -> tuple[Node, ...]:
    """Find whom Run Command reaches; the others are put off."""
    found: list[Node] = []

    def ask(part: tuple[Node, ...]) -> int:
        reached = world.hosts.find_reachable(tuple(node.instance for node in part))
        found.extend(node for node in part if node.instance in reached)
        unreached = [node for node in part if node.instance not in reached]
        postpone(unreached, "Run Command cannot reach it yet", world)
        return len(part)

    _call_in_parts(cluster, nodes, ask, world)
    return tuple(found)


def _send_in_parts(cluster: str, batch: Batch, world: World) -> int:
    """Send to all that are not refused; answers how many were sent to."""
    return _call_in_parts(
        cluster, batch.nodes, lambda part: _send(cluster, replace(batch, nodes=part), world), world
    )


def _call_in_parts(
    cluster: str, nodes: tuple[Node, ...], call: Callable[[tuple[Node, ...]], int], world: World
) -> int:
    """Call for all at once; where that is refused for halves, until it is clear who is refused.

    One instance that AWS refuses has the call refused for all. Answers for how many it was not.
    """
    parts, done, refused = [nodes], 0, 0
    for _ in range(MAX_CALLS):
        if not parts:
            break
        part = parts.pop()
        try:
            done += call(part)
        except RefusedError as error:
            half = len(part) // 2
            if half and (done or refused < MAX_REFUSED):
                parts += [part[half:], part[:half]]
                continue
            refused += 1
            measure(cluster, [Measure(Metric.COMMAND_FAILURES)])
            warn(str(error), cluster=cluster, instances=len(part), task=AgentTask.JOIN.value)
            postpone(part, str(error), world)
    return done


def _send(cluster: str, batch: Batch, world: World) -> int:
    now, names = world.clock.now(), tuple(node.instance for node in batch.nodes)
    command = world.hosts.send(names, cluster, batch.task, batch.arguments(now), batch.seconds(now))
    measure(cluster, [Measure(Metric.COMMANDS_SENT)])
    return _record_sent(batch.nodes, command, now + world.timeouts.answer_s, world)


def _record_sent(nodes: Iterable[Node], command: str, due: float, world: World) -> int:
    """Record the command in each node; answers how many records were still the ones that were read."""
    pairs = [(node, node.mark_sent(command, node.instance, due=due)) for node in nodes]
    return sum(world.nodes.replace_all(pairs))


def _keep_attempts(node: Node) -> Node:
    return replace(node, attempts=min(node.attempts, MAX_ATTEMPTS_WITHOUT_SWARM - 1))
