"""Send a join to the very instances that it is about, not to a manager."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.errors import ThrottledError, UnreachableError
from chalicelib.metrics import Measure, Metric
from chalicelib.observability import measure
from chalicelib.rules.retry import MAX_ATTEMPTS_WITHOUT_SWARM, back_off

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.adapters.ports import World
    from chalicelib.delivery.batching import Batch
    from chalicelib.state.node import Node


def send_join(cluster: str, batch: Batch, world: World) -> tuple[int, str]:
    """Send the batch to those targets that Run Command reaches; answers how many, and "" or a problem.

    An instance is reached only a while after its start. It is not waited for here, where evacuations would
    wait too: each poll that does not reach it counts as an attempt, and the next is later. Where there is no
    swarm to join, attempts are not used up: that is not the instance's fault.
    """
    now = world.clock.now()
    if not batch.has_swarm:
        batch = replace(batch, nodes=tuple(map(_keep_attempts, batch.nodes)))
    if not batch.managers:
        _postpone(batch.nodes, "no manager stays that it could join at", world)
        return 0, ""
    try:
        reached = world.hosts.find_reachable(tuple(node.instance for node in batch.nodes))
        there = tuple(node for node in batch.nodes if node.instance in reached)
        unreached = [node for node in batch.nodes if node not in there]
        _postpone(unreached, "Run Command cannot reach it yet", world)
        if not there:
            return 0, ""
        batch, names = replace(batch, nodes=there), tuple(node.instance for node in there)
        command = world.hosts.send(names, cluster, batch.task, batch.arguments, batch.seconds(now))
    except ThrottledError as error:
        return 0, str(error)
    except UnreachableError as error:
        _postpone(batch.nodes, str(error), world)
        return 0, ""
    measure(cluster, [Measure(Metric.COMMANDS_SENT)])
    return _record_sent(there, command, now + world.timeouts.answer_s, world), ""


def _record_sent(nodes: Iterable[Node], command: str, due: float, world: World) -> int:
    """Record the command in each node; answers how many records were still the ones that were read."""
    return sum(world.nodes.replace(node, node.mark_sent(command, node.instance, due=due)) for node in nodes)


def _keep_attempts(node: Node) -> Node:
    return replace(node, attempts=min(node.attempts, MAX_ATTEMPTS_WITHOUT_SWARM - 1))


def _postpone(nodes: Iterable[Node], reason: str, world: World) -> None:
    for node in nodes:
        due = world.clock.now() + back_off(node.attempts + 1, node.instance)
        world.nodes.replace(node, replace(node.reopen(due=due, reason=reason), attempts=node.attempts + 1))
