"""Leave open work to a later tick: nobody could be sent it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.observability import warn
from chalicelib.rules.retry import back_off

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.adapters.ports import World
    from chalicelib.state.node import Node


def postpone(nodes: Iterable[Node], reason: str, world: World) -> None:
    """Count an attempt for each node, and have the next one made after a back-off."""
    now = world.clock.now()
    world.nodes.replace_all([(node, _put_off(node, reason, now)) for node in nodes])


def _put_off(node: Node, reason: str, now: float) -> Node:
    due = now + back_off(node.attempts + 1, node.instance)
    return replace(node.reopen(due=due, reason=reason), attempts=node.attempts + 1)


def leave_out(cluster: str, misfits: Iterable[Node], world: World) -> None:
    """Put off work that no agent would take; in the end it is given up, and people are notified."""
    for node in misfits:
        warn(f"{node.instance} is left out: {node.misfit}", cluster=cluster, instance=node.instance)
        postpone([node], node.misfit, world)
