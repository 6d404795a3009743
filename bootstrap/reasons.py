"""Why a spread is as it is, in words for people: what stands in the way is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bootstrap.even import squares
from bootstrap.ground import Ground
from bootstrap.moves import moves

LISTED = 3  # host names that a reason gives at most
TALLIES = 4  # different counts that a reason gives one by one at most

Counts = Mapping[str, int]


def balanced(ground: Ground) -> str:
    """Of a service that is left as it is."""
    if not ground.before:
        return "balanced: it has no task"
    rules = _rules(ground, ground.before)
    return f"{'as even as the rules allow' if rules else 'balanced'}: {stands(ground, ground.before)}{rules}"


def moved(ground: Ground, after: Counts, tasks: int) -> str:
    """Of a service that changes."""
    total = sum(ground.before.values())
    change = f"{stands(ground, ground.before)}, then {stands(ground, after)}"
    return f"{tasks} of {total} tasks move: {change}{_rules(ground, after)}"


def surged(ground: Ground, after: Counts, best: Counts, tasks: int) -> str:
    """What a surge over groups costs or leaves undone; "" where it does all that any other way could."""
    if squares(ground.group, after) > squares(ground.group, best):
        return f"; rolling would be needed for more: {_limits(ground)}"
    least = moves(ground.before, best)
    more = "; Swarm fills all groups up before one node, so a surge takes more than the {} that have to move"
    return more.format(least) if tasks > least else ""


def unreachable(ground: Ground, best: Counts, share: int | None) -> str:
    """Of a service that a surge would not make more even."""
    wish = f"{moves(ground.before, best)} moves would be right"
    if share is not None:
        return f"left as it is: {wish}, {share} are allowed, and with so few it would not become more even"
    return f"left as it is: {wish}, but a surge cannot make them, rolling would be needed: {_limits(ground)}"


def cut(least: int, share: int | None) -> str:
    """How many moves the limit on all of them took away."""
    over = 0 if share is None else max(0, least - share)
    return f"; {over} more would even it, but the limit on all moves is reached" if over else ""


def stands(ground: Ground, counts: Counts) -> str:
    """How tasks stand on the nodes: ``9 on 1 node, 0 on 2 nodes``, the fullest first."""
    nodes = [counts.get(node, 0) for node in ground.group.all_nodes()]
    rows = sorted(Counter(nodes).items(), reverse=True)
    if len(rows) > TALLIES:
        return f"{rows[-1][0]} to {rows[0][0]} on {len(nodes)} nodes"
    return ", ".join(f"{height} on {number} node{'s' * (number > 1)}" for height, number in rows)


def _limits(ground: Ground) -> str:
    sizes = [len(list(part.all_nodes())) for part in ground.group.groups.values()]
    uneven = f", and the groups have {min(sizes)} to {max(sizes)} nodes" if len(set(sizes)) > 1 else ""
    return f"Swarm's scale-down knows no placement preferences{uneven}"


def _rules(ground: Ground, after: Counts) -> str:
    """What keeps a spread from being even over all nodes; "" where it is."""
    counts = [after.get(node, 0) for node in ground.group.all_nodes()]
    if not counts or max(counts) - min(counts) <= 1:
        return ""
    rules = [f"{rule} on {_hosts(hosts)}" for rule, hosts in sorted(ground.short(after).items())]
    if ground.group.groups:
        rules.append(f"first even over {', '.join(ground.service.spread_over)}")
    return f" (in the way: {'; '.join(rules)})" if rules else ""


def _hosts(hosts: list[str]) -> str:
    more = len(hosts) - LISTED
    return ", ".join(sorted(hosts)[:LISTED]) + (f" and {more} more" if more > 0 else "")
