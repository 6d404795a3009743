"""Find the clusters that an event from outside concerns, and have the pipeline follow it in each.

Discoveries belong here too: what they find out is followed cluster by cluster, as events.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from chalicelib import observability
from chalicelib.actions import Watch
from chalicelib.adapters.patience import Patience, jittered_s
from chalicelib.adapters.ports import World
from chalicelib.adapters.wiring import connected
from chalicelib.delivery.watch import hedge_after_s, watch_evacuations
from chalicelib.discovery import NO_CLUSTER, begin_search, report_failure, take_snapshot
from chalicelib.errors import HybridError, MalformedError, RefusedError, ThrottledError
from chalicelib.events import (
    IN_FLIGHT,
    UNKNOWN,
    Answer,
    FleetChange,
    FleetFailed,
    FleetInstanceChanged,
    FleetNoted,
    HealthNotice,
    InstanceStateChanged,
    InvocationEnded,
    RebalanceRecommended,
    SpotInterruptionWarning,
    SpotRequestFulfilled,
    Tick,
    finish_command,
    parse_comment,
)
from chalicelib.metrics import Metric
from chalicelib.pipeline import follow
from chalicelib.state.instance import InstanceState
from chalicelib.state.lifecycle import STAYING, NodeState

if TYPE_CHECKING:
    from chalicelib.discovery import Snapshot
    from chalicelib.events import FleetEvent, Incoming, InstanceEvent
    from chalicelib.state.node import Node

RUN_COMMAND_LAG_S = 3.0  # that Run Command may need to show what its event said
THROTTLE_WAIT_S = 45.0  # that an answer is asked for while Run Command throttles
ANSWER_POLL_S = 0.5
LONGEST_POLL_S = 4.0
GUARD_AFTER_S = 15.0  # by then most evacuations have ended, and there is time for two managers that die
GUARD_JITTER_S = 5.0
GUARD_POLL_S = 3.0
GUARD_S = 110.0  # that it guards, at most
GUARD_FRESH_S = 60.0  # after a warning; from then on the tick is as quick
NOT_ENDED = IN_FLIGHT | {UNKNOWN}


def handle(kind: type[Incoming], payload: object, world: World | None = None) -> list[str]:
    """Do everything that one event from outside leads to; answers the reasons of all plans made."""
    world = world or connected()
    try:
        event = kind.parse(payload, world.clock.now())
    except HybridError as error:
        observability.unmanaged(Metric.UNMANAGED_INSTANCES, str(error))
        return []
    except MalformedError as error:
        observability.malformed(error)
        return []
    match event:
        case InvocationEnded():
            return _handle_invocation(event, world)
        case Tick():
            return _handle_tick(world)
        case FleetNoted() | FleetFailed():
            return _handle_fleet(event, world)
        case HealthNotice(changes):
            return [reason for change in changes for reason in _handle_instance(change, world)]
        case _:
            return _handle_instance(event, world)


def _handle_instance(event: InstanceEvent, world: World) -> list[str]:
    cluster = world.nodes.find_owner(event.instance)
    if cluster is None and _is_urgent(event):
        cluster = search_owner(event.instance, event.time, world, waits=not _is_launch(event))
    if cluster is None:
        observability.unmanaged(Metric.UNMANAGED_INSTANCES, event.instance)
        return []
    return list(follow(event, cluster, world))


def guard(payload: object, world: World | None = None) -> list[str]:
    """Stay with the evacuation of a warned node, also if its handler has died; answers all reasons.

    Where all goes well it reads the record once and leaves. It begins what nobody has begun, sends what
    nobody has sent, and watches a command that lasts. One that gets no run in time, as in a storm, leaves.
    """
    world = world or connected()
    try:
        warning = SpotInterruptionWarning.parse(payload, world.clock.now())
    except MalformedError:
        return []  # the handler of the warning itself tells of it
    until, reasons, cluster = world.clock.now() + GUARD_S, list[str](), None
    if world.clock.now() > warning.time + GUARD_FRESH_S - GUARD_AFTER_S:
        return reasons
    Patience(world.clock).begin(GUARD_S)  # it begins its work when the budget of others is half used up
    world.clock.sleep(GUARD_AFTER_S + random.uniform(0, GUARD_JITTER_S))  # noqa: S311 - in a storm, not all at once
    while world.clock.now() < until:
        cluster, now = cluster or world.nodes.find_owner(warning.instance), world.clock.now()
        node = world.nodes.get(cluster, warning.instance) if cluster else None
        if cluster is None or node is None or node.state in STAYING:
            is_nobodys = cluster is None and world.discoveries.latest().taken >= warning.time
            if is_nobodys or reasons or now > warning.time + GUARD_FRESH_S:
                return reasons  # or it was ignored with a reason, or may have been given back since
            reasons += _handle_instance(warning, world)
        elif node.state is not NodeState.EVACUATING or node.is_given_up:
            return reasons
        elif node.is_ready(now - GUARD_POLL_S):
            reasons += _handle_instance(warning, world)
        elif node.command and (sent := _sent_at(node, world)) + hedge_after_s(node.attempts, world) <= now:
            watch = Watch(frozenset({node.instance}), sent, until)
            events = watch_evacuations(cluster, watch, world)
            return [*reasons, *(reason for event in events for reason in follow(event, cluster, world))]
        world.clock.sleep(GUARD_POLL_S)
    return reasons


def _sent_at(node: Node, world: World) -> float:
    return (node.due or world.clock.now()) - world.timeouts.answer_s


def _is_urgent(event: InstanceEvent) -> bool:
    """Whether an event cannot wait until the tick's discovery shows whose instance it is."""
    if event.drill:
        return False
    match event:
        case InstanceStateChanged():
            return event.state is InstanceState.RUNNING
        case FleetInstanceChanged():
            return event.change is not FleetChange.TERMINATED
        case RebalanceRecommended() | SpotRequestFulfilled():
            return False
        case _:
            return True


def _is_launch(event: InstanceEvent) -> bool:
    """Tell whether an instance begins: a Batch job starts a thousand, and none is ours.

    Where a discovery is under way, or was taken a moment ago, the next tick joins what is.
    """
    match event:
        case InstanceStateChanged():
            return event.state is InstanceState.RUNNING
        case FleetInstanceChanged():
            return event.change is FleetChange.LAUNCHED
        case _:  # a lifecycle action waits: few groups have launch hooks, and they wait for an answer
            return False


def search_owner(instance: str, time: float, world: World, *, waits: bool = True) -> str | None:
    """Find the cluster of an instance without a recorded owner; None if it belongs to none.

    Takes a discovery. If another handler does: ``waits`` for it, or answers None. Raises DiscoveryLateError
    if it takes too long.
    """
    search = begin_search(instance, time, world.clock.now(), waits=waits)
    while search.needs_discovery(world):
        try:
            _discover(world, hurried=True)
        except ExceptionGroup:
            if owner := world.nodes.find_owner(instance):  # what failed were other clusters
                return owner
            raise
    return search.owner


def _discover(world: World, *, hurried: bool = False) -> list[str]:
    """Take a discovery and bring the records of every cluster in line with it; answers the clusters.

    Once it counts as taken, every instance in it has an owner and a record. A ``hurried`` one does only that,
    so that events do not wait for more: the tick, which asks EC2 each minute, does the rest.
    Failures of single clusters are raised together at the end; the discovery then does not count as taken.
    """
    snapshot = take_snapshot(world, hurried=hurried)
    if failures := _follow_snapshot(snapshot, world):
        raise ExceptionGroup("the discovery could not be recorded in some clusters", failures)
    world.discoveries.finish(snapshot.taken, snapshot.clusters)
    return list(snapshot.clusters)


def _follow_snapshot(snapshot: Snapshot, world: World) -> list[Exception]:
    """Follow what a discovery found, cluster by cluster; answers what failed."""
    failures: list[Exception] = []
    for cluster, event in snapshot.events:
        try:
            list(follow(event, cluster, world))
        except Exception as error:  # noqa: BLE001 - the other clusters have their turn first
            if cluster != NO_CLUSTER:  # an incident that cannot be recorded must not cost them theirs
                failures.append(error)
    return failures


def _handle_fleet(event: FleetEvent, world: World) -> list[str]:
    """Follow an event of a fleet. One that names no fleet may be anybody's: people are notified of it."""
    cluster = world.nodes.find_owner(event.fleet) if event.fleet else NO_CLUSTER
    if cluster is None:
        observability.unmanaged(Metric.UNMANAGED_FLEETS, event.fleet)
        return []
    return list(follow(event, cluster, world))


def _handle_invocation(event: InvocationEnded, world: World) -> list[str]:
    """Fetch the output of a command that has ended; a host speaks for its own cluster only.

    Run Command is not asked for others' hosts.
    """
    owner = world.nodes.find_owner(event.manager)
    answer = _fetch_final_answer(event, world) if owner else Answer(UNKNOWN)
    if owner and answer.status in NOT_ENDED:
        observability.warn(
            f"{event.command} is {answer.status} after its end: the tick asks again", cluster=owner
        )
        return []
    ours = parse_comment(answer.comment)
    if ours is None:
        observability.unmanaged(Metric.UNMANAGED_COMMANDS, event.command)
        return []
    task, cluster = ours
    if cluster != owner:  # a host speaks for its own cluster only; the tick of the other one asks again
        observability.warn(
            f"{event.command} is of {cluster}, but {event.manager} of {owner}", cluster=cluster
        )
        observability.unmanaged(Metric.UNMANAGED_COMMANDS, event.command)
        return []
    return list(follow(finish_command(event, task, answer), cluster, world))


def _fetch_final_answer(event: InvocationEnded, world: World) -> Answer:
    """Ask until the answer is as final as the event; throttled calls are repeated for longer."""
    began, throttles = world.clock.now(), 0
    while True:
        try:
            answer = world.hosts.fetch_answer(event.command, event.manager)
            poll_s, until = ANSWER_POLL_S, began + RUN_COMMAND_LAG_S
        except ThrottledError as error:
            answer = Answer(UNKNOWN, error=str(error))
            poll_s = jittered_s(ANSWER_POLL_S, throttles, LONGEST_POLL_S)
            until = began + THROTTLE_WAIT_S
            throttles += 1
        except RefusedError as error:  # the tick asks again, and ends it
            return Answer(UNKNOWN, error=str(error))
        if answer.status not in NOT_ENDED or world.clock.now() >= until:
            return answer
        world.clock.sleep(poll_s)


def _handle_tick(world: World) -> list[str]:
    """Follow the tick in each cluster, in random order: one that fails must not always be the first.

    Where EC2 does not answer, what is overdue is done all the same.
    """
    reasons: list[str] = []
    failures: list[Exception] = []
    try:
        clusters = _discover(world)
    except Exception as error:  # noqa: BLE001 - raised below, after the clusters had their turn
        failures.append(error)
        failed = report_failure(error, world)
        _follow_snapshot(failed, world)
        clusters = list(failed.clusters)
    if any(not incident.notified for incident in world.incidents.list_all(NO_CLUSTER)):
        clusters.append(NO_CLUSTER)
    random.shuffle(clusters)
    for cluster in clusters:
        try:
            reasons += follow(Tick(), cluster, world)
        except Exception as error:  # noqa: BLE001 - likewise
            failures.append(error)
    if failures:
        raise ExceptionGroup("the tick failed in part", failures)
    return reasons
