"""The whole flow of an event: parse, find the cluster, load, decide, perform, follow what was learnt.

1. Parse. ``handle`` (routing.py) turns JSON into a typed event (events/). A malformed one is counted.
2. Find the cluster that the event concerns (routing.py):
    an instance             its owner cluster. An instance that no discovery saw is unmanaged; for an event
                            that cannot wait (a warning, a launch, a lifecycle action) one is taken now
    a fleet                 its owner cluster; it has one once an instance of it was seen
    the end of a command    the command's comment names it; its output is fetched and becomes the event
    the tick                every cluster, after a discovery (discovery.py) has brought its records in line
3. Load. ``load`` reads what is known of that cluster (state/cluster.py), as far as the event concerns it.
4. Decide. The pure rules (rules/) answer with a plan: a reason, actions and measures. Every plan also gets
   what a changed record calls for by itself (rules/finalize.py). The plan of a paused cluster keeps only
   what reaches no swarm.
5. Perform. Actions are carried out one by one (effects.py). The intent comes first: a node's record is
   replaced, if it is still the one that was read, before a command is sent for it. A handler that loses the
   race loads and decides again; a duplicate then finds the work begun.
6. Follow. What an action learns, such as the answer of a command, is an event again, and begins at 3.
7. Stay. Who has sent an urgent evacuation stays with it (delivery/watch.py); what it sees begins at 3. After
   a Spot warning its guard does (routing.py).

Manual calls (admin/) are events of the same kind and begin at 3. What they order of a cluster as a whole is a
job (state/job.py): a record that is sent, asked for and concluded in the same way.

After a crash at any point a record has open work with a due time: the tick finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import observability
from chalicelib.actions import Code
from chalicelib.adapters.ports import OPEN_WORK_AHEAD_S, World
from chalicelib.delivery.watch import watch_evacuations
from chalicelib.effects import perform_all
from chalicelib.errors import CallError
from chalicelib.events import (
    CommandFinished,
    CommandRunning,
    DiscoveryFailed,
    FleetFailed,
    FleetNoted,
    InstancesDiscovered,
    RedriveOrdered,
    SettingsOrdered,
    SpotInterruptionWarning,
    TaskOrdered,
    Tick,
    TurnAsked,
)
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules import decide
from chalicelib.state.cluster import Cluster
from chalicelib.state.instance import UP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.actions import Outcome
    from chalicelib.events import Event
    from chalicelib.state.cluster import Overview
    from chalicelib.state.incident import Incident
    from chalicelib.state.job import Job
    from chalicelib.state.node import Node

TURNS_AHEAD_S = 90 * 86_400.0  # until when a node may be out that is given back some day
MAX_RACES = 5  # lost in a row before it is left to the tick
REGISTRATION_WAIT_S = 2.0  # after which an instance with an owner has a record, if it gets one


def follow(event: Event, cluster: str, world: World) -> Iterator[str]:
    """Load, decide, perform, and follow what was learnt; yields the reason of each plan.

    Raises CallError where an order is refused, also for who loses a race to give it, and what actions raised
    once all others were done.
    """
    for _ in range(MAX_RACES):
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
    for learnt in _list_learnt(event, outcomes, cluster, world):
        try:
            yield from follow(learnt, cluster, world)
        except Exception as error:  # noqa: BLE001 - raised below, after what else was learnt was followed
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup(f"{len(failures)} actions failed in {cluster}, the others were done", failures)


def _list_learnt(event: Event, outcomes: list[Outcome], cluster: str, world: World) -> Iterator[Event]:
    """List what was learnt by actions; then what is seen while urgent evacuations are watched.

    A Spot warning has a guard that stays: the runs that are kept for warnings are few.
    """
    yield from [outcome.event for outcome in outcomes if outcome.event]
    if isinstance(event, SpotInterruptionWarning):
        return
    for watch in [outcome.watch for outcome in outcomes if outcome.watch]:
        yield from watch_evacuations(cluster, watch, world)


def load(event: Event, cluster: str, world: World) -> Cluster:
    """Read what is known of the cluster now, as far as the event concerns it."""
    now = world.clock.now()
    known = world.clusters.read(cluster, getattr(event, "instance", ""))
    unnotified: tuple[Incident, ...] = ()
    if isinstance(event, Tick):
        unnotified = tuple(
            incident for incident in world.incidents.list_all(cluster) if not incident.notified
        )
    nodes = _load_nodes(event, cluster, known, world, now)
    jobs: tuple[Job, ...] = ()
    match event:
        case Tick() | CommandFinished() | CommandRunning() | TaskOrdered() | RedriveOrdered():
            jobs = world.jobs.list_all(cluster)
        case InstancesDiscovered(instances=found) if not any(one.state in UP for one in found):
            jobs = world.jobs.list_all(cluster)  # of a cluster that has ended they end too
    rest = (world.timeouts, known.settings, unnotified, jobs, world.deployment)
    return Cluster(cluster, now, nodes, known.managers, *rest)


def _load_nodes(event: Event, cluster: str, known: Overview, world: World, now: float) -> tuple[Node, ...]:
    """Read the nodes that the event is about; ``known`` has its own, as far as that was read already."""
    node = known.node
    match event:
        case InstancesDiscovered() | RedriveOrdered() | CommandFinished(task=AgentTask.INSPECT):
            return world.nodes.list_all(cluster)
        case CommandFinished(task=AgentTask.JOIN | AgentTask.ACTIVATE | AgentTask.GIVE_BACK):
            found = world.nodes.list_open(cluster, now + OPEN_WORK_AHEAD_S)
            return (
                *found,
                *_load_managers(set(known.managers) - {one.instance for one in found}, cluster, world),
            )
        case CommandFinished(task=AgentTask.EVACUATE | AgentTask.LEAVE, manager=sender):
            found = world.nodes.list_open(cluster, now + OPEN_WORK_AHEAD_S)
            return (*found, *_load_managers({sender} - {one.instance for one in found}, cluster, world))
        case CommandFinished() | CommandRunning():
            return world.nodes.list_open(cluster, now + OPEN_WORK_AHEAD_S)
        case Tick():
            # A tick heartbeats for what is not due, too. Whose turn it is follows from the number of nodes.
            found = world.nodes.list_open(cluster, now + OPEN_WORK_AHEAD_S)
            waiting = any(one.waits_for_turn(now) for one in found)
            return world.nodes.list_all(cluster) if waiting else found
        case TurnAsked():
            others = world.nodes.list_open(cluster, now + TURNS_AHEAD_S)
            taken = any(
                one.is_out_gently or one.postponed for one in others if one.instance != event.instance
            )
            # Only who is about to begin reads all: a node that is out for good has no open work.
            return tuple(one for one in (node, *others) if one) if taken else world.nodes.list_all(cluster)
        case FleetNoted() | FleetFailed() | SettingsOrdered() | DiscoveryFailed() | TaskOrdered(instance=""):
            return ()
        case _:
            if node is None:  # or not yet: version 0.1 writes the owner first
                world.clock.sleep(REGISTRATION_WAIT_S)
                node = world.nodes.get(cluster, event.instance)
            return (node,) if node else ()


def _load_managers(names: set[str], cluster: str, world: World) -> list[Node]:
    """Read the records of managers, also those without open work: somebody may say to be one of them."""
    return [node for name in sorted(names) if (node := world.nodes.get(cluster, name))]
