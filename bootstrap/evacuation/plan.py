"""What to do next so that nodes empty without a dip; pure, decided anew from each snapshot.

| what the snapshot shows                                         | next                                    |
| --------------------------------------------------------------- | --------------------------------------- |
| a replicated service has tasks to leave, other nodes have room  | exclude the nodes, start-first          |
| its owner labelled it stop-first, no other one is stopping      | exclude the nodes, stop-first           |
| no room, a job, or its own update is in the way                 | nothing: tasks serve until the drain    |
| its exclusion is under way                                      | wait                                    |
| its tasks have left                                             | restore its spec                        |
| a node has only global tasks left, or its time is nearly over   | drain the node                          |
| a node is drained and empty, it is a manager, quorum stays safe | demote it                               |

Nothing is remembered between two polls: the deadline is a node label, and what was changed in a service is
marked in its spec. So a run that was killed, a second run for more nodes and a run on another manager all
continue the one job, and the version that Swarm demands with each change lets only one of two equal ones win.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Union

from bootstrap.actions import Action, DemoteNode, DrainNode, UpdateService
from bootstrap.engine.node import Node
from bootstrap.engine.service import EVACUATION_ORDER_LABEL, Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.engine.task import Task
from bootstrap.membership.quorum import next_demotion
from bootstrap.placement.constraints import count_room
from bootstrap.specs.exclusion import Pace, exclude_nodes, excluded_nodes, has_exclusion, restore_spec
from bootstrap.specs.own_update import why_busy
from chalicelib.protocol.messages import Way

DRAIN_MARGIN_S = 5.0  # kept for Swarm to notice a drain (measured: 4.9 s with short graces)
LONGEST_GRACE_S = 30.0  # a longer stop grace period cannot be honoured inside a two-minute notice
TASK_START_S = 10.0  # that a task may take to run, for judging whether a service's own pace fits

Choice = tuple[Union[Way, None], str]  # how tasks leave (None: they are leaving already), and why


def next_actions(snapshot: Snapshot, now: float, self_id: str = "") -> tuple[Action, ...]:
    """Choose all that can be done at once. ``self_id`` decides, and does not demote itself."""
    choices = {service.id: choose_way(service, snapshot) for service in leaving_services(snapshot)}
    return (
        *_exclusions(snapshot, choices, now),
        *_drains(snapshot, choices, now),
        *_restores(snapshot),
        *_demotions(snapshot, self_id),
    )


def choose_way(service: Service, snapshot: Snapshot) -> Choice:
    """Choose how the tasks of a service leave the nodes; DRAIN: they serve until then, if no room appears."""
    if not service.is_replicated:
        return (Way.GLOBAL, "global") if service.is_global else (Way.DRAIN, "a job cannot be updated")
    if has_exclusion(service):
        return _choose_again(service, snapshot)
    if why := why_busy(service):
        return Way.DRAIN, f"{why} ({service.update})"
    return _choose_first(service, snapshot)


def _choose_again(service: Service, snapshot: Snapshot) -> Choice:
    """Wait for the first update: a second one makes Swarm stop the old tasks before the new ones run."""
    under_way = {task.node for task in leaving_tasks(service, snapshot)} & excluded_nodes(service)
    if under_way or snapshot.is_replacing(service):
        return None, "its evacuation is under way"
    return _choose_first(service, snapshot)


def _choose_first(service: Service, snapshot: Snapshot) -> Choice:
    if service.labels.get(EVACUATION_ORDER_LABEL) == "stop-first":
        return Way.STOP_FIRST, f"label {EVACUATION_ORDER_LABEL}=stop-first"
    tasks = len(leaving_tasks(service, snapshot))
    room = count_room(service, snapshot, without={node.id for node in snapshot.evacuating_nodes})
    if room <= 0:
        return Way.DRAIN, "no other node has room for it"
    return Way.START_FIRST, f"room for {room:.0f} of {tasks} tasks" if room < tasks else ""


def leaving_tasks(service: Service, snapshot: Snapshot) -> tuple[Task, ...]:
    """Find the tasks of a service that still have to leave nodes which are not drained yet."""
    nodes = {node.id for node in _undrained_nodes(snapshot)}
    return tuple(task for task in snapshot.tasks_of(service) if task.is_wanted and task.node in nodes)


def leaving_services(snapshot: Snapshot) -> tuple[Service, ...]:
    """Find the services with tasks that still have to leave, in the order of their names."""
    services = (service for service in snapshot.services if leaving_tasks(service, snapshot))
    return tuple(sorted(services, key=lambda service: service.name))


def drain_at(node: Node, snapshot: Snapshot) -> float:
    """Tell when a node is drained whatever is left on it, so that stop grace periods still fit."""
    services = {task.service for task in snapshot.tasks_on([node.id]) if task.is_present}
    graces = (known.stop_grace for service in services if (known := snapshot.service_by_id.get(service)))
    longest = min(max(graces, default=0.0), LONGEST_GRACE_S)
    return (node.evacuation_deadline or 0.0) - longest - DRAIN_MARGIN_S


def choose_pace(service: Service, tasks: int, budget: float) -> Pace:
    """Choose the service's own pace where its delay fits into half of the budget, else all at once."""
    delay = int(service.update_config.get("Delay") or 0)
    parallelism = int(service.update_config.get("Parallelism", 1)) or tasks
    if not delay or math.ceil(tasks / parallelism) * (delay / 1e9 + TASK_START_S) > budget / 2:
        return Pace()
    return Pace(parallelism, delay)


def _undrained_nodes(snapshot: Snapshot) -> tuple[Node, ...]:
    return tuple(node for node in snapshot.evacuating_nodes if node.availability != "drain")


def _exclusions(snapshot: Snapshot, choices: Mapping[str, Choice], now: float) -> list[Action]:
    """Update each service that can start first, and one at a time of those that cannot."""
    by_way: dict[Way | None, list[Service]] = {way: [] for way in (None, *Way)}
    for key, (way, _) in choices.items():
        by_way[way].append(snapshot.service_by_id[key])
    is_one_stopping = any(service.update_config.get("Order") == "stop-first" for service in by_way[None])
    one_by_one = [] if is_one_stopping else by_way[Way.STOP_FIRST][:1]
    return [
        _exclusion(service, choices[service.id], snapshot, now)
        for service in (*by_way[Way.START_FIRST], *one_by_one)
    ]


def _exclusion(service: Service, choice: Choice, snapshot: Snapshot, now: float) -> UpdateService:
    order, why = (choice[0] or Way.START_FIRST).value, choice[1]
    tasks = leaving_tasks(service, snapshot)
    nodes = {node.id for node in _undrained_nodes(snapshot)}
    budget = min(drain_at(snapshot.node_by_id[task.node], snapshot) for task in tasks) - now
    spec = exclude_nodes(service, nodes, order, choose_pace(service, len(tasks), budget))
    reason = f"{order} {len(tasks)} of its tasks off nodes that are going{why and ': ' + why}"
    return UpdateService(service, spec, reason)


def _drains(snapshot: Snapshot, choices: Mapping[str, Choice], now: float) -> list[Action]:
    actions: list[Action] = []
    global_ones = {key for key, (way, _) in choices.items() if way is Way.GLOBAL}
    for node in _undrained_nodes(snapshot):
        wanted = (task for task in snapshot.tasks_on([node.id]) if task.is_wanted)
        waiting = sorted({task.service for task in wanted if task.service in choices} - global_ones)
        if not waiting:
            actions.append(DrainNode(node, "all its replicated tasks run elsewhere"))
        elif now >= drain_at(node, snapshot):
            names = ", ".join(snapshot.service_by_id[key].name for key in waiting)
            actions.append(DrainNode(node, f"the notice is nearly over, still there: {names}"))
    return actions


def _restores(snapshot: Snapshot) -> list[Action]:
    return [
        UpdateService(service, restore_spec(service), "its tasks have left; its spec becomes what it was")
        for service in snapshot.services
        if has_exclusion(service)
        and not leaving_tasks(service, snapshot)
        and not snapshot.is_replacing(service)
    ]


def _demotions(snapshot: Snapshot, self_id: str) -> list[Action]:
    # Measured: a new leader goes on with a start-first update by stopping old tasks at once. So none then.
    is_moving = any(has_exclusion(service) for service in snapshot.services)
    drained = (node for node in snapshot.evacuating_nodes if snapshot.is_drained(node))
    going = [node.id for node in drained if not (node.is_leader and is_moving) and node.id != self_id]
    managers = [node for node in snapshot.nodes if node.role == "manager"]
    manager, reason = next_demotion(managers, going)
    return [DemoteNode(manager, reason)] if manager else []
