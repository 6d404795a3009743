"""When failed work is tried again: at once while another manager may help, then with a growing back-off.

Failure -> next attempt:
    the command or the host failed       at once, IMMEDIATE_ATTEMPTS times; then after a back-off
    the agent failed on this node        likewise; an evacuation several times before its deadline
    the swarm said "not now" (NOT_NOW)   after a back-off: another manager would say the same
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from chalicelib.protocol.messages import AgentTask, Fate
from chalicelib.state.lifecycle import MAX_ATTEMPTS

if TYPE_CHECKING:
    from chalicelib.events import CommandFinished
    from chalicelib.protocol.messages import NodeReport
    from chalicelib.state.node import Node

IMMEDIATE_ATTEMPTS = 4  # without a back-off between them: each of three managers once, and one more
FIRST_BACK_OFF_S = 15.0
LONGEST_BACK_OFF_S = 300.0
MAX_SAID = 4000  # characters of what a host has said of all its nodes, in a record or message
MAX_DOUBLINGS = 10  # more would overflow after a long row of failures
JITTER = 0.3  # the part of a back-off that the jitter may take away
# Waiting for a swarm to join costs no more attempts than this: the back-off is the longest by then.
MAX_ATTEMPTS_WITHOUT_SWARM = 6
NOT_NOW = frozenset({Fate.ALIVE, Fate.KEPT, Fate.UNFINISHED})


def exponential_s(first_s: float, doublings: int, longest_s: float) -> float:
    """Return ``first_s``, doubled so many times, but at most ``longest_s``."""
    return min(first_s * 2.0 ** min(max(doublings, 0), MAX_DOUBLINGS), longest_s)


def back_off(attempts: int, name: str) -> float:
    """Return the seconds until the next attempt, with jitter that separates what failed together.

    The jitter follows from name and attempt, so that rules stay pure.
    """
    longest = exponential_s(FIRST_BACK_OFF_S, attempts - 1, LONGEST_BACK_OFF_S)
    return longest * (1.0 - JITTER * (crc32(f"{name} {attempts}".encode()) % 1000) / 1000)


def after_failure(node: Node, report: NodeReport | None, event: CommandFinished, now: float) -> Node:
    """Return the node with its work open again; the reason is the agent's, else the command's."""
    reason = explain(report, event)
    fate = report.fate.value if report else ""
    not_now = report is not None and report.fate in NOT_NOW
    if not not_now and node.attempts < IMMEDIATE_ATTEMPTS:
        return node.reopen(due=now, reason=reason, fate=fate)
    pause = back_off(node.attempts, node.instance)
    if not not_now:
        pause = min(pause, _share_of_time_left(node, now))
    return node.reopen(due=now + pause, reason=reason, fate=fate)


def _share_of_time_left(node: Node, now: float) -> float:
    """Return the seconds between attempts that are spread until the deadline; no limit past it.

    A hung leader has all managers fail for some 20 s, until they have elected another one (measured): four
    attempts are made by then, and the back-off that follows four is longer than what a warning leaves.
    """
    if node.task is not AgentTask.EVACUATE or now >= node.deadline:
        return LONGEST_BACK_OFF_S
    attempts_left = MAX_ATTEMPTS[AgentTask.EVACUATE] - node.attempts
    return (node.deadline - now) / (max(attempts_left, 0) + 1)


def explain(report: NodeReport | None, event: CommandFinished) -> str:
    """Explain why the work on one node is not done."""
    if report is not None:
        return f"{report.fate.value}: {report.detail}" if report.detail else report.fate.value
    if event.result is None:
        return event.failure
    return event.result.error or "the agent did not report on this node"


def summarize(event: CommandFinished) -> str:
    """Summarize in a line what a host answered, or why it did not."""
    if event.result is None:
        return event.failure
    rows = [f"{report.instance} {explain(report, event)}" for report in event.result.nodes]
    rows += [f"{row.service} {row.balance.value}: {row.reason}" for row in event.result.spreads[:20]]
    if event.task is AgentTask.REBALANCE and not rows and "balanced" in event.result.facts:
        rows = [f"nothing to move, {event.result.facts['balanced']} services are balanced already"]
    said = (event.result.error or "; ".join(rows) or str(event.result.facts.get("reason", "")))[:MAX_SAID]
    if event.result.wait > 0:
        return f"put off for {event.result.wait:.0f} s" + (f": {said}" if said else "")
    return said or ("done" if event.result.ok else "not done")
