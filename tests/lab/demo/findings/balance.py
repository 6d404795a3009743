"""How evenly the opted-in services stood when the replacement came, and in the end. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.lab.demo.findings.moves import unknown_tasks
from tests.lab.demo.observation import Observation
from tests.lab.observe.watch import Listing
from tests.lab.swarm.services import BALANCED

Spread = dict[str, int]  # running tasks by host name


@dataclass(frozen=True)
class Balance:
    """One service: its tasks on the hosts that may have some, the moves it takes at least, those made."""

    service: str
    before: Spread
    after: Spread
    least: int
    started: int

    @property
    def apart(self) -> int:
        """The fullest host against the emptiest, at the end."""
        return max(self.after.values(), default=0) - min(self.after.values(), default=0)


def balances(seen: Observation) -> tuple[Balance, ...]:
    """Every opted-in service; none where no replacement came into service.

    They may run on every node (services.py sets them no constraint), so the even spread is simple here and
    the product's own planner is not asked.
    """
    if not seen.renewed:
        return ()
    first, last = seen.renewed[0], seen.renewed[-1]
    return tuple(_balance(seen, name, spread(first, name), spread(last, name)) for name in BALANCED)


def _balance(seen: Observation, service: str, before: Spread, after: Spread) -> Balance:
    started = unknown_tasks(seen.renewed[0].tasks, seen.renewed, {service})
    return Balance(service, before, after, least(before), len(started))


def spread(listing: Listing, service: str) -> Spread:
    """Count the service's running tasks on each active node, by host name."""
    places = {node.id: node.name for node in listing.nodes if _usable(node.state, node.availability)}
    counts = Counter(task.node for task in listing.tasks if task.service == service and task.running)
    return {name: counts[key] for key, name in sorted(places.items(), key=lambda pair: pair[1])}


def least(places: Spread) -> int:
    """Count the fewest tasks that have to move until no two hosts are more than one apart."""
    if not places:
        return 0
    whole, more = divmod(sum(places.values()), len(places))
    even = [whole + 1] * more + [whole] * (len(places) - more)
    return sum(
        max(0, here - there) for here, there in zip(sorted(places.values(), reverse=True), even, strict=True)
    )


def _usable(state: str, availability: str) -> bool:
    return (state, availability) == ("ready", "active")
