"""Nobody leaves on one manager's word: two say the same, or the only one there is says it twice.

    a manager's word, in an activation or a give-back    record
    the first                                            the same state, open again for another manager
    another manager's                                    it counts (rules/nodes/join.py, give_back.py)
    the only manager's, a period later                   it counts
    the same manager's, though there are others          the same state, open again after a back-off

Inspections (rules/reconcile/swarm.py) use the same measure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.protocol.messages import AgentTask, Fate
from chalicelib.rules import retry
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.events import CommandFinished
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

PERIOD_S = 60.0  # between two words of the only manager; a sick leader lists what it knows for some 15 s
# What a host leaves for: its record joins anew with its node id.
DISOWNED = {
    AgentTask.ACTIVATE: frozenset({Fate.ABSENT, Fate.ANOTHERS}),
    AgentTask.GIVE_BACK: frozenset({Fate.ABSENT}),
}


def bears_out(first: str, at: float, manager: str, time: float, *, only_after_s: float | None) -> bool:
    """Whether a manager's word bears out what the ``first`` one said ``at`` a time.

    ``only_after_s``: the seconds after which the only manager is believed; None where there are others.
    """
    if not first:
        return False
    return first != manager or (only_after_s is not None and time >= at + only_after_s)


def needs_second(node: Node, report: NodeReport | None, event: CommandFinished, cluster: Cluster) -> bool:
    """Whether a report would have the host leave, and is only the first word for that."""
    if report is None or report.fate not in DISOWNED.get(event.task, ()):
        return False
    only_after_s = PERIOD_S if _is_only(node, event, cluster) else None
    first, at = node.doubted_by, node.doubted_at
    return not bears_out(first, at, event.manager, cluster.now, only_after_s=only_after_s)


def ask_again(node: Node, report: NodeReport, event: CommandFinished, cluster: Cluster) -> Node:
    """Return the record with its work open for a second word, and with who gave the first one."""
    now, is_only = cluster.now, _is_only(node, event, cluster)
    is_first = not node.doubted_by
    pause_s = PERIOD_S if is_only else 0.0 if is_first else retry.back_off(node.attempts, node.instance)
    whom = "it is asked again" if is_only else "another manager is asked"
    reason = f"{event.manager} says: {report.detail or report.fate.value}; {whom}"
    after = node.reopen(due=now + pause_s, reason=reason, fate=report.fate.value)
    return replace(after, doubted_by=event.manager, doubted_at=now) if is_first else after


def _is_only(node: Node, event: CommandFinished, cluster: Cluster) -> bool:
    """Whether no other manager is known that could be asked."""
    known = [one for one in cluster.nodes if one.instance in cluster.managers]
    serving = (one for one in known if one.state is NodeState.IN_SERVICE and one.node)
    proven = [one for one in serving if not one.only_tagged]
    return not {one.instance for one in proven or known} - {event.manager, node.instance}
