"""Who among the managers is demoted or promoted while some of them are evacuated; pure.

| what the snapshot shows, first match                                | next                                |
| ------------------------------------------------------------------- | ----------------------------------- |
| those that stay would have no majority; a manager is dead           | demote it                           |
| the same, and a node that could be a manager stays                  | promote it, one tagged so first     |
| an evacuated manager is empty, and the others can do without it     | demote it, the leader after moves   |
| the same, but it is the one that decides; all other work is done    | it demotes itself                   |
| an evacuated manager's time ends with tasks still on it             | as if it were empty                 |

Nothing is promoted for an evacuation after which the node comes back: its vote is not lost.
"""

from __future__ import annotations

from bootstrap.actions import Action, ChangeNode, DemoteNode
from bootstrap.engine.node import ROLE_LABEL, Node
from bootstrap.engine.snapshot import Snapshot
from bootstrap.evacuation.scene import DRAIN_MARGIN_S
from bootstrap.evacuation.take_away import is_marked
from bootstrap.membership.quorum import lacks_majority, next_demotion


def manager_actions(
    snapshot: Snapshot, self_id: str = "", *, is_lasting: bool = False, now: float = 0.0
) -> list[Action]:
    """Choose the next change of a role; ``is_lasting``: the agent's own targets do not come back."""
    managers = [node for node in snapshot.nodes if node.role == "manager"]
    leaving = {node.id for node in managers if node.is_evacuating}
    if is_lasting and lacks_majority(managers, leaving) and (rescue := _rescue(snapshot, managers, leaving)):
        return [rescue]
    # Measured: a new leader goes on with a start-first update by stopping old tasks at once. So none then.
    is_moving = any(is_marked(service) for service in snapshot.services)
    ending = {node.id for node in snapshot.evacuating_nodes if _ends_now(node, now)}
    drained = [node for node in snapshot.evacuating_nodes if snapshot.is_drained(node)]
    ready = {node.id for node in drained if not (node.is_leader and is_moving)} | ending
    manager, reason = next_demotion(managers, ready - {self_id})
    is_last = ready >= {node.id for node in snapshot.evacuating_nodes}
    if manager is None and is_last and (not is_moving or self_id in ending):
        manager, reason = next_demotion(managers, ready & {self_id})
    return [DemoteNode(manager, reason)] if manager else []


def _rescue(snapshot: Snapshot, managers: list[Node], leaving: set[str]) -> Action | None:
    """Give those that stay a majority: without the dead ones, or with one manager more."""
    dead = [node.id for node in managers if node.is_down and node.id not in leaving]
    manager, reason = next_demotion(managers, dead)
    if manager:
        return DemoteNode(manager, reason)
    if any(node.role == "manager" and not node.reachability and not node.is_down for node in managers):
        return None  # one is on its way
    fit = (node for node in snapshot.nodes if node.role == "worker" and node.is_usable and node.instance)
    node = min(fit, key=lambda node: (node.labels.get(ROLE_LABEL) != "manager", node.id), default=None)
    reason = "the managers that stay would have no majority without it"
    return ChangeNode(node, {"Role": "manager"}, reason) if node else None


def _ends_now(node: Node, now: float) -> bool:
    """Tell whether a drained node's time is over: its vote goes before it dies, whatever is left on it."""
    return node.availability == "drain" and now >= (node.evacuation_deadline or 0.0) - DRAIN_MARGIN_S
