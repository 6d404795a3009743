"""What EC2 shows against what is recorded: new instances are enrolled, ended ones leave."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Enrol, Move, Plan, RecordHomes, RecordManagers
from chalicelib.protocol.messages import Fate
from chalicelib.rules.nodes import lifecycle_hooks
from chalicelib.rules.nodes.leave import KEEP_GONE, following
from chalicelib.state.instance import UP, Role
from chalicelib.state.lifecycle import STANDING, NodeState
from chalicelib.state.node import Node

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import CensusTaken
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.instance import Sighting

SURVIVED = 900.0  # seconds after which an instance that was to end and still runs was spared
SETTLED = 300.0  # seconds after which EC2's listing, which lags behind, is trusted to know of a change


def on_census_taken(event: CensusTaken, cluster: Cluster) -> Plan:
    """Bring the records in line. Nothing is sent from here: work that this opens is due for the tick.

    A hurried census leaves the known ones to that of the tick: in a storm hundreds of records change at once.
    """
    seen = {sighting.instance: sighting for sighting in event.sightings}
    known = {node.instance for node in cluster.nodes}
    fresh = tuple(
        _enrolled(sighting, event.time) for sighting in seen.values() if sighting.instance not in known
    )
    compared = () if event.hurried else cluster.nodes
    afters = [(node, _compared(node, seen.get(node.instance), event.time, cluster)) for node in compared]
    moves = tuple(Move(node, after) for node, after in afters if after)
    managers = _managers(event)
    new = {node.instance for node in fresh}
    fleets = sorted({one.fleet for one in seen.values() if one.fleet and one.instance in new})
    # Fleets first: only with new instances are they noted, and after a crash in between these are still new.
    actions: list[Action] = [RecordHomes(tuple(fleets))] if fleets else []
    actions += [Enrol(fresh)] if fresh else []
    actions += [RecordManagers(managers)] if managers != cluster.managers else []
    actions += moves
    reason = f"{len(seen)} instances seen: {len(fresh)} new, {len(moves)} changed, {len(managers)} managers"
    return Plan(reason, tuple(actions))


def _managers(event: CensusTaken) -> tuple[str, ...]:
    up = (sighting for sighting in event.sightings if sighting.state in UP)
    return tuple(sorted(sighting.instance for sighting in up if sighting.role is Role.MANAGER))


def _enrolled(sighting: Sighting, time: float) -> Node:
    node = Node(
        cluster=sighting.cluster,
        instance=sighting.instance,
        role=sighting.role,
        address=sighting.address,
        launched=sighting.launched,
        state=NodeState.JOINING,
        since=sighting.launched,
        due=time,
        reason="seen by the census",
        hooks=sighting.hooks,
    )
    if sighting.state in UP:
        return node
    # Its group may still wait for it, so it has to be known; the swarm it never met.
    why = f"was {sighting.state} before it was seen"
    due = time if node.hooks else None
    return replace(node, state=NodeState.GONE, since=time, due=due, reason=why, expires=time + KEEP_GONE)


def _compared(node: Node, sighting: Sighting | None, time: float, cluster: Cluster) -> Node | None:
    """A group waits longer than until the next census: its hooks come after what else has changed."""
    after = _after(node, sighting, time, cluster)
    return lifecycle_hooks.unheard(node, sighting.hooks, time, cluster) if sighting and not after else after


def _after(node: Node, sighting: Sighting | None, time: float, cluster: Cluster) -> Node | None:
    """The node as the census wants it; None for no change. What began after the census looked stays."""
    if node.since > time:
        return None
    if sighting is None:
        return following(node, None, time, cluster) if time > node.launched + SETTLED else None
    if sighting.state not in UP:
        return following(node, sighting.state, time, cluster)
    if reason := _why_back(node, sighting, time):
        return _back(node, sighting, reason, cluster.now)
    if node.state not in STANDING:
        return None
    shown = {"role": sighting.role, "address": sighting.address, "launched": sighting.launched}
    same = all(getattr(node, name) == value for name, value in shown.items())
    return None if same else node.but(**shown)


def _why_back(node: Node, sighting: Sighting, time: float) -> str:
    """Why a running instance has to join again whatever its record says; "" if it has not."""
    if sighting.launched > node.launched:
        return "the instance was started again"
    if node.state is NodeState.GONE and time > node.since + SETTLED:
        return "EC2 still lists it as running"
    if node.state is NodeState.LEAVING and node.fate == Fate.ALIVE.value:
        # EC2 and the swarm agree that it lives: what said that it had ended was wrong.
        return "the instance and its node live after all"
    if node.state is NodeState.EVACUATED and node.announced and time > node.since + SURVIVED:
        return "the instance was spared"  # or its next warning would pass for a duplicate
    return ""


def _back(node: Node, sighting: Sighting, reason: str, now: float) -> Node:
    launched = sighting.launched
    # Without a node id: in a join, one means that the managers do not list it, and that the host must leave.
    now_at = {"role": sighting.role, "address": sighting.address, "launched": launched, "node": ""}
    return node.to(NodeState.JOINING, since=launched, due=now, reason=reason, **now_at)
