"""Jobs: ordered once, sent until a host has answered, and told if they come to nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from chalicelib.actions import Ask, Notify, Plan, ReplaceJob, Send
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.codec import decode_arguments, encode_arguments, encode_result
from chalicelib.protocol.messages import AgentTask, Arguments, Balance
from chalicelib.rules import incidents, retry
from chalicelib.rules.cluster import rebalance
from chalicelib.state.incident import AGAIN, Incident
from chalicelib.state.job import MAX_ATTEMPTS, Job, JobStage
from chalicelib.state.node import labels

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import CommandFinished, CommandRunning, TaskOrdered
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

RESOLUTION = 1.0  # seconds; EventBridge cuts its times to whole ones
ANSWERED = 45.0  # seconds in which who ordered it still listens (wait.py), and needs no message
KEPT = 30 * 86_400.0  # seconds that a dead letter stays
RAREST = 900.0  # seconds at most between two commands of what is put off again and again
PUT_OFF = 86_400.0  # seconds for which it is; then people are told
STUCK = 3600.0  # seconds for which what has failed may try to end what it began; then people are told
LEFT = {
    AgentTask.INIT: "the cluster may have no swarm yet, or one whose join tokens are not stored",
    AgentTask.ROTATE_TOKENS: "the tokens in Parameter Store may not be the swarm's: nothing can join then",
    AgentTask.RECOVER: "the host is as the command left it; it is not sent a second time by itself",
    AgentTask.PROMOTE: "the node keeps the role that it has",
    AgentTask.DEMOTE: "the node keeps the role that it has",
    AgentTask.REBALANCE: "no replica is missing; a service that was begun may have more than it asks for",
}


def on_task_ordered(event: TaskOrdered, cluster: Cluster) -> Plan:
    """Begin an job, unless one of its kind is under way or has decided the matter."""
    node, before = cluster.node(event.instance), cluster.job(event.task)
    if event.instance and node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}", refused=True)
    after = _make_job(event, node, cluster)
    if before and before.is_open and (before.instance, before.arguments) == (after.instance, after.arguments):
        return Plan(f"{_name(before)} is ordered already: {_where(before, cluster.now)}")
    if refusal := _refusal(event, before, cluster):
        return Plan(refusal, refused=True)
    if before:
        more = before.is_open and (before.automatic or before.wanted)
        after = before.revise(**(_fresh_fields(after) | {"manager": before.avoided}), wanted=more)
    return Plan(after.reason, (ReplaceJob(before, after), Send(after)))


def on_job_finished(event: CommandFinished, cluster: Cluster) -> Plan:
    """What the host has answered ends it; without an answer it is sent again where that is safe."""
    before, said = cluster.job(event.task), f"{event.task.value}: {event.status}: {retry.summarize(event)}"
    if before is None or not _concerns(event, before):
        return Plan(f"{said} (nothing waits for it)")
    after = _after(before, event, cluster.now)
    tell = after.stage is JobStage.FAILED and _needs_notice(before, event.time)
    return Plan(said, _conclude(before, after, cluster, tell=tell), _measures(event, after))


def catch_up(cluster: Cluster) -> tuple[Action, ...]:
    """What the tick does about jobs that are due."""
    due = [row for row in cluster.jobs if row.is_open and row.due is not None and row.due <= cluster.now]
    return tuple(action for job in due for action in _catch_up(job, cluster))


def wait_longer(event: CommandRunning, cluster: Cluster) -> tuple[Action, ...]:
    """An job whose command runs is asked for again later, unless its host has ended meanwhile."""
    waiting = [
        job
        for job in cluster.jobs
        if job.is_open and (job.command, job.manager) == (event.command, event.manager)
    ]
    return tuple(action for job in waiting for action in _wait_longer(job, cluster))


def dead_letter_key(job: Job) -> str:
    """The name of its dead letter; what comes by itself has one for all times that it fails."""
    return f"errand#{job.task.value}" + ("" if job.automatic else f"#{job.since:.0f}")


def dead_letter(job: Job, cluster: Cluster) -> Incident:
    """What came to nothing: what is left, and all that is needed to order it again."""
    if job.task is AgentTask.INSPECT:  # nobody orders it: it only shows that the managers do not answer
        return incidents.silent(cluster, job.task, job.reason, job.manager)
    name = job.task.value.replace("-", "_")
    order = f"echo '{json.dumps(_payload(job, cluster))}' | chalice invoke -n {name}"
    own = job.automatic
    return Incident(
        key=dead_letter_key(job),
        at=cluster.now,
        what=f"{_name(job)} failed: {job.reason}",
        left=LEFT[job.task],
        remedy=f"mend the cause, then: {order}" + ("; the next node that joins does it too" if own else ""),
        instance=job.instance or job.manager,
        record=json.dumps(asdict(job), sort_keys=True),
        expires=cluster.now + (AGAIN if own else KEPT),
    )


def _payload(job: Job, cluster: Cluster) -> dict[str, Any]:
    """What a person gives to order the same again."""
    asked = decode_arguments(job.arguments).rebalance
    given = {"services": asked.services, "mode": asked.mode, "max_moves": asked.max_moves}
    known = {"cluster": cluster.name, "instance": job.instance} | given
    return {name: value for name, value in known.items() if value}


def _make_job(event: TaskOrdered, node: Node | None, cluster: Cluster) -> Job:
    arguments = Arguments(labels={"swarmkeeper.cluster": cluster.name}, rebalance=event.rebalance)
    if node:
        arguments = Arguments((node.target,), role=node.role.value, labels=labels(cluster.name, node.role))
    text, at = encode_arguments(arguments), event.time
    begun = Job(task=event.task, since=at, instance=event.instance, arguments=text, due=cluster.now)
    return replace(begun, reason=f"{_name(begun)} is ordered")


def _fresh_fields(job: Job) -> dict[str, Any]:
    """A new job as a change of the one before; that one's result stays until there is another."""
    kept = ("version", "wanted", "ended", "result")
    return {name: value for name, value in asdict(job).items() if name not in kept}


def _refusal(event: TaskOrdered, before: Job | None, cluster: Cluster) -> str:
    """Why an order cannot be carried out; "" if it can."""
    if not set(cluster.managers) - {event.instance} and event.task in (AgentTask.PROMOTE, AgentTask.DEMOTE):
        return f"{cluster.name} has no other manager that could {event.task.value} {event.instance}"
    if before is None:
        return ""
    if before.is_open and not before.is_waiting:
        where = _where(before, cluster.now)
        return f"{_name(before)} is under way, {where}: status shows how it ends, then order this again"
    if event.task is AgentTask.INIT and before.stage is JobStage.DONE and before.instance != event.instance:
        return (
            f"{cluster.name} has its swarm since init on {before.instance}: {event.instance} joins that one;"
            f" if it is gone for good, delete the item ({cluster.name}, errand#init) from the table and both"
            f" parameters under /swarmkeeper/{cluster.name}/join-token/ first"
        )
    return ""


def _concerns(event: CommandFinished, job: Job) -> bool:
    """It waits for this command; or it was sent by who died before the command's id was recorded."""
    if not job.is_open or job.manager != event.manager:
        return False
    unnamed = job.is_unrepeatable and not job.command and job.attempts > 0
    return job.command == event.command or (unnamed and event.time + RESOLUTION >= job.since)


def _after(job: Job, event: CommandFinished, now: float) -> Job:
    if job.is_unrepeatable and event.result and event.result.begun:  # a second run might move as many again
        event = replace(event, result=replace(event.result, wait=0.0))
    reason = retry.summarize(event)
    # With an error the agent did nothing: in an election none can. What nobody ordered nobody will repeat.
    if event.result is None or (job.automatic and event.result.error and not event.result.wait):
        return _retry(job, reason, now)
    known = {"command": event.command, "result": encode_result(event.result), "ended": event.time}
    if event.result.wait > 0:
        waited = now - job.since
        if waited > (PUT_OFF if event.result.ok else STUCK):
            return _fail(job.revise(**known), f"put off for {waited / 3600:.0f} hours: {reason}")
        pause = max(event.result.wait, min(waited / 4, RAREST))
        waiting = {"command": "", "attempts": 0, "due": now + pause}
        waiting["wanted"] = job.wanted and not job.automatic  # the next run sees those who joined too
        return job.revise(**(known | waiting), reason=reason)
    stage = JobStage.DONE if event.result.ok else JobStage.FAILED
    return job.revise(**known, stage=stage, due=None, reason=reason)


def _retry(job: Job, failure: str, now: float) -> Job:
    if job.is_unrepeatable or job.attempts >= MAX_ATTEMPTS:
        return _fail(job, failure)
    due = now + retry.back_off(job.attempts, job.task.value)
    return job.revise(command="", due=due, reason=f"it is sent again: {failure}")


def _fail(job: Job, reason: str) -> Job:
    return job.revise(stage=JobStage.FAILED, due=None, reason=reason)


def _wait_longer(job: Job, cluster: Cluster) -> tuple[Action, ...]:
    """Run Command calls a command running for half an hour after the end of its host."""
    if job.manager in cluster.managers:
        return (ReplaceJob(job, job.revise(due=cluster.now + cluster.timeouts.answer_s)),)
    after = _retry(job, f"{job.manager} is no manager of {cluster.name} any more", cluster.now)
    return _conclude(job, after, cluster, tell=not after.is_open)


def _catch_up(job: Job, cluster: Cluster) -> tuple[Action, ...]:
    if job.command:
        return (Ask(job.command, job.manager, job.task),)
    if job.automatic and job.is_waiting and not cluster.settings.rebalance:  # what was begun is finished
        reason = "not begun: automatic rebalances are switched off"
        return (ReplaceJob(job, job.revise(stage=JobStage.DONE, due=None, reason=reason)),)
    if not job.is_spent(cluster.now):
        return (Send(job),)
    ways = f"given up after {job.attempts} attempts" if job.attempts else "nobody sent it in time"
    return _conclude(job, _fail(job, f"{ways}: {job.reason}"), cluster, tell=True)


def _conclude(before: Job, after: Job, cluster: Cluster, *, tell: bool) -> tuple[Action, ...]:
    """The job as it is now; told before it is recorded, then followed by the one wanted after it."""
    tell = tell and (before.task is not AgentTask.INSPECT or bool(before.result))  # or there is no swarm yet
    letters = (Notify(dead_letter(after, cluster)),) if tell else ()
    if before.wanted and not after.is_open and cluster.settings.rebalance:
        last = {"result": after.result, "ended": after.ended, "manager": after.avoided}
        after = before.revise(**(rebalance.fresh_fields(cluster, "a node joined meanwhile") | last))
    return (*letters, ReplaceJob(before, after))


def _needs_notice(job: Job, time: float) -> bool:
    """Who ordered it waits for the first command only."""
    return job.automatic or job.attempts > 1 or time > job.since + ANSWERED


def _measures(event: CommandFinished, after: Job) -> tuple[Measure, ...]:
    if event.result is None:
        return (Measure(Metric.COMMAND_FAILURES, instance=after.instance),)
    if event.task is not AgentTask.REBALANCE:
        return ()
    moved = sum(row.moves for row in event.result.spreads if row.balance is Balance.MOVED)
    moves = (Measure(Metric.TASKS_MOVED, moved),) if moved else ()
    return moves if after.is_open else (Measure(Metric.REBALANCES), *moves)


def _name(job: Job) -> str:
    return job.task.value + (f" of {job.instance}" if job.instance else "")


def _where(job: Job, now: float) -> str:
    age = f"ordered {max(now - job.since, 0):.0f} s ago"
    return f"{age}, {job.command} on {job.manager}" if job.command else f"{age}, {job.reason}"
