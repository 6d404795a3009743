"""What people order with the manual calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Forget, Move, Plan, SetConduct
from chalicelib.protocol import Task
from chalicelib.rules import closing

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.cluster import Cluster, Node
    from chalicelib.events import ConductOrdered, RedriveOrdered


def on_conduct_ordered(event: ConductOrdered, cluster: Cluster) -> Plan:
    """Treat the cluster otherwise. Who resumes catches up with a tick of its own (calls.py)."""
    now = {name: getattr(cluster.conduct, name) for name in event.changes}
    if now == dict(event.changes):
        return Plan("nothing to change: " + _told(event.changes))
    return Plan("set: " + _told(event.changes), (SetConduct(event.changes),))


def on_redrive_ordered(event: RedriveOrdered, cluster: Cluster) -> Plan:
    """Open given up work again. The letter goes first: if the work fails again, that is a new incident."""
    chosen = [node for node in cluster.nodes if node.given_up and event.instance in ("", node.instance)]
    if not chosen:
        return Plan("nothing was given up" + (f" for {event.instance}" if event.instance else ""))
    actions: list[Action] = [Forget(closing.key(node)) for node in chosen]
    actions += [Move(node, _reopened(node, cluster)) for node in chosen]
    names = ", ".join(node.instance for node in chosen[:10])
    return Plan(f"{len(chosen)} to do again: {names}", (*actions, Dispatch(chosen[0].instance)))


def _reopened(node: Node, cluster: Cluster) -> Node:
    until = cluster.now + cluster.policy.gentle if node.task is Task.EVACUATE else node.deadline
    return node.but(attempts=0, due=cluster.now, deadline=until, reason="ordered again by hand")


def _told(changes: object) -> str:
    return ", ".join(f"{name}={value}" for name, value in dict(changes).items())  # type: ignore[call-overload]
