"""The tick: whatever no event finished is found overdue, and is fetched, sent again or given up.

Record that is due -> plan:
    a command is out                                         fetch its result
    work is unsent                                           send it
    its lifecycle actions are over, or all attempts failed   rules/finalize.py
    evacuated for a while                                    returning, unless a scheduled change is near
    in service                                               evacuating, in its turn (rules/nodes/turns.py)

Cluster -> plan:
    a group waits, and the work goes on                      heartbeat
    jobs are due; an inspection is due                       cluster/jobs.py, reconcile/swarm.py
    work waits too long; there is no swarm to join           notify people
    completed actions stay open; the discovery fails         notify people
    people were not notified of an incident                  notify them now
    it is paused                                             heartbeats only

Command that was fetched but still runs -> plan:
    an evacuation, and there is another manager              sent through another manager too
    any other                                                fetched again later
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.actions import Dispatch, FetchResult, Notify, Plan, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules import finalize, incidents, retry
from chalicelib.rules.cluster import jobs
from chalicelib.rules.incidents import STUCK_AFTER_S
from chalicelib.rules.nodes import lifecycle_hooks, scheduled_change, turns
from chalicelib.rules.reconcile import swarm
from chalicelib.state.lifecycle import PLACES, NodeState, Place

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import CommandRunning, DiscoveryFailed, Tick
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

ON_MANAGER = {task for task, place in PLACES.items() if place is Place.MANAGER}
MAX_HEARTBEATS = 200  # of one tick in one cluster: some ten seconds
MAX_MESSAGES = 20  # of one tick: each may take seconds if the topic does not answer


def on_tick(_: Tick, cluster: Cluster) -> Plan:
    """Fetch results that are late, send what is unsent, begin what was planned for now."""
    overdue = [node for node in cluster.nodes if node.due is not None and node.due <= cluster.now]
    job_steps = jobs.catch_up(cluster)
    if cluster.settings.paused:
        return _plan_paused(len(overdue) + len(job_steps), cluster)
    changes = [action for node in overdue for action in _finish_or_begin(node, cluster)]
    turned = turns.begin_next([node for node in overdue if _waits(node, cluster)], cluster)
    changes += [action for action in turned if not isinstance(action, Notify)]
    changes += _list_heartbeats(cluster)
    changes += (*job_steps, *swarm.start_inspection(cluster))
    messages = [action for action in turned if isinstance(action, Notify)] + _list_messages(overdue, cluster)
    work = [node for node in overdue if node.is_unsent or node.command]
    if not work and not changes and not messages:
        return Plan("nothing is overdue")
    out = sorted({(node.command, node.manager, node.task) for node in overdue if node.command and node.task})
    unsent = sum(node.is_unsent for node in overdue)
    opened = any(isinstance(change, ReplaceRecord) and change.after.is_unsent for change in changes)
    sending: list[Action] = [Dispatch(seconds=0)] if unsent or opened else []
    reason = f"{len(work)} overdue: {unsent} to send, {len(out)} commands to ask for"
    steps = len(changes) + len(messages)
    reason += f"; {steps} other steps" if steps else ""
    measures = (Measure(Metric.OVERDUE_INTENTS, len(work)),) if work else ()
    # Messages last: nodes do not wait for a topic that does not answer.
    return Plan(
        reason, (*changes, *(FetchResult(*command) for command in out), *sending, *messages), measures
    )


def on_discovery_failed(event: DiscoveryFailed, cluster: Cluster) -> Plan:
    """Notify people once it has failed for some minutes: until then it may pass."""
    if cluster.now - event.since <= STUCK_AFTER_S:
        return Plan(f"{event.text}; the next tick asks again")
    return Plan(event.text, (Notify(incidents.discovery_failed(event, cluster)),))


def on_command_running(event: CommandRunning, cluster: Cluster) -> Plan:
    """Send an evacuation that takes too long through another manager too: the agents join the running one."""
    waiting = [
        node for node in cluster.nodes if (node.command, node.manager) == (event.command, event.manager)
    ]
    others = set(cluster.managers) - {event.manager}
    changes = tuple(
        ReplaceRecord(node, _hedge_or_wait(node, cluster, elsewhere=bool(others))) for node in waiting
    )
    if not changes:
        job_steps = jobs.wait_longer(event, cluster)
        return Plan(f"{event.command} runs" + ("" if job_steps else ", but nothing waits for it"), job_steps)
    resent = sum(change.after.is_unsent for change in changes)
    reason = f"{event.command} still runs: {resent} of {len(changes)} nodes are sent again, the others wait"
    return Plan(reason, changes + ((Dispatch(seconds=0),) if resent else ()))


def _plan_paused(waiting: int, cluster: Cluster) -> Plan:
    """Only keep groups waiting: a group that hears nothing mostly terminates the instance."""
    reason = f"paused: {waiting} wait" if waiting else "nothing is overdue"
    return Plan(reason, tuple(_list_heartbeats(cluster)))


def _finish_or_begin(node: Node, cluster: Cluster) -> tuple[Action, ...]:
    """Return what to do about a record that is due besides its commands."""
    if steps := finalize.finish(node, cluster):
        return steps
    after = _begin_planned(node, cluster)
    return (ReplaceRecord(node, after),) if after else ()


def _waits(node: Node, cluster: Cluster) -> bool:
    """Whether the node waits for its turn, and has nothing else to be done first."""
    return node.waits_for_turn(cluster.now) and not finalize.finish(node, cluster)


def _begin_planned(node: Node, cluster: Cluster) -> Node | None:
    """Give an evacuated node back, unless a scheduled change is near."""
    if node.state is NodeState.EVACUATED and node.back:
        if postponed := scheduled_change.postpone_return(node, cluster):
            return postponed
        reason = "the drill is over" if node.drill else "nothing followed"
        return node.enter(NodeState.RETURNING, since=cluster.now, due=cluster.now, reason=reason)
    return None


def _list_heartbeats(cluster: Cluster) -> list[Action]:
    """List heartbeats, the latest ones first: a tick must not last until the next one."""
    heartbeats = [
        heartbeat for node in cluster.nodes if (heartbeat := lifecycle_hooks.heartbeat(node, cluster))
    ]
    heartbeats.sort(key=lambda heartbeat: min(max(hook.heartbeat, hook.opened) for hook in heartbeat.hooks))
    return [*heartbeats[:MAX_HEARTBEATS]]


def _list_messages(overdue: list[Node], cluster: Cluster) -> list[Action]:
    """List what people have to know: new incidents, and those of which they were not notified."""
    messages = [*_notify_if_stuck(overdue, cluster), *_notify_without_swarm(cluster)]
    messages += _notify_of_open_actions(overdue, cluster)
    messages += [Notify(incident) for incident in cluster.unnotified[:MAX_MESSAGES]]
    return messages


def _notify_if_stuck(overdue: list[Node], cluster: Cluster) -> list[Action]:
    """Notify of work that waits for a host, or that AWS refused for every manager each time."""
    unsent = [node for node in overdue if node.is_unsent]
    late = [node for node in unsent if cluster.now - (node.due or 0) > STUCK_AFTER_S]
    refused = [node for node in unsent if node.attempts and not node.manager and node.task in ON_MANAGER]
    late = late or [node for node in refused if cluster.now - node.since > STUCK_AFTER_S]
    return [Notify(incidents.no_host_takes_commands(late, cluster))] if late else []


def _notify_without_swarm(cluster: Cluster) -> list[Action]:
    """Notify of instances that have tried to join for minutes, where all managers try to join too."""
    joining = [node for node in cluster.nodes if node.state is NodeState.JOINING]
    waiting = [node for node in joining if node.attempts >= retry.MAX_ATTEMPTS_WITHOUT_SWARM]
    if not waiting or set(cluster.managers) - {node.instance for node in joining}:
        return []
    return [Notify(incidents.no_swarm(waiting, len(joining), cluster))]


def _notify_of_open_actions(overdue: list[Node], cluster: Cluster) -> list[Action]:
    """Notify of groups whose lifecycle actions were over minutes ago, but could not be completed."""
    late = {
        hook.group: node
        for node in overdue
        for hook, _ in lifecycle_hooks.results(node)
        if cluster.now - max(node.due or 0, hook.opened, hook.heartbeat) > STUCK_AFTER_S
    }
    return [Notify(incidents.lifecycle_action_open(group, node, cluster)) for group, node in late.items()]


def _hedge_or_wait(node: Node, cluster: Cluster, *, elsewhere: bool) -> Node:
    if node.task is AgentTask.EVACUATE and elsewhere and node.attempts < retry.IMMEDIATE_ATTEMPTS:
        return node.reopen(due=cluster.now, reason="no result yet: sent through another manager")
    return node.revise(due=cluster.now + cluster.timeouts.answer_s)
