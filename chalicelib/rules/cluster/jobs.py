"""Jobs: ordered once, sent until a host has answered; people are notified of those that fail.

Job, event -> plan:
    none, done or failed   ordered                           recorded and sent
    open, the same order   ordered                           nothing
    open, another order    ordered                           refused; a rebalance that waits is replaced
    open                   command ended: ok                 done
    open                   command ended: failed             failed
    open                   command ended: later              sent again after what the agent asks for
    open                   command ended: no answer          sent again after a back-off, then failed
    open                   it runs on a manager              its result is fetched later
    open                   it runs, but the host is gone     as without an answer
    open and due           tick: its command is out          fetch the result
    open and due           tick: it may be sent              send it
    open and due           tick: it may not be sent          failed
    ended, but wanted      a node joined meanwhile           a new automatic rebalance
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from chalicelib.actions import FetchResult, Notify, Plan, ReplaceJob, Send
from chalicelib.events.parsing import EVENT_TIME_RESOLUTION_S
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.codec import decode_arguments, encode_arguments, encode_result
from chalicelib.protocol.messages import AgentTask, Arguments, Balance
from chalicelib.rules import incidents, retry
from chalicelib.rules.cluster import rebalance
from chalicelib.state.job import MAX_ATTEMPTS, Job, JobStage
from chalicelib.state.node import make_labels

if TYPE_CHECKING:
    from chalicelib.actions import Action
    from chalicelib.events import CommandFinished, CommandRunning, TaskOrdered
    from chalicelib.state.cluster import Cluster
    from chalicelib.state.node import Node

CALLER_WAITS_S = 45.0  # whoever ordered a job by hand reads its answer until then (admin/waiting.py)
LONGEST_WAIT_S = 900.0  # between two commands of a job that is put off again and again
PUT_OFF_LIMIT_S = 86_400.0  # for which a job may be put off before it has failed
CLEAN_UP_LIMIT_S = 3600.0  # for which a job that failed may be put off to finish what it began
KEPT_FIELDS = ("version", "wanted", "ended", "result")  # by a new order: the last result until the next one


def on_task_ordered(event: TaskOrdered, cluster: Cluster) -> Plan:
    """Begin a job, unless one of its task is under way or has done it."""
    node, before = cluster.node(event.instance), cluster.job(event.task)
    if event.instance and node is None:
        return Plan(f"{event.instance} has no record in {cluster.name}", refused=True)
    if node and node.misfit:
        return Plan(f"{event.instance} cannot be ordered anything: {node.misfit}", refused=True)
    after = _make_job(event, node, cluster, fresh=event.task is AgentTask.INIT and _is_fresh(before))
    if before and before.is_open and (before.instance, before.arguments) == (after.instance, after.arguments):
        return Plan(f"{before.name} is ordered already: {before.progress(cluster.now)}")
    if refusal := _refusal(event, before, cluster):
        return Plan(refusal, refused=True)
    if before:
        more = before.is_open and (before.automatic or before.wanted)
        fields = {name: value for name, value in asdict(after).items() if name not in KEPT_FIELDS}
        after = before.revise(**(fields | {"manager": before.avoided}), wanted=more)
    return Plan(after.reason, (ReplaceJob(before, after), Send(after)))


def on_job_finished(event: CommandFinished, cluster: Cluster) -> Plan:
    """End the job with the host's answer; without one send it again, where that is safe."""
    before, said = cluster.job(event.task), f"{event.task.value}: {event.status}: {retry.summarize(event)}"
    if before is None or not _concerns(event, before):
        return Plan(f"{said} (nothing waits for it)")
    after = _after_command(before, event, cluster.now)
    notify = after.stage is JobStage.FAILED and not _caller_waits(before, event.time)
    return Plan(said, _conclude(before, after, cluster, notify=notify), _list_measures(event, after))


def catch_up(cluster: Cluster) -> tuple[Action, ...]:
    """Return what the tick does about jobs that are due."""
    due = [job for job in cluster.jobs if job.is_open and job.due is not None and job.due <= cluster.now]
    return tuple(action for job in due for action in _catch_up(job, cluster))


def wait_longer(event: CommandRunning, cluster: Cluster) -> tuple[Action, ...]:
    """Return what to do about jobs whose command still runs."""
    waiting = [
        job
        for job in cluster.jobs
        if job.is_open and (job.command, job.manager) == (event.command, event.manager)
    ]
    return tuple(action for job in waiting for action in _wait_longer(job, cluster))


def _is_fresh(before: Job | None) -> bool:
    """Whether the swarm that was there is gone with its cluster, and none was made since."""
    if before is None or before.stage is JobStage.DONE:
        return False
    return before.stage is JobStage.ENDED or decode_arguments(before.arguments).fresh


def _make_job(event: TaskOrdered, node: Node | None, cluster: Cluster, *, fresh: bool) -> Job:
    arguments = Arguments(labels={"swarmkeeper.cluster": cluster.name}, rebalance=event.rebalance)
    if node:
        labels = make_labels(cluster.name, node.role)
        arguments = Arguments((node.described_target,), role=node.role.value, labels=labels, fresh=fresh)
    text, at = encode_arguments(arguments), event.time
    job = Job(task=event.task, since=at, instance=event.instance, arguments=text, due=cluster.now)
    return replace(job, reason=f"{job.name} is ordered")


def _refusal(event: TaskOrdered, before: Job | None, cluster: Cluster) -> str:
    """Explain why an order cannot be carried out; "" if it can."""
    if not set(cluster.managers) - {event.instance} and event.task in (AgentTask.PROMOTE, AgentTask.DEMOTE):
        return f"{cluster.name} has no other manager that could {event.task.value} {event.instance}"
    if before is None:
        return ""
    if before.is_open and not before.is_waiting:
        progress = before.progress(cluster.now)
        return f"{before.name} is under way, {progress}: status shows how it ends, then order this again"
    if event.task is AgentTask.INIT and before.stage is JobStage.DONE and before.instance != event.instance:
        return (
            f"{cluster.name} has its swarm since init on {before.instance}: {event.instance} joins that one;"
            " if it is gone for good, forget it first:"
            f"{cluster.deployment.write_forget_swarm(cluster.name, 'errand#init')}"
        )
    return ""


def _concerns(event: CommandFinished, job: Job) -> bool:
    """Tell whether the job waits for this command, or for one whose id was lost.

    That one ends on the manager of the claim, and not before the claim.
    """
    if not job.is_open or job.manager != event.manager:
        return False
    id_lost = job.is_unrepeatable and not job.command and job.attempts > 0
    claimed = max(job.since, (job.due or 0.0) - job.seconds)
    return job.command == event.command or (id_lost and event.time + EVENT_TIME_RESOLUTION_S >= claimed)


def _after_command(job: Job, event: CommandFinished, now: float) -> Job:
    """Return the job after the end of its command."""
    if job.is_unrepeatable and event.result and event.result.begun:  # a second run might move as many again
        event = replace(event, result=replace(event.result, wait=0.0))
    reason = retry.summarize(event)
    # With an error the agent did nothing: no agent can during an election. Nobody repeats automatic jobs.
    if event.result is None or (job.automatic and event.result.error and not event.result.wait):
        return _retry(job, reason, now)
    known = {"command": event.command, "result": encode_result(event.result), "ended": event.time}
    if event.result.wait > 0:
        return _put_off(job.revise(**known), event.result.wait, reason, now, ok=event.result.ok)
    stage = JobStage.DONE if event.result.ok else JobStage.FAILED
    return job.revise(**known, stage=stage, due=None, reason=reason)


def _put_off(job: Job, wait: float, reason: str, now: float, *, ok: bool) -> Job:
    """Return the job that its agent has put off; it has failed where that went on for too long."""
    waited = now - job.since
    if waited > (PUT_OFF_LIMIT_S if ok else CLEAN_UP_LIMIT_S):
        return _fail(job, f"put off for {waited / 3600:.0f} hours: {reason}")
    due = now + max(wait, min(waited / 4, LONGEST_WAIT_S))
    wanted = job.wanted and not job.automatic  # the next run sees the nodes that joined meanwhile too
    return replace(job, command="", attempts=0, due=due, wanted=wanted, reason=reason)


def _retry(job: Job, failure: str, now: float) -> Job:
    if job.is_unrepeatable or job.attempts >= MAX_ATTEMPTS:
        return _fail(job, failure)
    due = now + retry.back_off(job.attempts, job.task.value)
    return job.revise(command="", due=due, reason=f"it is sent again: {failure}")


def _fail(job: Job, reason: str) -> Job:
    return job.revise(stage=JobStage.FAILED, due=None, reason=reason)


def _wait_longer(job: Job, cluster: Cluster) -> tuple[Action, ...]:
    """Fetch the result later; Run Command calls a command running for half an hour after its host ended."""
    if job.manager in cluster.managers:
        return (ReplaceJob(job, job.revise(due=cluster.now + cluster.timeouts.answer_s)),)
    after = _retry(job, f"{job.manager} is no manager of {cluster.name} any more", cluster.now)
    return _conclude(job, after, cluster, notify=not after.is_open)


def _catch_up(job: Job, cluster: Cluster) -> tuple[Action, ...]:
    if job.command:
        return (FetchResult(job.command, job.manager, job.task),)
    if job.automatic and job.is_waiting and not cluster.settings.rebalance:  # what was begun is finished
        reason = "not begun: automatic rebalances are switched off"
        return (ReplaceJob(job, job.revise(stage=JobStage.DONE, due=None, reason=reason)),)
    if not job.is_spent(cluster.now):
        return (Send(job),)
    how = f"given up after {job.attempts} attempts" if job.attempts else "nobody sent it in time"
    return _conclude(job, _fail(job, f"{how}: {job.reason}"), cluster, notify=True)


def _conclude(before: Job, after: Job, cluster: Cluster, *, notify: bool) -> tuple[Action, ...]:
    """Notify people before the end is recorded; begin the rebalance that is wanted after this one."""
    # An inspection that has never succeeded only shows that there is no swarm yet.
    notify = notify and (before.task is not AgentTask.INSPECT or bool(before.result))
    messages = (Notify(incidents.job_failed(after, cluster)),) if notify else ()
    if before.wanted and not after.is_open and cluster.settings.rebalance:
        last = {"result": after.result, "ended": after.ended, "manager": after.avoided}
        after = before.revise(**(rebalance.fresh_fields(cluster, "a node joined meanwhile") | last))
    return (*messages, ReplaceJob(before, after))


def _caller_waits(job: Job, time: float) -> bool:
    """Whether a person still waits for the answer; that is so for the first command only."""
    return not job.automatic and job.attempts <= 1 and time <= job.since + CALLER_WAITS_S


def _list_measures(event: CommandFinished, after: Job) -> tuple[Measure, ...]:
    if event.result is None:
        return (Measure(Metric.COMMAND_FAILURES, instance=after.instance),)
    if event.task is not AgentTask.REBALANCE:
        return ()
    moved = sum(row.moves for row in event.result.spreads if row.balance is Balance.MOVED)
    moves = (Measure(Metric.TASKS_MOVED, moved),) if moved else ()
    return moves if after.is_open else (Measure(Metric.REBALANCES), *moves)
