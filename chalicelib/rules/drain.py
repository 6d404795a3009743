"""Evacuate: a node that is about to end is emptied inside the time that is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, Measure, Metric, Move, Plan
from chalicelib.cluster import Role
from chalicelib.conduct import Recommendations
from chalicelib.events import Ending
from chalicelib.protocol import DONE, Fate
from chalicelib.rules import again
from chalicelib.states import STANDING, NodeState

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.cluster import Cluster, Node
    from chalicelib.conduct import Policy
    from chalicelib.events import (
        CommandFinished,
        EvacuationOrdered,
        RebalanceRecommended,
        SpotInterruptionWarning,
    )
    from chalicelib.protocol import NodeReport

EARLIER = 1.0  # seconds; a deadline that is nearer by less changes nothing


@dataclass(frozen=True, slots=True)
class Threat:
    """Why a node has to be empty by ``deadline``; given back at ``back`` if that is not 0."""

    since: float
    deadline: float
    reason: str
    back: float = 0.0
    drill: bool = False


def on_spot_interruption_warning(event: SpotInterruptionWarning, cluster: Cluster) -> Plan:
    """The first warning begins the evacuation; every other one finds it begun."""
    node = cluster.node(event.instance)
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    if event.time < node.launched:
        return Plan("the warning is older than the instance's last start", measures=(_twice(node),))
    return warned(node, cluster, event.time, event.ending)


def warned(node: Node, cluster: Cluster, time: float, ending: Ending) -> Plan:
    """EC2 has announced at ``time`` that the instance will end."""
    deadline = time + lead(ending, cluster.policy)
    reason = f"EC2 will {ending} it, {max(deadline - cluster.now, 0):.0f} s are left"
    counted = Measure(Metric.INTERRUPTIONS, instance=node.instance)
    return answered(node, cluster, Threat(time, deadline, reason), counted)


def on_rebalance_recommended(event: RebalanceRecommended, cluster: Cluster) -> Plan:
    """As the cluster's conduct says. At most once in a while for each node: most hints come to nothing."""
    node, wanted = cluster.node(event.instance), cluster.conduct.recommendations
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    if wanted is Recommendations.IGNORE:
        return Plan("a rebalance recommendation: this cluster ignores them")
    if node.state is not NodeState.IN_SERVICE or event.time < max(node.launched, node.hinted):
        return Plan(f"a rebalance recommendation: already {node.state}", measures=(_twice(node),))
    if node.hinted and event.time < node.hinted + cluster.policy.hint:
        return Plan("a rebalance recommendation soon after the last one", measures=(_twice(node),))
    counted = Measure(Metric.RECOMMENDATIONS, instance=node.instance)
    if wanted is Recommendations.NOTE:
        noted = node.but(hinted=event.time)
        return Plan("a rebalance recommendation: noted", (Move(node, noted),), (counted,))
    back = event.time + cluster.policy.hint
    reason = "EC2 recommends to leave it: evacuated for a while"
    threat = Threat(event.time, cluster.now + cluster.policy.gentle, reason, back)
    after = begun(node, cluster.now, threat, hinted=event.time)
    return Plan(reason, (Move(node, after), Dispatch(node.instance)), (counted,))


def on_evacuation_ordered(event: EvacuationOrdered, cluster: Cluster) -> Plan:
    """A person wants the node to be empty."""
    node = cluster.node(event.instance)
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    back = event.time + event.seconds + event.back if event.back else 0.0
    threat = Threat(event.time, event.time + event.seconds, "evacuated by hand", back)
    return answered(node, cluster, threat)


def answered(node: Node, cluster: Cluster, threat: Threat, *counted: Measure) -> Plan:
    """The plan against a threat; if it is known already, to send what is not sent.

    Recorded but not sent means that the first handler is still at it, or died.
    """
    after = threatened(node, cluster.now, threat)
    actions: tuple[Action, ...] = (Dispatch(node.instance),) if (after or node).unsent else ()
    if after is None:
        return Plan(f"already {node.state}", actions, (_twice(node),))
    return Plan(threat.reason, (Move(node, after), *actions), counted)


def threatened(node: Node, now: float, threat: Threat) -> Node | None:
    """The node once a threat is known; None if that changes nothing.

    All threats to one life of an instance are one evacuation: a later one can only hurry it, or make final
    what was to be given back.
    """
    if node.state in STANDING:
        return begun(node, now, threat)
    final = {} if threat.back or not (node.back or node.drill) else {"back": 0.0, "drill": False}
    if node.state is NodeState.EVACUATED and final:
        return node.but(due=None, reason=threat.reason, **final)
    if node.state is not NodeState.EVACUATING:
        return None
    if threat.deadline < node.deadline - EARLIER:
        hurried = {"deadline": threat.deadline, "command": "", "due": now, "attempts": 0}
        return node.but(reason=threat.reason, **hurried, **final)
    return node.but(**final) if final else None


def lead(ending: Ending, policy: Policy) -> float:
    """Seconds between a warning and the end: none for hibernation, which begins at once."""
    return 0.0 if ending is Ending.HIBERNATE else policy.notice


def begun(node: Node, now: float, threat: Threat, *, hinted: float = 0.0) -> Node:
    """The node as it is when its evacuation begins; due at once."""
    return node.to(
        NodeState.EVACUATING,
        since=threat.since,
        deadline=threat.deadline,
        due=now,
        reason=threat.reason,
        back=threat.back,
        drill=threat.drill,
        hinted=hinted or node.hinted,
    )


def concluded(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """The node after an evacuate command: evacuated if the agent says that it is empty, else open again."""
    if report is None or report.fate not in DONE:
        return again.after_failure(node, report, event, now)
    return node.to(
        NodeState.EVACUATED,
        since=event.time,
        reason=f"{report.fate.value}: {report.detail}" if report.detail else report.fate.value,
        fate=report.fate.value,
        node=report.node or node.node,
        command=event.command,
        manager=event.manager,
        due=node.back or None,
    )


def returned(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """The node after a give-back command: in service again, joined anew if it is lost, or open again.

    An evacuated manager was demoted: activating makes it what it is tagged to be.
    """
    if report is not None and report.fate is Fate.ABSENT:
        return node.to(NodeState.JOINING, since=event.time, due=now, reason="the swarm has no such node")
    if report is None or report.fate is not Fate.ACTIVE:
        return again.after_failure(node, report, event, now)
    if node.role is Role.MANAGER:
        reason = "given back, to be promoted again"
        return node.to(NodeState.ACTIVATING, since=event.time, due=now, reason=reason)
    return node.to(NodeState.IN_SERVICE, since=event.time, reason="given back", fate=report.fate.value)


def _twice(node: Node) -> Measure:
    return Measure(Metric.DUPLICATES, instance=node.instance)
