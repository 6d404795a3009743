"""When work that failed is tried again: at once while that can still help, then ever more rarely."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from chalicelib.protocol.messages import AgentTask, Fate

if TYPE_CHECKING:
    from chalicelib.events import CommandFinished
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.node import Node

IMMEDIATE_ATTEMPTS = 4  # commands that may follow each other without a pause: each manager once, and one more
FIRST_BACK_OFF_S = 15.0  # seconds; doubled with each further attempt
LONGEST_BACK_OFF_S = 300.0
MAX_ATTEMPTS_WITHOUT_SWARM = (
    6  # attempts that waiting for a swarm to join costs at most: the longest pause, and others are left
)
JITTER = 0.3  # the part of a pause that chance may take away

# The swarm itself said "not now": another manager would say the same.
NOT_NOW = frozenset({Fate.ALIVE, Fate.KEPT, Fate.UNFINISHED})


def after_failure(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """The node with its work open again; the reason is the agent's own, else the command's."""
    reason = explain(report, event)
    if report is None and node.attempts < IMMEDIATE_ATTEMPTS:
        return node.reopen(due=now, reason=reason)
    fate = report.fate.value if report else ""
    if report and report.fate not in NOT_NOW and node.attempts < IMMEDIATE_ATTEMPTS:
        return node.reopen(due=now, reason=reason, fate=fate)
    return node.reopen(due=now + back_off(node.attempts, node.instance), reason=reason, fate=fate)


def explain(report: NodeReport | None, event: CommandFinished) -> str:
    """Why the work on one node is not done."""
    if report is not None:
        return f"{report.fate.value}: {report.detail}" if report.detail else report.fate.value
    if event.result is None:
        return event.failure
    return event.result.error or "the agent did not report on this node"


def summarize(event: CommandFinished) -> str:
    """What a host answered, or why it did not, in a line."""
    if event.result is None:
        return event.failure
    rows = [f"{report.instance} {explain(report, event)}" for report in event.result.nodes]
    rows += [f"{row.service} {row.balance.value}: {row.reason}" for row in event.result.spreads[:20]]
    if event.task is AgentTask.REBALANCE and not rows and "balanced" in event.result.facts:
        rows = [f"nothing to move, {event.result.facts['balanced']} services are balanced already"]
    said = event.result.error or "; ".join(rows) or str(event.result.facts.get("reason", ""))
    if event.result.wait > 0:
        return f"put off for {event.result.wait:.0f} s" + (f": {said}" if said else "")
    return said or ("done" if event.result.ok else "not done")


def back_off(attempts: int, instance: str) -> float:
    """Seconds until the next attempt: exponential, with jitter so that what failed together comes apart.

    The jitter is the same for the same attempt, so that rules stay pure.
    """
    longest = min(FIRST_BACK_OFF_S * 2.0 ** min(max(attempts - 1, 0), 10), LONGEST_BACK_OFF_S)
    return longest * (1.0 - JITTER * (crc32(f"{instance} {attempts}".encode()) % 1000) / 1000)
