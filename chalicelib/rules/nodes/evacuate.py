"""Evacuate: a node that is about to end is emptied in the time that is left.

Node, event -> plan:
    not known to end          warning, order, group, shutdown           evacuating, due at once
    evacuating                a nearer deadline                         sent again with that deadline
    evacuating gently         an announced end                          sent again with that end
    evacuating                the work was given up, or came late       begun again
    evacuating                a lasting reason after a passing one      not given back any more
    evacuated for a while     a lasting reason                          stays evacuated
    evacuated, but not empty  any of these, later                       begun again
    any other                 any of these                              a duplicate: send what is unsent
    evacuating                its command ended, and it is empty        evacuated
    evacuating                its command ended at the deadline         evacuated, with what is left on it

Gently: without an announced end. Recommendations, scheduled changes and drills wait for their turn before
(rules/nodes/turns.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.actions import Dispatch, Plan, ReplaceRecord
from chalicelib.events import InterruptionAction
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import Fate
from chalicelib.rules import retry
from chalicelib.state.lifecycle import STAYING, NodeState

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import (
        CommandFinished,
        EvacuationOrdered,
        SpotInterruptionWarning,
    )
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node
    from chalicelib.state.settings import Timeouts

EMPTIED = frozenset({Fate.SAFE, Fate.DRAINED, Fate.DOWN, Fate.ABSENT})
CUT_DOWN_S = 15.0  # by which the deadline of one batch may be before a node's own
SAME_TIME_S = 1.0  # disruptions and deadlines that differ by less are the same
# From so long after its notice on a warning is ignored: Lambda has made its retries, and at least four
# discoveries have shown the instance running, or its record would not say so.
STALE_S = 300.0


@dataclass(frozen=True, slots=True)
class Disruption:
    """Why a node has to be empty by ``deadline``; given back at ``back`` if that is not 0.

    ``announced``: EC2 ends the instance. Otherwise the node stays empty even if the instance survives.
    ``gentle``: nobody has said that the instance ends, so tasks without another place serve on.
    """

    since: float
    deadline: float
    reason: str
    back: float = 0.0
    announced: bool = False
    drill: bool = False
    gentle: bool = False


def on_spot_interruption_warning(event: SpotInterruptionWarning, node: Node, cluster: Cluster) -> Plan:
    """Begin the evacuation with the first warning; any other one finds it begun."""
    if event.time < node.launched:
        return _ignore("the warning is older than the instance's last start", node)
    return plan_for_warning(node, cluster, event.time, event.action)


def plan_for_warning(node: Node, cluster: Cluster, time: float, action: InterruptionAction) -> Plan:
    """Plan for an end of the instance that EC2 has announced at ``time``."""
    notice = notice_s(action, cluster.timeouts)
    left = time + notice - cluster.now
    if left < -STALE_S:
        late = Measure(Metric.LATE_WARNINGS, instance=node.instance)
        return Plan(f"the warning's notice was over {-left:.0f} s ago, the node is {node.state}", (), (late,))
    reason = f"EC2 will {action} it, {max(left, 0):.0f} s are left"
    disruption = Disruption(time, deadline(time, notice, cluster.now), reason, announced=True)
    return plan_for(node, cluster, disruption, Measure(Metric.INTERRUPTIONS, instance=node.instance))


def deadline(time: float, seconds: float, now: float) -> float:
    """Return the time by which a node has to be empty, ``seconds`` after ``time`` or after now.

    A node that has outlived them gets as many again: it may survive, and a hasty evacuation would cost
    replicas for nothing. If it ends after all, tasks that can start elsewhere first were begun at once.
    """
    return min(time, now) + seconds if now <= time + seconds else now + seconds


def on_evacuation_ordered(event: EvacuationOrdered, node: Node, cluster: Cluster) -> Plan:
    """Empty a node as a person ordered it."""
    back = event.time + event.seconds + event.back if event.back else 0.0
    disruption = Disruption(event.time, event.time + event.seconds, "evacuated by hand", back, gentle=True)
    return plan_for(node, cluster, disruption)


def plan_for(node: Node, cluster: Cluster, disruption: Disruption, *counted: Measure) -> Plan:
    """Plan for a disruption; if it is known already, send what is not sent.

    Work that is recorded but not sent means that the first handler still sends it, or has died.
    """
    after = apply(node, cluster.now, disruption)
    actions: tuple[Action, ...] = (Dispatch(node.instance),) if (after or node).is_unsent else ()
    if after is None:
        return _ignore(f"already {node.state}", node, actions)
    return Plan(disruption.reason, (ReplaceRecord(node, after), *actions), counted)


def apply(node: Node, now: float, disruption: Disruption) -> Node | None:
    """Return the node once a disruption is known; None for no change.

    All disruptions to one life of an instance are one evacuation: a later one can hurry it, begin it again
    if it came to nothing, or keep the node from being given back.
    """
    if node.state in STAYING:
        return begin(node, now, disruption)
    lasting = _make_lasting(node, disruption)
    ends_now = node.gentle and not disruption.gentle  # the end is announced that was not so far
    if node.is_left_unfinished and (ends_now or disruption.since > node.since + SAME_TIME_S):
        return begin(node, now, disruption)
    if node.state is NodeState.EVACUATED and lasting:
        return node.revise(due=None, reason=disruption.reason, **lasting)
    if node.state is not NodeState.EVACUATING:
        return None
    if disruption.gentle and not node.gentle:  # it cannot hurry what has an announced end
        return node.revise(**lasting) if lasting else None
    fresh = {
        "deadline": disruption.deadline,
        "command": "",
        "earlier": node.remember(),
        "due": now,
        "attempts": 0,
        "reason": disruption.reason,
        "gentle": disruption.gentle,
    }
    if (node.is_given_up or node.deadline <= now) and disruption.since > node.since + SAME_TIME_S:
        return node.revise(since=disruption.since, **fresh | lasting)
    if disruption.deadline < node.deadline - SAME_TIME_S or ends_now:
        return node.revise(**fresh | lasting)
    return node.revise(**lasting) if lasting else None


def _make_lasting(node: Node, disruption: Disruption) -> dict[str, Any]:
    """Return the changes by a disruption that lasts longer than the known one.

    The order is: for a while, until the announced end, for good.
    """
    outlasts_announced = node.announced and not disruption.announced
    if disruption.back or not (node.back or node.drill or outlasts_announced):
        return {}
    gentle = node.gentle and disruption.gentle
    return {"back": 0.0, "drill": False, "announced": disruption.announced, "gentle": gentle}


def notice_s(action: InterruptionAction, timeouts: Timeouts) -> float:
    """Return the seconds between a warning and the end: none for hibernation, which begins at once."""
    return 0.0 if action is InterruptionAction.HIBERNATE else timeouts.notice_s


def begin(node: Node, now: float, disruption: Disruption) -> Node:
    """Return the node at the beginning of its evacuation, due at once."""
    return node.enter(
        NodeState.EVACUATING,
        since=disruption.since,
        deadline=disruption.deadline,
        due=now,
        reason=disruption.reason,
        back=disruption.back,
        announced=disruption.announced,
        drill=disruption.drill,
        gentle=disruption.gentle,
    )


def conclude(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """Return the node after an evacuate command: evacuated if it is empty, else open again.

    At its deadline an evacuation ends, whatever is left: a job that runs for hours would keep it open for
    ever, and each repetition would find the same.
    """
    if report is None or not (report.fate in EMPTIED or _is_over(node, report, now)):
        return retry.after_failure(node, report, event, now)
    return node.enter(
        NodeState.EVACUATED,
        since=event.time,
        reason=retry.explain(report, event),
        fate=report.fate.value,
        node=report.node or node.node,
        labels=report.labels or node.labels,
        command=event.command,
        manager=event.manager,
        due=node.back or None,
    )


def _is_over(node: Node, report: NodeReport, now: float) -> bool:
    return report.fate is Fate.UNFINISHED and node.deadline <= now + CUT_DOWN_S


def _ignore(reason: str, node: Node, actions: tuple[Action, ...] = ()) -> Plan:
    """Count a duplicate."""
    return Plan(reason, actions, (Measure(Metric.DUPLICATES, instance=node.instance),))
