"""What EC2 shows against what is recorded: new instances are registered, ended ones leave."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Plan, RecordManagers, RecordOwners, Register, ReplaceRecord
from chalicelib.protocol.messages import Fate
from chalicelib.rules.nodes import lifecycle_hooks
from chalicelib.rules.nodes.leave import KEEP_GONE_S, follow
from chalicelib.state.instance import UP, Role
from chalicelib.state.lifecycle import STANDING, NodeState
from chalicelib.state.node import Node

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import InstancesDiscovered
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.instance import DiscoveredInstance

SURVIVED = 900.0  # seconds after which an instance that was to end and still runs was spared
SETTLED = 300.0  # seconds after which EC2's listing, which lags behind, is trusted to know of a change


def on_instances_discovered(event: InstancesDiscovered, cluster: Cluster) -> Plan:
    """Bring the records in line. Nothing is sent from here: work that this opens is due for the tick.

    A hurried discovery leaves the known ones to the tick: in a storm hundreds of records change at once.
    """
    seen = {discovered.instance: discovered for discovered in event.instances}
    known = {node.instance for node in cluster.nodes}
    fresh = tuple(
        _register(discovered, event.time) for discovered in seen.values() if discovered.instance not in known
    )
    compared = () if event.hurried else cluster.nodes
    afters = [(node, _compare(node, seen.get(node.instance), event.time, cluster)) for node in compared]
    moves = tuple(ReplaceRecord(node, after) for node, after in afters if after)
    managers = _list_managers(event)
    new = {node.instance for node in fresh}
    fleets = sorted({one.fleet for one in seen.values() if one.fleet and one.instance in new})
    # Fleets first: only with new instances are they noted, and after a crash in between these are still new.
    actions: list[Action] = [RecordOwners(tuple(fleets))] if fleets else []
    actions += [Register(fresh)] if fresh else []
    actions += [RecordManagers(managers)] if managers != cluster.managers else []
    actions += moves
    reason = f"{len(seen)} instances seen: {len(fresh)} new, {len(moves)} changed, {len(managers)} managers"
    return Plan(reason, tuple(actions))


def _list_managers(event: InstancesDiscovered) -> tuple[str, ...]:
    up = (discovered for discovered in event.instances if discovered.state in UP)
    return tuple(sorted(discovered.instance for discovered in up if discovered.role is Role.MANAGER))


def _register(discovered: DiscoveredInstance, time: float) -> Node:
    node = Node(
        cluster=discovered.cluster,
        instance=discovered.instance,
        role=discovered.role,
        address=discovered.address,
        launched=discovered.launched,
        state=NodeState.JOINING,
        since=discovered.launched,
        due=time,
        reason="seen by the discovery",
        hooks=discovered.hooks,
    )
    if discovered.state in UP:
        return node
    # Its group may still wait for it, so it has to be known; the swarm it never met.
    why = f"was {discovered.state} before it was seen"
    due = time if node.hooks else None
    return replace(node, state=NodeState.GONE, since=time, due=due, reason=why, expires=time + KEEP_GONE_S)


def _compare(node: Node, discovered: DiscoveredInstance | None, time: float, cluster: Cluster) -> Node | None:
    """A group waits longer than until the next discovery: its hooks come after what else has changed."""
    after = _after(node, discovered, time, cluster)
    return lifecycle_hooks.adopt(node, discovered.hooks, time, cluster) if discovered and not after else after


def _after(node: Node, discovered: DiscoveredInstance | None, time: float, cluster: Cluster) -> Node | None:
    """The node as the discovery wants it; None for no change. What began after the discovery looked stays."""
    if node.since > time:
        return None
    if discovered is None:
        return follow(node, None, time, cluster) if time > node.launched + SETTLED else None
    if discovered.state not in UP:
        return follow(node, discovered.state, time, cluster)
    if reason := _why_rejoin(node, discovered, time):
        return _rejoin(node, discovered, reason, cluster.now)
    if node.state not in STANDING:
        return None
    shown = {"role": discovered.role, "address": discovered.address, "launched": discovered.launched}
    same = all(getattr(node, name) == value for name, value in shown.items())
    return None if same else node.revise(**shown)


def _why_rejoin(node: Node, discovered: DiscoveredInstance, time: float) -> str:
    """Why a running instance has to join again whatever its record says; "" if it has not."""
    if discovered.launched > node.launched:
        return "the instance was started again"
    if node.state is NodeState.GONE and time > node.since + SETTLED:
        return "EC2 still lists it as running"
    if node.state is NodeState.LEAVING and node.fate == Fate.ALIVE.value:
        # EC2 and the swarm agree that it lives: what said that it had ended was wrong.
        return "the instance and its node live after all"
    if node.state is NodeState.EVACUATED and node.announced and time > node.since + SURVIVED:
        return "the instance was spared"  # or its next warning would pass for a duplicate
    return ""


def _rejoin(node: Node, discovered: DiscoveredInstance, reason: str, now: float) -> Node:
    launched = discovered.launched
    # Without a node id: in a join, one means that the managers do not list it, and that the host must leave.
    now_at = {"role": discovered.role, "address": discovered.address, "launched": launched, "node": ""}
    return node.enter(NodeState.JOINING, since=launched, due=now, reason=reason, **now_at)
