"""Wait for the end of what a person ordered or asks, as long as the caller listens."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalicelib.admin.tables import shown, summary
from chalicelib.delivery.manager_choice import choose_manager
from chalicelib.errors import CallError, ThrottledError, UnreachableError
from chalicelib.events import IN_FLIGHT, UNKNOWN, CommandFinished, InvocationEnded, finish_command
from chalicelib.events.parsing import EVENT_TIME_RESOLUTION_S
from chalicelib.pipeline import follow
from chalicelib.protocol.codec import decode_result
from chalicelib.protocol.messages import AgentTask, Arguments
from chalicelib.state.job import JobStage

if TYPE_CHECKING:
    from chalicelib.adapters.ports import World
    from chalicelib.events import TaskOrdered
    from chalicelib.protocol.messages import Result
    from chalicelib.state.job import Job

WAIT = 50.0  # seconds; ``chalice invoke`` listens for sixty
LOOK = 1.0
ASKING = 60  # seconds that a question may take a host


def ordered(event: TaskOrdered, cluster: str, world: World) -> dict[str, Any]:
    """Give the order, and answer how far it has come. Raises CallError where it is refused or has failed."""
    until = world.clock.now() + WAIT
    reasons = list(follow(event, cluster, world))
    job = first = _errand(event.task, cluster, world)
    while job.is_open and job.command and job.since == first.since and world.clock.now() < until:
        if end := _end(job.task, job.command, job.manager, world):
            reasons += follow(end, cluster, world)
        else:
            world.clock.sleep(LOOK)
        job = _errand(event.task, cluster, world)
    result = _result(job, event.time)
    if job.stage is JobStage.FAILED or (result and not result.ok):
        why = (result.error or summary(result) if result else "") or job.reason
        raise CallError(f"{event.task.value} failed on {first.manager or 'no manager'}: {why}")
    # Where a node joined meanwhile, the record tells of what follows this order already.
    which = "errand" if job.since == first.since else "next"
    return {"done": reasons, which: described(job)} | (shown(result) if result and result.spreads else {})


def asked(task: AgentTask, arguments: Arguments, cluster: str, world: World) -> Result:
    """What a manager answers to a question, which changes nothing and is not recorded. Raises CallError."""
    host = choose_manager(world.managers.list_hosts(cluster), world.clock.now())
    if host is None:
        raise CallError(f"{cluster} has no manager: tag an instance with swarmkeeper:role=manager")
    until = world.clock.now() + WAIT
    try:
        command = world.hosts.send((host.instance,), cluster, task, arguments, ASKING)
    except (ThrottledError, UnreachableError) as error:
        raise CallError(f"{host.instance} could not be asked: {error}; nothing was changed") from error
    while world.clock.now() < until:
        if end := _end(task, command, host.instance, world):
            if end.result is None:
                raise CallError(f"{host.instance} says: {end.failure}; nothing was changed")
            if end.result.error:
                raise CallError(f"{host.instance} says: {end.result.error}")
            return end.result
        world.clock.sleep(LOOK)
    raise CallError(f"{host.instance} has not answered {command} in {WAIT:.0f} s; nothing was changed")


def described(job: Job) -> dict[str, Any]:
    """How far an job has come."""
    hidden = {"arguments", "version", "stage", "result"}
    return {"state": job.stage.value} | {
        name: value for name, value in asdict(job).items() if name not in hidden
    }


def _result(job: Job, since: float) -> Result | None:
    """The job's result, if it is of an end after that time."""
    fresh = job.result and job.ended + EVENT_TIME_RESOLUTION_S >= since
    return decode_result(job.result) if fresh else None


def _errand(task: AgentTask, cluster: str, world: World) -> Job:
    return next(job for job in world.jobs.list_all(cluster) if job.task is task)


def _end(task: AgentTask, command: str, manager: str, world: World) -> CommandFinished | None:
    """The end of a command; None while it runs, or AWS forbids to look."""
    try:
        answer = world.hosts.fetch_answer(command, manager)
    except ThrottledError:
        return None
    if answer.status in IN_FLIGHT | {UNKNOWN}:
        return None
    return finish_command(InvocationEnded(world.clock.now(), command, manager), task, answer)
