"""Whose instance is it? EC2 is asked for all at once, and rarely, however many events want to know."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.errors import DiscoveryLateError, RefusedError, ThrottledError
from chalicelib.events import DiscoveryFailed, InstancesDiscovered
from chalicelib.observability import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chalicelib.adapters.ports import World
    from chalicelib.events import Event
    from chalicelib.state.instance import DiscoveredInstance

    Follow = Callable[[Event, str, World], Iterator[str]]

NO_CLUSTER = "*"  # in place of a cluster, where none can be named
APART = 2.0  # seconds between the starts of two discoveries, however many events ask for one
BUSY = 30.0  # seconds that one may take before another handler takes it over; in a storm it takes long
PATIENCE = 40.0  # seconds that an event waits for one: what is sent then is still inside a Spot notice
LOOK = 10.0  # seconds at most between two looks of who waits


def find(instance: str, time: float, world: World, follow: Follow) -> str | None:
    """The cluster of an instance of which an event at ``time`` told; None if it belongs to none.

    An unknown instance is unmanaged if no discovery after the event shows it; until there is one, this
    takes it or waits for who does. Raises DiscoveryLateError if that takes too long.
    """
    if home := world.nodes.find_owner(instance):
        return home
    now = world.clock.now()
    wanted, until, looks = min(time, now), now + PATIENCE, 0
    while True:
        # The discovery is read before the home: a home that is missing after it was missing in it.
        discovery = world.discoveries.latest()
        over = discovery.taken >= wanted
        # An owner is recorded before its discovery ends, but unmanaged ones need not ask each time.
        if (over or looks % 2) and (home := world.nodes.find_owner(instance)):
            return home
        if over:
            return None
        now = world.clock.now()
        if now >= until:
            raise DiscoveryLateError(
                f"no discovery within {PATIENCE:.0f} s, so it is open whose {instance} is: see EC2"
            )
        free = discovery.busy_until <= now and discovery.taken + APART <= now
        if free and world.discoveries.begin(discovery, now, BUSY):
            try:
                take(world, follow, hurried=True)
            except ExceptionGroup:
                if home := world.nodes.find_owner(instance):  # what failed were other clusters
                    return home
                raise
            continue
        # Ever more rarely: in a storm hundreds wait for one discovery, and keep the table from who takes it.
        pause = random.uniform(0.5, 1.0) * min(0.5 * 2.0**looks, LOOK)  # noqa: S311 - jitter
        world.clock.sleep(min(pause, until - now))
        looks += 1


def take(world: World, follow: Follow, *, hurried: bool = False) -> list[str]:
    """Take a discovery and bring the records of every cluster in line with it; answers the clusters' names.

    Once it counts as taken, whoever it saw has a home and a record. For a hurried one that is all, so that
    events do not wait for more: the tick, which asks EC2 each minute whatever was taken, does the rest. It
    looks for lifecycle actions, too: events before EC2 listed an instance were ignored.
    Failures of single clusters are raised together at the end; the discovery then does not count as taken.
    """
    began = world.clock.now()
    instances = world.ec2.discover() if hurried else _held(world.ec2.discover(), world, follow)
    found = {discovered.cluster for discovered in instances}
    clusters = sorted(found | set(world.discoveries.latest().clusters))
    failures: list[Exception] = []
    for cluster in clusters:
        mine = tuple(discovered for discovered in instances if discovered.cluster == cluster)
        try:
            list(follow(InstancesDiscovered(began, mine, hurried), cluster, world))
        except Exception as error:  # noqa: BLE001 - raised below, after the other clusters had their turn
            failures.append(error)
    if failures:
        raise ExceptionGroup("the discovery could not be recorded in some clusters", failures)
    world.discoveries.finish(began, clusters)
    return clusters


def missed(error: Exception, world: World, follow: Follow) -> list[str]:
    """The clusters that the last discovery found, after one that failed; people hear of it in time."""
    discovery = world.discoveries.latest()
    _tell(DiscoveryFailed(world.clock.now(), "instances", str(error), discovery.taken), world, follow)
    return list(discovery.clusters)


def _tell(failed: DiscoveryFailed, world: World, follow: Follow) -> None:
    with suppress(Exception):  # a message that cannot be recorded must not cost the clusters their turn
        list(follow(failed, NO_CLUSTER, world))


def _held(
    instances: tuple[DiscoveredInstance, ...], world: World, follow: Follow
) -> tuple[DiscoveredInstance, ...]:
    """With the lifecycle actions for which their groups wait, as their events may be lost."""
    groups = {discovered.group for discovered in instances} - {""}
    if not groups:
        return instances
    try:
        held = world.autoscaling.list_open(groups, world.clock.now())
    except ThrottledError as error:
        warn(f"hooks whose events were lost are looked for by the next tick: {error}")
        return instances
    except RefusedError as error:
        warn(f"hooks whose events were lost cannot be looked for: {error}")
        _tell(DiscoveryFailed(world.clock.now(), "groups", str(error)), world, follow)
        return instances
    return tuple(replace(one, hooks=held.get(one.instance, ())) for one in instances)
