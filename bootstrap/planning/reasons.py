"""Why a service's plan is as it is, in words for people: what stands in the way is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bootstrap.planning.candidates import Candidates
from bootstrap.planning.moves import fullest_count

LISTED_HOSTS = 3  # host names that a reason gives at most
LISTED_COUNTS = 4  # different counts that a reason gives one by one at most

Counts = Mapping[str, int]


def for_balanced(candidates: Candidates) -> str:
    """Say why a service is left as it is."""
    if not candidates.before:
        return "balanced: it has no task"
    rules = _rules(candidates, candidates.before)
    state = "as even as the rules allow" if rules else "balanced"
    return f"{state}: {stands(candidates, candidates.before)}{rules}"


def for_limited(least: int) -> str:
    """Say why a service does not move: the limit on all moves leaves none for it."""
    return f"left as it is: {least} moves would even it, but the limit on all moves is reached"


def for_moved(candidates: Candidates, after: Counts, tasks: int, need: int) -> str:
    """Say why so many ``tasks`` move, of the ``need`` that would without a limit."""
    total = sum(candidates.before.values())
    now, then = stands(candidates, candidates.before), stands(candidates, after)
    change = f"{tasks} of {total} tasks move: {now}, then {then}"
    if tasks < need:
        return f"{change}; {need - tasks} more would even it, but the limit on all moves is reached"
    return change + _rules(candidates, after)


def for_surged(candidates: Candidates, after: Counts, best: Counts, tasks: int, need: int) -> str:
    """Say how far a surge can change a service with placement preferences."""
    why = for_moved(candidates, after, tasks, need)
    if tasks == need and any(
        one > two for one, two in zip(_gaps(candidates, after), _gaps(candidates, best), strict=True)
    ):
        why += f"; rolling may be needed for more: {_limits(candidates)}"
    return why


def for_unreachable(candidates: Candidates, least: int) -> str:
    """Say why a surge would not make a service more even."""
    return f"left as it is: {least} moves would even it, but rolling would be needed: {_limits(candidates)}"


def stands(candidates: Candidates, counts: Counts) -> str:
    """Tell how tasks stand on the nodes: ``9 on 1 node, 0 on 2 nodes``, the fullest first."""
    total = sum(candidates.sizes.values())
    report = Counter(count for count in counts.values() if count)
    report[0] = total - report.total()
    rows = sorted((+report).items(), reverse=True)
    if len(rows) > LISTED_COUNTS:
        return f"{rows[-1][0]} to {rows[0][0]} on {total} nodes"
    return ", ".join(f"{height} on {number} node{'s' * (number > 1)}" for height, number in rows)


def _gaps(candidates: Candidates, counts: Counts) -> tuple[int, int]:
    """Tell by how much the outermost groups differ, and how full the fullest node is."""
    totals = candidates.group.totals(counts)
    outer = [totals[(key,)] for key, size in candidates.sizes.items() if size]
    return max(outer) - min(outer), fullest_count(counts)


def _limits(candidates: Candidates) -> str:
    sizes = [size for size in candidates.sizes.values() if size]
    uneven = f", and the groups have {min(sizes)} to {max(sizes)} nodes" if len(set(sizes)) > 1 else ""
    return f"Swarm's scale-down knows no placement preferences{uneven}"


def _rules(candidates: Candidates, after: Counts) -> str:
    """Say what keeps a distribution from being even over all nodes; "" where it is."""
    least = 0 if len(after) < sum(candidates.sizes.values()) else min(after.values())
    if max(after.values()) - least <= 1:
        return ""
    rules = [f"{rule} on {_hosts(hosts)}" for rule, hosts in sorted(candidates.limiting_rules(after).items())]
    if candidates.group.groups:
        rules.append(f"first even over {', '.join(candidates.service.spread_over)}")
    return f" (in the way: {'; '.join(rules)})" if rules else ""


def _hosts(hosts: list[str]) -> str:
    more = len(hosts) - LISTED_HOSTS
    return ", ".join(sorted(hosts)[:LISTED_HOSTS]) + (f" and {more} more" if more > 0 else "")
