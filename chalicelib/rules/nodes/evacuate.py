"""Evacuate: a node that is about to end is emptied inside the time that is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.actions import Dispatch, Plan, ReplaceRecord
from chalicelib.events import Ending
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import DONE
from chalicelib.rules import retry
from chalicelib.state.lifecycle import STANDING, NodeState
from chalicelib.state.settings import Recommendations

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import (
        CommandFinished,
        EvacuationOrdered,
        RebalanceRecommended,
        SpotInterruptionWarning,
    )
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node
    from chalicelib.state.settings import Timeouts

# Seconds; a deadline that is nearer by less changes nothing, nor a disruption that is newer by less.
EARLIER = 1.0
# Seconds after its notice from which a warning is too late: Lambda has had its retries, and four discoveries
# or more have shown the instance running, or its record would not stand.
STALE = 300.0


@dataclass(frozen=True, slots=True)
class Disruption:
    """Why a node has to be empty by ``deadline``; given back at ``back`` if that is not 0.

    ``announced``: EC2 ends the instance; otherwise the node stays empty also where the instance lives on.
    """

    since: float
    deadline: float
    reason: str
    back: float = 0.0
    announced: bool = False
    drill: bool = False


def on_spot_interruption_warning(event: SpotInterruptionWarning, cluster: Cluster) -> Plan:
    """The first warning begins the evacuation; every other one finds it begun."""
    node = cluster.node(event.instance)
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    if event.time < node.launched:
        return Plan("the warning is older than the instance's last start", measures=(_count_duplicate(node),))
    return plan_for_warning(node, cluster, event.time, event.ending)


def plan_for_warning(node: Node, cluster: Cluster, time: float, ending: Ending) -> Plan:
    """EC2 has announced at ``time`` that the instance will end."""
    notice = notice_s(ending, cluster.timeouts)
    left = time + notice - cluster.now
    if left < -STALE:
        late = Measure(Metric.LATE_WARNINGS, instance=node.instance)
        return Plan(f"the warning's notice was over {-left:.0f} s ago, the node is {node.state}", (), (late,))
    reason = f"EC2 will {ending} it, {max(left, 0):.0f} s are left"
    disruption = Disruption(time, deadline(time, notice, cluster.now), reason, announced=True)
    return plan_for(node, cluster, disruption, Measure(Metric.INTERRUPTIONS, instance=node.instance))


def deadline(time: float, seconds: float, now: float) -> float:
    """Until when a node has to be empty that has so many seconds from ``time`` on.

    One that has outlived them gets as many again: it may live on, and would dip for nothing. If it ends after
    all, what could start elsewhere first was begun at once all the same.
    """
    return time + seconds if now <= time + seconds else now + seconds


def on_rebalance_recommended(event: RebalanceRecommended, cluster: Cluster) -> Plan:
    """As the cluster's settings says. At most once in a while for each node: most hints come to nothing."""
    node, wanted = cluster.node(event.instance), cluster.settings.recommendations
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    if wanted is Recommendations.IGNORE:
        return Plan("a rebalance recommendation: this cluster ignores them")
    if node.state is not NodeState.IN_SERVICE or event.time < max(node.launched, node.hinted):
        return Plan(f"a rebalance recommendation: already {node.state}", measures=(_count_duplicate(node),))
    if event.time + cluster.timeouts.recommendation_s <= cluster.now:
        return Plan(
            "a rebalance recommendation of long ago: nothing followed", measures=(_count_duplicate(node),)
        )
    if node.hinted and event.time < node.hinted + cluster.timeouts.recommendation_s:
        return Plan("a rebalance recommendation soon after the last one", measures=(_count_duplicate(node),))
    counted = Measure(Metric.RECOMMENDATIONS, instance=node.instance)
    if wanted is Recommendations.NOTE:
        noted = node.revise(hinted=event.time)
        return Plan("a rebalance recommendation: noted", (ReplaceRecord(node, noted),), (counted,))
    back = event.time + cluster.timeouts.recommendation_s
    reason = "EC2 recommends to leave it: evacuated for a while"
    disruption = Disruption(event.time, cluster.now + cluster.timeouts.evacuation_s, reason, back)
    after = begin(node, cluster.now, disruption, hinted=event.time)
    return Plan(reason, (ReplaceRecord(node, after), Dispatch(node.instance)), (counted,))


def on_evacuation_ordered(event: EvacuationOrdered, cluster: Cluster) -> Plan:
    """A person wants the node to be empty."""
    node = cluster.node(event.instance)
    if node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}")
    back = event.time + event.seconds + event.back if event.back else 0.0
    disruption = Disruption(event.time, event.time + event.seconds, "evacuated by hand", back)
    return plan_for(node, cluster, disruption)


def plan_for(node: Node, cluster: Cluster, disruption: Disruption, *counted: Measure) -> Plan:
    """The plan against a disruption; if it is known already, to send what is not sent.

    Recorded but not sent means that the first handler is still at it, or died.
    """
    after = apply(node, cluster.now, disruption)
    actions: tuple[Action, ...] = (Dispatch(node.instance),) if (after or node).is_unsent else ()
    if after is None:
        return Plan(f"already {node.state}", actions, (_count_duplicate(node),))
    return Plan(disruption.reason, (ReplaceRecord(node, after), *actions), counted)


def apply(node: Node, now: float, disruption: Disruption) -> Node | None:
    """The node once a disruption is known; None if that changes nothing.

    All disruptions to one life of an instance are one evacuation: a later one can only hurry it, begin it
    again where it had come to nothing, or make final what was to be given back.
    """
    if node.state in STANDING:
        return begin(node, now, disruption)
    final = _final(node, disruption)
    if node.state is NodeState.EVACUATED and final:
        return node.revise(due=None, reason=disruption.reason, **final)
    if node.state is not NodeState.EVACUATING:
        return None
    fresh = {
        "deadline": disruption.deadline,
        "command": "",
        "due": now,
        "attempts": 0,
        "reason": disruption.reason,
    }
    if (node.is_given_up or node.deadline <= now) and disruption.since > node.since + EARLIER:
        return node.revise(since=disruption.since, **fresh, **final)
    if disruption.deadline < node.deadline - EARLIER:
        return node.revise(**fresh, **final)
    return node.revise(**final) if final else None


def _final(node: Node, disruption: Disruption) -> dict[str, Any]:
    """What changes where a disruption lasts longer than what is known: for a while, to the end, for good."""
    spared = node.announced and not disruption.announced
    if disruption.back or not (node.back or node.drill or spared):
        return {}
    return {"back": 0.0, "drill": False, "announced": disruption.announced}


def notice_s(ending: Ending, timeouts: Timeouts) -> float:
    """Seconds between a warning and the end: none for hibernation, which begins at once."""
    return 0.0 if ending is Ending.HIBERNATE else timeouts.notice_s


def begin(node: Node, now: float, disruption: Disruption, *, hinted: float = 0.0) -> Node:
    """The node as it is when its evacuation begins; due at once."""
    return node.enter(
        NodeState.EVACUATING,
        since=disruption.since,
        deadline=disruption.deadline,
        due=now,
        reason=disruption.reason,
        back=disruption.back,
        announced=disruption.announced,
        drill=disruption.drill,
        hinted=hinted or node.hinted,
    )


def conclude(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """The node after an evacuate command: evacuated if the agent says that it is empty, else open again."""
    if report is None or report.fate not in DONE:
        return retry.after_failure(node, report, event, now)
    return node.enter(
        NodeState.EVACUATED,
        since=event.time,
        reason=f"{report.fate.value}: {report.detail}" if report.detail else report.fate.value,
        fate=report.fate.value,
        node=report.node or node.node,
        command=event.command,
        manager=event.manager,
        due=node.back or None,
    )


def _count_duplicate(node: Node) -> Measure:
    return Measure(Metric.DUPLICATES, instance=node.instance)
