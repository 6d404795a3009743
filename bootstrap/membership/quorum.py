"""When a manager may be demoted or made: never so that the managers' quorum is at risk; pure.

| the managers                                     | demote one that leaves   | make one more       |
| ------------------------------------------------ | ------------------------ | ------------------- |
| fewer than a majority answer                     | no                       | no                  |
| there is only one                                | no                       | yes, if it answers  |
| a majority of the others would not answer        | no                       | no                  |
| some do not answer                               | yes, the dead first      | no: demote them     |
| all answer                                       | yes, the leader last     | yes                 |
"""

from __future__ import annotations

from collections.abc import Collection

from bootstrap.engine.node import Node


def next_demotion(managers: Collection[Node], leaving: Collection[str]) -> tuple[Node | None, str]:
    """Choose the manager among ``leaving`` (node ids) to demote now, or None, and say why.

    Dead ones come first, because they count against the quorum until they are demoted (moby 30847); a leader
    comes last, because its demotion costs an election. One at a time: the managers agree on each change.
    Managers in name only, as there are after force-new-cluster, neither count nor can be demoted.
    """
    candidates = sorted(
        (node for node in managers if node.reachability and node.id in leaving),
        key=lambda node: (node.reachability == "reachable", node.is_leader, node.id),
    )
    if not candidates:
        return None, "no manager is to leave"
    voters = [node for node in managers if node.reachability]
    total, reachable = len(voters), sum(node.reachability == "reachable" for node in voters)
    first = candidates[0]
    left = reachable - (first.reachability == "reachable")
    if reachable < _majority(total):
        return None, f"{reachable} of {total} managers answer: the quorum is lost, nothing is demoted"
    if total == 1:
        return None, "it is the only manager: demoting it would end the swarm"
    if left < _majority(total - 1):
        return None, f"demoting {first.hostname} would leave {left} of {total - 1} managers: no quorum"
    return first, f"{left} of {total - 1} managers keep the quorum without {first.hostname}"


def lacks_majority(managers: Collection[Node], leaving: Collection[str]) -> bool:
    """Tell whether those that stay would have no majority once all are demoted that are ``leaving``.

    One that is becoming a manager counts as one that stays.
    """
    staying = [
        node for node in managers if node.id not in leaving and (node.reachability or not node.is_down)
    ]
    answering = sum(node.reachability != "unreachable" and not node.is_down for node in staying)
    return bool(leaving) and answering < _majority(len(staying))


def has_quorum(nodes: Collection[Node]) -> bool:
    """Tell whether a majority of those that count as managers answers."""
    counting = [node for node in nodes if node.reachability]
    return sum(node.reachability == "reachable" for node in counting) >= _majority(len(counting))


def next_promotion(managers: Collection[Node]) -> tuple[bool, str]:
    """Tell whether one node more may be made a manager now, and the reason.

    A newcomer that fails at once counts like a dead manager. Two or more that all answer can do without it; a
    single one cannot, but gets a second one in no other way. Who is nobody's node does not count.
    """
    counting = [node for node in managers if node.reachability or not (node.is_down or node.is_orphan)]
    total, reachable = len(counting), sum(node.reachability == "reachable" for node in counting)
    if reachable < total:
        return False, f"{total - reachable} of {total} managers do not answer: demote them first"
    return True, f"all {total} managers answer"


def _majority(managers: int) -> int:
    return managers // 2 + 1
