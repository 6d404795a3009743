"""The whole flow: load -> decide -> perform.

An event comes in as JSON and is parsed (events.py). What is malformed is told, counted and dropped.
Then it is found out which cluster it concerns:
    an instance                     its owner; an instance that no discovery saw is unmanaged; for what cannot
                                    wait (a warning, a launch, a hook) a discovery is taken now if need be
    a fleet                         its home; it has one once an instance of it was seen
    the end of a command            the command's comment, if the host has a home; its output is fetched and
                                    becomes the event
    the tick                        every cluster, after a discovery has brought its records in line, and
                                    every few minutes a manager's list of its swarm (rules/inspect.py)
For each such cluster, `follow` loads what is known of it (cluster.py), lets the pure rules decide on a plan
(rules/), logs the plan's reason, and performs its actions one by one (effects.py). Intent comes first: the
record of a node is changed, on condition that it is still the one that was read, before a command is sent
for it. Who loses that race loads and decides again; a duplicate then finds the work begun. What an action
learns (the answer of a command that was asked for) is an event again and is followed in the same way.

After the event's own rule, every plan is closed (rules/closing.py): what a record calls for by itself,
whatever led to it, is done too. A paused cluster's plans keep what reaches no swarm. Manual calls (calls.py)
are events of the same kind; what they order of a cluster as a whole is an job (job.py), a record that
is sent, asked for and concluded in the same way.

A crash at any point leaves a record with open work, due at a time: the tick finds it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from chalicelib import observability
from chalicelib.actions import Code
from chalicelib.adapters.ports import World
from chalicelib.adapters.wiring import connected
from chalicelib.discovery import NO_CLUSTER, find, missed, take
from chalicelib.effects import perform_all
from chalicelib.errors import CallError, MalformedError, ThrottledError
from chalicelib.events import (
    IN_FLIGHT,
    UNKNOWN,
    Answer,
    Change,
    ChangeScheduled,
    CommandFinished,
    CommandRunning,
    DiscoveryFailed,
    FleetFailed,
    FleetInstanceChanged,
    FleetNoted,
    HealthNotice,
    InstancesDiscovered,
    InstanceStateChanged,
    InvocationEnded,
    LaunchLifecycleAction,
    RedriveOrdered,
    SettingsOrdered,
    SpotInterruptionWarning,
    TaskOrdered,
    TerminateLifecycleAction,
    Tick,
    finished,
    task_and_cluster,
)
from chalicelib.metrics import Metric
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules import decide
from chalicelib.state.cluster import Cluster
from chalicelib.state.instance import InstanceState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.events import Event, FleetEvent, Incoming, InstanceEvent
    from chalicelib.state.incident import Incident
    from chalicelib.state.job import Job
    from chalicelib.state.node import Node

RACES = 5  # lost in a row before it is left to the tick
ENROLLED = 2.0  # seconds after which an instance with a home has a record, if it gets one
LAG = 3.0  # seconds that Run Command may need to show what its event said
LAGGING = IN_FLIGHT | {UNKNOWN}


def handle(kind: type[Incoming], payload: object, world: World | None = None) -> list[str]:
    """Everything that one event from outside leads to; answers the reasons of all plans made."""
    try:
        event = kind.parse(payload)
    except MalformedError as error:
        observability.malformed(error)
        return []
    world = world or connected()
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
    cluster = _home(event, world)
    if cluster is None:
        observability.unmanaged(Metric.UNMANAGED_INSTANCES, event.instance)
        return []
    return list(follow(event, cluster, world))


def _home(event: InstanceEvent, world: World) -> str | None:
    """The cluster of the event's instance. What is new or hurries does not wait for the tick's discovery."""
    match event:
        case (
            SpotInterruptionWarning()
            | LaunchLifecycleAction()
            | TerminateLifecycleAction()
            | ChangeScheduled()
        ):
            hurries = True
        case InstanceStateChanged():
            hurries = event.state is InstanceState.RUNNING
        case FleetInstanceChanged():
            hurries = event.change is not Change.TERMINATED
        case _:
            hurries = False
    if hurries and not event.drill:
        return find(event.instance, event.time, world, follow)
    return world.nodes.find_owner(event.instance)


def _handle_fleet(event: FleetEvent, world: World) -> list[str]:
    """A failure that names no fleet may be anybody's: it is told, as nobody else could tell."""
    cluster = world.nodes.find_owner(event.fleet) if event.fleet else NO_CLUSTER
    if cluster is None:
        observability.unmanaged(Metric.UNMANAGED_FLEETS, event.fleet)
        return []
    return list(follow(event, cluster, world))


def _handle_invocation(event: InvocationEnded, world: World) -> list[str]:
    home = world.nodes.find_owner(event.manager)
    answer = _fetched(event, world) if home else Answer(UNKNOWN)  # Run Command is not asked for others' hosts
    if home and answer.status in LAGGING:
        observability.warn(
            f"{event.command} is {answer.status} after its end: the tick asks again", cluster=home
        )
        return []
    ours = task_and_cluster(answer.comment)
    if ours is None:
        observability.unmanaged(Metric.UNMANAGED_COMMANDS, event.command)
        return []
    task, cluster = ours
    return list(follow(finished(event, task, answer), cluster, world))


def _fetched(event: InvocationEnded, world: World) -> Answer:
    until = world.clock.now() + LAG
    while (answer := _asked(event, world)).status in LAGGING and world.clock.now() < until:
        world.clock.sleep(0.5)
    return answer


def _asked(event: InvocationEnded, world: World) -> Answer:
    try:
        return world.hosts.fetch_answer(event.command, event.manager)
    except ThrottledError as error:
        return Answer(UNKNOWN, error=str(error))


def _handle_tick(world: World) -> list[str]:
    """Each cluster, in random order: one that cannot be helped must not stop the others, nor always be first.

    Where EC2 does not answer, what is overdue is done all the same.
    """
    reasons: list[str] = []
    failures: list[Exception] = []
    try:
        clusters = take(world, follow)
    except Exception as error:  # noqa: BLE001 - raised below, after the clusters had their turn
        failures.append(error)
        clusters = missed(error, world, follow)
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


def follow(event: Event, cluster: str, world: World) -> Iterator[str]:
    """Load, decide, perform, and follow what was learnt; yields the reason of each plan.

    Raises CallError where an order is refused, also for who loses a race to give it, and what actions raised
    once all others were done.
    """
    for _ in range(RACES):
        plan = decide(event, load(event, cluster, world))
        if plan.refused:
            raise CallError(plan.reason)
        observability.decided(event, cluster, plan)
        yield plan.reason
        outcomes, failures = perform_all(plan, cluster, world)
        if not any(outcome.code is Code.LOST_RACE for outcome in outcomes):
            break
    else:
        observability.warn("lost every race for the records; the tick goes on", cluster=cluster)
        return
    observability.measure(cluster, plan.measures)
    for learnt in [outcome.event for outcome in outcomes if outcome.event]:
        try:
            yield from follow(learnt, cluster, world)
        except Exception as error:  # noqa: BLE001 - raised below, after what else was learnt was followed
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup(f"{len(failures)} actions failed in {cluster}, the others were done", failures)


def load(event: Event, cluster: str, world: World) -> Cluster:
    """What is known of the cluster now, as far as the event concerns it."""
    now = world.clock.now()
    managers = world.managers.list_ids(cluster)
    settings = world.settings.get(cluster)
    unnotified: tuple[Incident, ...] = ()
    if isinstance(event, Tick):
        unnotified = tuple(
            incident for incident in world.incidents.list_all(cluster) if not incident.notified
        )
    nodes = _nodes(event, cluster, world, now)
    jobs: tuple[Job, ...] = ()
    if isinstance(event, (Tick, CommandFinished, CommandRunning, TaskOrdered, RedriveOrdered)):
        jobs = world.jobs.list_all(cluster)
    return Cluster(cluster, now, nodes, managers, world.timeouts, settings, unnotified, jobs)


def _nodes(event: Event, cluster: str, world: World, now: float) -> tuple[Node, ...]:
    match event:
        case InstancesDiscovered() | RedriveOrdered() | CommandFinished(task=AgentTask.INSPECT):
            return world.nodes.list_all(cluster)
        case CommandFinished() | CommandRunning() | Tick():
            # A tick heartbeats for what is not due, too.
            return world.nodes.list_open(cluster, until=now + 86_400)
        case FleetNoted() | FleetFailed() | SettingsOrdered() | DiscoveryFailed():
            return ()
        case _:
            node = world.nodes.get(cluster, event.instance)
            if node is None:  # or not yet: a discovery writes the home first
                world.clock.sleep(ENROLLED)
                node = world.nodes.get(cluster, event.instance)
            return (node,) if node else ()
