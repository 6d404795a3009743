"""EC2's instances against the records: new instances are registered, ended ones leave.

    EC2 shows the instance                    record                            plan
    pending or running                        none                              registered: joining
    ending or ended                           none                              registered: gone
    pending or running, started again         any                               joining
    pending or running                        gone; leaving, but node alive;    joining
                                              it survived an announced end
    ... with another role, address, zone, …   not known to end                  updated; a worker of the
                                              swarm is a manager by its tag only
    ... with a lifecycle action               does not have the action          added; evacuating if need be
    ending, ended, or not at all              as rules/nodes/leave.py says      evacuating, leaving
    none of the cluster any more              all leaving                       as ending.py says
    two                                       with one node id                  as nodes/twins.py says

What a record began after the discovery did is left alone: the discovery may not show it yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.actions import Notify, Plan, RecordManagers, RecordOwners, Register, ReplaceRecord
from chalicelib.protocol.messages import Fate
from chalicelib.rules import swarm_incidents
from chalicelib.rules.nodes import leave, lifecycle_hooks, twins
from chalicelib.rules.reconcile import ending
from chalicelib.state.instance import UP, Role
from chalicelib.state.lifecycle import IN_SWARM, STAYING, NodeState
from chalicelib.state.node import Node

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import InstancesDiscovered
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.instance import DiscoveredInstance

SURVIVED_S = 900.0  # an instance that still runs so long after its announced end has survived it
LISTING_LAG_S = 300.0  # EC2's listing is not trusted to show a change before


def on_instances_discovered(event: InstancesDiscovered, cluster: Cluster) -> Plan:
    """Bring the records in line with EC2; nothing is sent, work that this opens is due for the tick.

    A hurried discovery leaves known instances to the tick: in a storm hundreds of records change at once.
    """
    if end := ending.plan_end(event, cluster):
        return end
    seen = {discovered.instance: discovered for discovered in event.instances}
    known = {node.instance for node in cluster.nodes}
    fresh = tuple(_register(one, event.time) for one in seen.values() if one.instance not in known)
    compared = () if event.hurried else cluster.nodes
    afters = [(node, _compare(node, seen.get(node.instance), event.time, cluster)) for node in compared]
    changes = tuple(ReplaceRecord(node, after) for node, after in afters if after)
    managers = _list_managers(event)
    new = {node.instance for node in fresh}
    fleets = sorted({one.fleet for one in seen.values() if one.fleet and one.instance in new})
    # Fleets first: they are recorded only with new instances, which are still new after a crash in between.
    actions: list[Action] = [RecordOwners(tuple(fleets))] if fleets else []
    actions += [Register(fresh)] if fresh else []
    actions += [RecordManagers(managers)] if managers != cluster.managers else []
    actions += changes
    actions += _separate_twins([node for node, after in afters if not after], cluster)
    reason = f"{len(seen)} instances seen: {len(fresh)} new, {len(changes)} changed, {len(managers)} managers"
    return Plan(reason, tuple(actions))


def _separate_twins(nodes: list[Node], cluster: Cluster) -> list[Action]:
    """Notify of records with one node id; who has less right to it goes on without."""
    actions: list[Action] = []
    for holder, claimant in twins.find_twins(nodes):
        actions.append(Notify(swarm_incidents.node_id_twice(holder, claimant, cluster)))
        if twins.loses(holder, claimant):
            reason = f"node {claimant.node} is that of {holder.instance}"
            after = twins.without_node_id(claimant, cluster.now, reason)
            actions.insert(0, ReplaceRecord(claimant, after))
    return actions


def _list_managers(event: InstancesDiscovered) -> tuple[str, ...]:
    up = (discovered for discovered in event.instances if discovered.state in UP)
    return tuple(sorted(discovered.instance for discovered in up if discovered.role is Role.MANAGER))


def _register(discovered: DiscoveredInstance, time: float) -> Node:
    """Make the first record of an instance."""
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
        **_descriptions(discovered),
    )
    if discovered.state in UP:
        return node
    # It was never in the swarm, but its group may wait for it, so it has to be known.
    due = time if node.hooks else None
    reason = f"was {discovered.state} before it was seen"
    return leave.record_as_gone(node, since=time, now=time, due=due, reason=reason)


def _descriptions(discovered: DiscoveredInstance) -> dict[str, Any]:
    """Return what becomes labels of the node, as far as EC2 shows it: what was known stays known."""
    shown = {"zone": discovered.zone, "kind": discovered.kind, "lifecycle": discovered.lifecycle}
    return {name: value for name, value in shown.items() if value}


def _compare(node: Node, discovered: DiscoveredInstance | None, time: float, cluster: Cluster) -> Node | None:
    """Return the node with one kind of change; its lifecycle actions can wait for the next discovery."""
    after = _reconcile(node, discovered, time, cluster)
    return lifecycle_hooks.adopt(node, discovered.hooks, time, cluster) if discovered and not after else after


def _reconcile(
    node: Node, discovered: DiscoveredInstance | None, time: float, cluster: Cluster
) -> Node | None:
    """Return the node in line with the discovery at ``time``; None for no change."""
    if node.since > time:
        return None
    if discovered is None:
        return leave.follow(node, None, time, cluster) if time > node.launched + LISTING_LAG_S else None
    if discovered.state not in UP:
        return leave.follow(node, discovered.state, time, cluster)
    if reason := _why_rejoin(node, discovered, time):
        return _rejoin(node, discovered, reason, cluster.now)
    if node.state not in STAYING:
        return None
    shown = {"role": discovered.role, "address": discovered.address, "launched": discovered.launched}
    shown |= _descriptions(discovered)
    same = all(getattr(node, name) == value for name, value in shown.items())
    if same:
        return None
    if node.role is not discovered.role and node.state in IN_SWARM:  # the swarm has it in the other role
        shown["only_tagged"] = discovered.role is Role.MANAGER
    return node.revise(**shown)


def _why_rejoin(node: Node, discovered: DiscoveredInstance, time: float) -> str:
    """Explain why a running instance has to join again whatever its record says; "" if it need not."""
    if discovered.launched > node.launched:
        return "the instance was started again"
    if node.state is NodeState.GONE and time > node.since + LISTING_LAG_S:
        return "EC2 still lists it as running"
    if node.state is NodeState.LEAVING and node.fate == Fate.ALIVE.value:
        # EC2 and the swarm agree that it lives: what said that it had ended was wrong.
        return "the instance and its node live after all"
    if node.state is NodeState.EVACUATED and node.announced and time > node.since + SURVIVED_S:
        return "the instance was spared"  # without this its next warning would count as a duplicate
    return ""


def _rejoin(node: Node, discovered: DiscoveredInstance, reason: str, now: float) -> Node:
    launched = discovered.launched
    # Without a node id: in a join an id means that the managers do not list it and that the host must leave.
    shown = {"role": discovered.role, "address": discovered.address, "launched": launched, "node": ""}
    shown |= _descriptions(discovered)
    return node.enter(NodeState.JOINING, since=launched, due=now, reason=reason, **shown)
