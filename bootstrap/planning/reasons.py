"""Why a spread is as it is, in words for people: what stands in the way is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bootstrap.planning.candidates import Ground
from bootstrap.planning.moves import fullest

LISTED = 3  # host names that a reason gives at most
TALLIES = 4  # different counts that a reason gives one by one at most

Counts = Mapping[str, int]


def balanced(ground: Ground) -> str:
    """Of a service that is left as it is."""
    if not ground.before:
        return "balanced: it has no task"
    rules = _rules(ground, ground.before)
    return f"{'as even as the rules allow' if rules else 'balanced'}: {stands(ground, ground.before)}{rules}"


def held(least: int) -> str:
    """Of a service for which the limit on all moves leaves none."""
    return f"left as it is: {least} moves would even it, but the limit on all moves is reached"


def moved(ground: Ground, after: Counts, tasks: int, need: int) -> str:
    """Of a service of which so many ``tasks`` move, of the ``need`` that would without a limit."""
    total = sum(ground.before.values())
    change = f"{tasks} of {total} tasks move: {stands(ground, ground.before)}, then {stands(ground, after)}"
    if tasks < need:
        return f"{change}; {need - tasks} more would even it, but the limit on all moves is reached"
    return change + _rules(ground, after)


def surged(ground: Ground, after: Counts, best: Counts, tasks: int, need: int) -> str:
    """Of a service with placement preferences that changes as far as a surge can change it."""
    why = moved(ground, after, tasks, need)
    if tasks == need and any(
        one > two for one, two in zip(_gaps(ground, after), _gaps(ground, best), strict=True)
    ):
        why += f"; rolling may be needed for more: {_limits(ground)}"
    return why


def unreachable(ground: Ground, least: int) -> str:
    """Of a service that a surge would not make more even."""
    return f"left as it is: {least} moves would even it, but rolling would be needed: {_limits(ground)}"


def stands(ground: Ground, counts: Counts) -> str:
    """How tasks stand on the nodes: ``9 on 1 node, 0 on 2 nodes``, the fullest first."""
    total = sum(ground.sizes.values())
    tally = Counter(count for count in counts.values() if count)
    tally[0] = total - tally.total()
    rows = sorted((+tally).items(), reverse=True)
    if len(rows) > TALLIES:
        return f"{rows[-1][0]} to {rows[0][0]} on {total} nodes"
    return ", ".join(f"{height} on {number} node{'s' * (number > 1)}" for height, number in rows)


def _gaps(ground: Ground, counts: Counts) -> tuple[int, int]:
    """By how much the outermost groups differ, and how full the fullest node is."""
    tallies = ground.group.tallies(counts)
    outer = [tallies[(key,)] for key, size in ground.sizes.items() if size]
    return max(outer) - min(outer), fullest(counts)


def _limits(ground: Ground) -> str:
    sizes = [size for size in ground.sizes.values() if size]
    uneven = f", and the groups have {min(sizes)} to {max(sizes)} nodes" if len(set(sizes)) > 1 else ""
    return f"Swarm's scale-down knows no placement preferences{uneven}"


def _rules(ground: Ground, after: Counts) -> str:
    """What keeps a spread from being even over all nodes; "" where it is."""
    least = 0 if len(after) < sum(ground.sizes.values()) else min(after.values())
    if max(after.values()) - least <= 1:
        return ""
    rules = [f"{rule} on {_hosts(hosts)}" for rule, hosts in sorted(ground.short(after).items())]
    if ground.group.groups:
        rules.append(f"first even over {', '.join(ground.service.spread_over)}")
    return f" (in the way: {'; '.join(rules)})" if rules else ""


def _hosts(hosts: list[str]) -> str:
    more = len(hosts) - LISTED
    return ", ".join(sorted(hosts)[:LISTED]) + (f" and {more} more" if more > 0 else "")
