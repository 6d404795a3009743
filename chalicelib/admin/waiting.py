"""Wait for the end of what a person ordered or asks, as long as the caller listens."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalicelib.admin.tables import show_result, summarize
from chalicelib.delivery.manager_choice import choose_manager
from chalicelib.errors import CallError, RefusedError, ThrottledError
from chalicelib.events import IN_FLIGHT, UNKNOWN, CommandFinished, InvocationEnded, finish_command
from chalicelib.events.parsing import EVENT_TIME_RESOLUTION_S
from chalicelib.pipeline import follow
from chalicelib.protocol.codec import decode_result
from chalicelib.protocol.messages import AgentTask, Arguments
from chalicelib.state.job import JobStage
from chalicelib.state.lifecycle import STAYING

if TYPE_CHECKING:
    from chalicelib.adapters.ports import World
    from chalicelib.events import TaskOrdered
    from chalicelib.protocol.messages import Result
    from chalicelib.state.job import Job

MAX_WAIT_S = 50.0  # ``chalice invoke`` listens for sixty
POLL_S = 1.0
QUESTION_S = 60  # that a question may take a host


def order_and_wait(event: TaskOrdered, cluster: str, world: World) -> dict[str, Any]:
    """Give the order, and answer how far it has come. Raises CallError where it is refused or has failed."""
    until = world.clock.now() + MAX_WAIT_S
    reasons = list(follow(event, cluster, world))
    job = first = _read_job(event.task, cluster, world)
    while job.is_open and job.command and job.since == first.since and world.clock.now() < until:
        if end := _fetch_end(job.task, job.command, job.manager, world):
            reasons += follow(end, cluster, world)
        else:
            world.clock.sleep(POLL_S)
        job = _read_job(event.task, cluster, world)
    result = _read_result(job, event.time)
    if job.stage is JobStage.FAILED or (result and not result.ok):
        why = (result.error or summarize(result) if result else "") or job.reason
        raise CallError(f"{event.task.value} failed on {first.manager or 'no manager'}: {why}")
    # Where a node joined meanwhile, the record is already of the job that follows this order.
    which = "errand" if job.since == first.since else "next"
    return {"done": reasons, which: describe_job(job)} | (
        show_result(result) if result and result.spreads else {}
    )


def explain_no_manager(cluster: str, world: World) -> str:
    """Say that a cluster has no manager, and how an instance becomes one; of Spot only where all are."""
    nodes = [node for node in world.nodes.list_all(cluster) if node.state in STAYING]
    if not nodes:
        return (
            f"{cluster} has no manager and no node: start an instance with the tag swarmkeeper:role=manager"
        )
    first = min(nodes, key=lambda node: (node.lifecycle == "spot", node.launched, node.instance))
    tag = world.deployment.write_manager_tag(first.instance)
    return f"{cluster} has no manager: if {first.instance} is to be one, tag it:\n  {tag}"


def ask_manager(task: AgentTask, arguments: Arguments, cluster: str, world: World) -> Result:
    """Ask a manager a question, which changes nothing and is not recorded. Raises CallError."""
    host = choose_manager(world.managers.list_hosts(cluster), world.clock.now())
    if host is None:
        raise CallError(explain_no_manager(cluster, world))
    until = world.clock.now() + MAX_WAIT_S
    try:
        command = world.hosts.send((host.instance,), cluster, task, arguments, QUESTION_S)
    except (ThrottledError, RefusedError) as error:
        raise CallError(f"{host.instance} could not be asked: {error}; nothing was changed") from error
    while world.clock.now() < until:
        if end := _fetch_end(task, command, host.instance, world):
            if end.result is None:
                raise CallError(f"{host.instance} says: {end.failure}; nothing was changed")
            if end.result.error:
                raise CallError(f"{host.instance} says: {end.result.error}")
            return end.result
        world.clock.sleep(POLL_S)
    raise CallError(f"{host.instance} has not answered {command} in {MAX_WAIT_S:.0f} s; nothing was changed")


def describe_job(job: Job) -> dict[str, Any]:
    """Describe how far a job has come."""
    hidden = {"arguments", "version", "stage", "result"}
    return {"state": job.stage.value} | {
        name: value for name, value in asdict(job).items() if name not in hidden
    }


def _read_result(job: Job, since: float) -> Result | None:
    """Read the job's result, if the job ended after that time."""
    fresh = job.result and job.ended + EVENT_TIME_RESOLUTION_S >= since
    return decode_result(job.result) if fresh else None


def _read_job(task: AgentTask, cluster: str, world: World) -> Job:
    return next(job for job in world.jobs.list_all(cluster) if job.task is task)


def _fetch_end(task: AgentTask, command: str, manager: str, world: World) -> CommandFinished | None:
    """Fetch the end of a command; None while it runs, or AWS throttles the poll. Raises CallError."""
    try:
        answer = world.hosts.fetch_answer(command, manager)
    except ThrottledError:
        return None
    except RefusedError as error:
        raise CallError(f"{manager} was sent {command}, but its result cannot be fetched: {error}") from error
    if answer.status in IN_FLIGHT | {UNKNOWN}:
        return None
    return finish_command(InvocationEnded(world.clock.now(), command, manager), task, answer)
