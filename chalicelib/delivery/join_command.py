"""Have instances join: the command runs on the very ones that it is about, not on a manager."""

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


def invite(cluster: str, batch: Batch, world: World) -> tuple[int, str]:
    """Have those targets run the batch that Run Command reaches; answers how many, and "" or a problem.

    An instance needs a while after its start until it is reached. It is not waited for here, where
    evacuations would wait too: each look that misses it is an attempt, and makes the next later. Where there
    is no swarm to join, attempts are not used up: that is no fault of the instance's.
    """
    now = world.clock.now()
    if not batch.settled:
        batch = replace(batch, nodes=tuple(map(_spared, batch.nodes)))
    if not batch.managers:
        _postpone(batch.nodes, "no manager stays that it could join at", world)
        return 0, ""
    try:
        reached = world.hosts.find_reachable(tuple(node.instance for node in batch.nodes))
        there = tuple(node for node in batch.nodes if node.instance in reached)
        missed = [node for node in batch.nodes if node not in there]
        _postpone(missed, "Run Command cannot reach it yet", world)
        if not there:
            return 0, ""
        batch, names = replace(batch, nodes=there), tuple(node.instance for node in there)
        command = world.hosts.send(names, cluster, batch.task, batch.arguments, batch.seconds(now))
    except ThrottledError as error:
        return 0, str(error)
    except UnreachableError as error:
        _postpone(batch.nodes, str(error), world)
        return 0, ""
    due = now + world.timeouts.answer_s
    measure(cluster, [Measure(Metric.COMMANDS_SENT)])
    return sum(
        world.nodes.replace(node, node.mark_sent(command, node.instance, due=due)) for node in there
    ), ""


def _spared(node: Node) -> Node:
    return replace(node, attempts=min(node.attempts, MAX_ATTEMPTS_WITHOUT_SWARM - 1))


def _postpone(nodes: Iterable[Node], reason: str, world: World) -> None:
    for node in nodes:
        due = world.clock.now() + back_off(node.attempts + 1, node.instance)
        world.nodes.replace(node, replace(node.reopen(due=due, reason=reason), attempts=node.attempts + 1))
