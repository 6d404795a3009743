"""The backstop: whatever no event finished is found overdue, asked for, sent again, and finally closed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from chalicelib.actions import Ask, Dispatch, Notify, Plan, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules import finalize, retry
from chalicelib.rules.cluster import jobs
from chalicelib.rules.nodes import lifecycle_hooks, scheduled_change
from chalicelib.rules.reconcile import swarm
from chalicelib.state.incident import AGAIN, Incident
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import CommandRunning, DiscoveryFailed, Tick
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

HEARTBEATS = 200  # heartbeats of one tick in one cluster: some ten seconds
MESSAGES = 20  # that one tick makes up for: each may take seconds where the topic does not answer
STUCK = 300.0  # seconds that work may wait for a host that takes it, before people are told


def on_tick(_: Tick, cluster: Cluster) -> Plan:
    """Ask for the commands that are out too long, send what is not out, begin what was planned for now."""
    overdue = [node for node in cluster.nodes if node.due is not None and node.due <= cluster.now]
    ordered = jobs.catch_up(cluster)
    if cluster.settings.paused:
        waiting = len(overdue) + len(ordered)
        # A group that hears nothing goes its default way, and mostly ends the instance.
        return Plan(
            f"paused: {waiting} wait" if waiting else "nothing is overdue", tuple(_list_heartbeats(cluster))
        )
    changes = [action for node in overdue for action in _list_changes(node, cluster)]
    changes += _list_heartbeats(cluster)
    changes += (*ordered, *swarm.start(cluster))
    messages = _stuck([node for node in overdue if node.is_unsent], cluster)
    messages += _unsettled(cluster)
    messages += _uncompleted(overdue, cluster)
    messages += [Notify(incident) for incident in cluster.unnotified[:MESSAGES]]
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
    return Plan(reason, (*changes, *(Ask(*command) for command in out), *sending, *messages), measures)


def _list_changes(node: Node, cluster: Cluster) -> tuple[Action, ...]:
    """What is to be done about a record that is due besides its commands."""
    if steps := finalize.finish(node, cluster):
        return steps
    after = _begin_planned(node, cluster)
    return (ReplaceRecord(node, after),) if after else ()


def _list_heartbeats(cluster: Cluster) -> list[Action]:
    """Heartbeats where one is late, the latest first: a tick must not last until the next one."""
    heartbeats = [
        heartbeat for node in cluster.nodes if (heartbeat := lifecycle_hooks.heartbeat(node, cluster))
    ]
    heartbeats.sort(key=lambda heartbeat: min(max(hook.heartbeat, hook.opened) for hook in heartbeat.hooks))
    return [*heartbeats[:HEARTBEATS]]


def _begin_planned(node: Node, cluster: Cluster) -> Node | None:
    """What was put off until now: a node that is given back, or one whose scheduled change comes near."""
    if node.state is NodeState.EVACUATED and node.back:
        if held := scheduled_change.postpone(node, cluster):
            return held
        reason = "the drill is over" if node.drill else "nothing followed"
        return node.enter(NodeState.RETURNING, since=cluster.now, due=cluster.now, reason=reason)
    return scheduled_change.begin(node, cluster)


def _stuck(waiting: list[Node], cluster: Cluster) -> list[Action]:
    late = [node for node in waiting if cluster.now - (node.due or 0) > STUCK]
    if not late:
        return []
    incident = Incident(
        key="stuck",
        at=cluster.now,
        what=f"no host of {cluster.name} has taken commands for {STUCK / 60:.0f} min: {late[0].reason}",
        left=f"{len(late)} nodes wait, {late[0].instance} among them; every tick tries again",
        remedy="see to the SSM agents of the managers; where the quorum is lost for good: recover (README)",
        instance=late[0].instance,
        expires=cluster.now + AGAIN,
    )
    return [Notify(incident)]


def _unsettled(cluster: Cluster) -> list[Action]:
    """Instances that have tried to join for some minutes, in a cluster whose managers all try themselves."""
    joining = [node for node in cluster.nodes if node.state is NodeState.JOINING]
    waiting = [node for node in joining if node.attempts >= retry.MAX_ATTEMPTS_WITHOUT_SWARM]
    if not waiting or set(cluster.managers) - {node.instance for node in joining}:
        return []
    manager = cluster.managers[0] if cluster.managers else "the one you tag swarmkeeper:role=manager"
    call = json.dumps({"cluster": cluster.name, "instance": manager})
    incident = Incident(
        key="unsettled",
        at=cluster.now,
        what=f"{cluster.name} has no swarm that could be joined: {waiting[0].reason}",
        left=f"{len(joining)} instances wait, {waiting[0].instance} among them; they go on trying",
        remedy=f"make the swarm on its first manager: echo '{call}' | chalice invoke -n init",
        expires=cluster.now + AGAIN,
    )
    return [Notify(incident)]


def _uncompleted(overdue: list[Node], cluster: Cluster) -> list[Action]:
    """Groups whose lifecycle actions have been over for minutes, but Auto Scaling does not take that."""
    late = [
        (hook.group, node)
        for node in overdue
        for hook, _ in lifecycle_hooks.results(node)
        if cluster.now - max(node.due or 0, hook.opened, hook.heartbeat) > STUCK
    ]
    return [Notify(_refused(group, node, cluster)) for group, node in {one[0]: one for one in late}.values()]


def _refused(group: str, node: Node, cluster: Cluster) -> Incident:
    return Incident(
        key=f"hook#{group}",
        at=cluster.now,
        what=f"lifecycle actions of {group} could not be completed for {STUCK / 60:.0f} min",
        left=f"{node.instance} is {node.state}, its group still waits for it; every tick tries again",
        remedy="see the handler's log for Auto Scaling's words, and its role's autoscaling permissions",
        instance=node.instance,
        expires=cluster.now + AGAIN,
    )


def on_discovery_failed(event: DiscoveryFailed, cluster: Cluster) -> Plan:
    """People are told once it has lasted for some minutes: until then it may pass."""
    what = f"the discovery of {event.what} fails: {event.error}"
    if cluster.now - event.since <= STUCK:
        return Plan(f"{what}; the next tick asks again")
    incident = Incident(
        key=f"census#{event.what}",
        at=cluster.now,
        what=what,
        left="events are followed, but what no event tells of is not noticed meanwhile",
        remedy="see the tick's log, and what its role may do; every tick tries again",
        expires=cluster.now + AGAIN,
    )
    return Plan(what, (Notify(incident),))


def on_command_running(event: CommandRunning, cluster: Cluster) -> Plan:
    """Send an evacuation that takes too long through another manager too: the agents join the running one."""
    waiting = [
        node for node in cluster.nodes if (node.command, node.manager) == (event.command, event.manager)
    ]
    others = set(cluster.managers) - {event.manager}
    moves = tuple(ReplaceRecord(node, _after(node, cluster, elsewhere=bool(others))) for node in waiting)
    if not moves:
        ordered = jobs.wait_longer(event, cluster)
        return Plan(f"{event.command} runs" + ("" if ordered else ", but nothing waits for it"), ordered)
    resent = sum(move.after.is_unsent for move in moves)
    reason = f"{event.command} still runs: {resent} of {len(moves)} nodes are sent again, the others wait"
    return Plan(reason, moves + ((Dispatch(seconds=0),) if resent else ()))


def _after(node: Node, cluster: Cluster, *, elsewhere: bool) -> Node:
    if node.task is AgentTask.EVACUATE and elsewhere and node.attempts < retry.IMMEDIATE_ATTEMPTS:
        return node.reopen(due=cluster.now, reason="no result yet: sent through another manager")
    return node.revise(due=cluster.now + cluster.timeouts.answer_s)
