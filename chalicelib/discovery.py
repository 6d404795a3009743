"""Which instances and clusters exist: EC2 is asked for all at once, and rarely, however many events ask.

A snapshot is answered as (cluster, event) pairs, which the pipeline follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chalicelib.adapters.patience import jittered_s
from chalicelib.errors import DiscoveryLateError, RefusedError, ThrottledError
from chalicelib.events import DiscoveryFailed, InstancesDiscovered
from chalicelib.observability import warn

if TYPE_CHECKING:
    from chalicelib.adapters.ports import World
    from chalicelib.state.instance import DiscoveredInstance

NO_CLUSTER = "*"  # in place of a cluster, where none can be named
MIN_INTERVAL_S = 2.0  # between the starts of two discoveries, however many events ask for one
CLAIM_S = 30.0  # for one discovery; then another handler takes it over. In a storm it takes long
MAX_WAIT_S = 40.0  # that an event waits for a discovery: what is sent then is still inside a Spot notice
FIRST_POLL_S = 1.0  # about as long as a discovery takes at least
MAX_POLL_S = 10.0  # between two polls of a handler that waits


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One discovery, begun at ``taken``: what it found out of each cluster, as events to follow in order."""

    taken: float
    events: tuple[tuple[str, InstancesDiscovered | DiscoveryFailed], ...]
    clusters: tuple[str, ...]


@dataclass(slots=True)
class OwnerSearch:
    """The search for the cluster of an instance that has no recorded owner.

    ``since``: a discovery that was taken from then on counts. ``until``: then the search is given up.
    ``waits``: whether it waits for the discovery of another handler, or leaves the instance to the tick.
    """

    instance: str
    since: float
    until: float
    waits: bool = True
    owner: str | None = None
    polls: int = 0

    def needs_discovery(self, world: World) -> bool:
        """Wait for a discovery that counts; True if this handler has claimed it and has to take it.

        After False, ``owner`` is the answer: an instance that such a discovery does not show is unmanaged,
        or the tick's, where the search does not wait.
        Raises DiscoveryLateError if it takes too long.
        """
        while True:
            discovery, self.owner = world.discoveries.look_up(self.instance)
            if self.owner:
                return False
            if discovery.taken >= self.since:
                # Read once more, after the discovery: an owner that is missing then was missing in it.
                self.owner = world.nodes.find_owner(self.instance)
                return False
            now = world.clock.now()
            if now >= self.until:
                raise DiscoveryLateError(
                    f"no discovery within {MAX_WAIT_S:.0f} s, so it is open whose {self.instance} is: see EC2"
                )
            is_free = discovery.busy_until <= now and discovery.taken + MIN_INTERVAL_S <= now
            if is_free and world.discoveries.begin(discovery, now, CLAIM_S):
                return True
            if not self.waits:
                return False
            world.clock.sleep(min(self._poll_s(), self.until - now))
            self.polls += 1

    def _poll_s(self) -> float:
        """Answer ever longer intervals: in a storm hundreds wait, and keep the table from who takes it."""
        return jittered_s(FIRST_POLL_S, self.polls, MAX_POLL_S)


def begin_search(instance: str, time: float, now: float, *, waits: bool) -> OwnerSearch:
    """Begin the search for the owner of an instance that an event of ``time`` names."""
    return OwnerSearch(instance, min(time, now), now + MAX_WAIT_S, waits)


def take_snapshot(world: World, *, hurried: bool) -> Snapshot:
    """Ask EC2 for all instances; Auto Scaling, too, unless ``hurried``: an event waits for the answer."""
    taken = world.clock.now()
    instances, failed = world.ec2.discover(), None
    if not hurried:
        instances, failed = _add_lifecycle_actions(instances, world)
    found = {discovered.cluster for discovered in instances}
    clusters = tuple(sorted(found | set(world.discoveries.latest().clusters)))
    discovered = [
        (cluster, InstancesDiscovered(taken, _only(cluster, instances), hurried)) for cluster in clusters
    ]
    return Snapshot(taken, (*([(NO_CLUSTER, failed)] if failed else []), *discovered), clusters)


def report_failure(error: Exception, world: World) -> Snapshot:
    """Answer for a discovery that failed: an event that notifies people, and the clusters of the last one."""
    last = world.discoveries.latest()
    failed = DiscoveryFailed(world.clock.now(), "instances", str(error), last.taken)
    return Snapshot(last.taken, ((NO_CLUSTER, failed),), last.clusters)


def _only(cluster: str, instances: tuple[DiscoveredInstance, ...]) -> tuple[DiscoveredInstance, ...]:
    return tuple(discovered for discovered in instances if discovered.cluster == cluster)


def _add_lifecycle_actions(
    instances: tuple[DiscoveredInstance, ...], world: World
) -> tuple[tuple[DiscoveredInstance, ...], DiscoveryFailed | None]:
    """Add the lifecycle actions for which groups wait: their events may be lost, or came too early."""
    groups = {discovered.group for discovered in instances} - {""}
    if not groups:
        return instances, None
    try:
        actions = world.autoscaling.list_open(groups, world.clock.now())
    except ThrottledError as error:
        warn(f"hooks whose events were lost are looked for by the next tick: {error}")
        return instances, None
    except RefusedError as error:
        warn(f"hooks whose events were lost cannot be looked for: {error}")
        return instances, DiscoveryFailed(world.clock.now(), "groups", str(error))
    return tuple(replace(one, hooks=actions.get(one.instance, ())) for one in instances), None
