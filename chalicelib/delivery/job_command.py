"""Send an job: claimed first, so that of handlers and ticks only one sends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Code, Outcome
from chalicelib.delivery.dispatcher import note_host
from chalicelib.delivery.manager_choice import choose
from chalicelib.errors import ThrottledError, UnreachableError
from chalicelib.metrics import Measure, Metric
from chalicelib.observability import measure
from chalicelib.protocol.codec import decode_arguments
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules.retry import back_off
from chalicelib.state.job import COMMAND_S

if TYPE_CHECKING:
    from chalicelib.adapters.ports import World
    from chalicelib.protocol.messages import Arguments
    from chalicelib.state.job import Job

SPARE = 120.0  # seconds before its command is ended in which an agent puts everything in order


def send_job(cluster: str, job: Job, world: World) -> Outcome:
    """Have one manager run it. A crash before the command is known leaves a claim that is due."""
    now = world.clock.now()
    manager = job.host or _manager(cluster, job, world)
    if not manager:
        return _put_off(cluster, job, f"no manager can run {job.task.value}", world, attempts=1)
    # What must not be sent twice may be out without our knowing: its own result is waited for.
    hold = job.seconds if job.is_unrepeatable else world.timeouts.answer_s
    claimed = job.revise(manager=manager, attempts=job.attempts + 1, due=now + hold)
    if not world.jobs.replace(cluster, job, claimed):
        return Outcome(detail=f"another handler is at {job.task.value}")
    try:
        command = world.hosts.send((manager,), cluster, job.task, _arguments(job, now), job.seconds)
    except (ThrottledError, UnreachableError) as error:
        if isinstance(error, UnreachableError) and not job.host:
            note_host(cluster, manager, world, healthy=False)
        return _put_off(cluster, claimed, f"not sent: {error}", world)
    known = claimed.revise(command=command, due=now + world.timeouts.answer_s)
    world.jobs.replace(cluster, claimed, known)
    measure(cluster, [Measure(Metric.COMMANDS_SENT)])
    return Outcome(detail=f"{job.task.value} is sent to {manager} as {command}")


def _manager(cluster: str, job: Job, world: World) -> str:
    """The best manager that is not what the job is about; another one than last time, if there is one.

    Looks go round: what one manager lists says nothing of a sick one.
    """
    hosts = [host for host in world.managers.list_hosts(cluster) if host.instance != job.instance]
    if job.task is AgentTask.INSPECT and hosts:
        hosts.sort(key=lambda host: host.instance)
        return hosts[(decode_arguments(job.arguments).inspection + job.attempts) % len(hosts)].instance
    host = choose(hosts, world.clock.now(), {job.manager} if job.manager else ())
    return host.instance if host else ""


def _arguments(job: Job, now: float) -> Arguments:
    arguments = decode_arguments(job.arguments)
    return replace(arguments, deadline=now + job.seconds - SPARE) if job.task in COMMAND_S else arguments


def _put_off(cluster: str, job: Job, reason: str, world: World, attempts: int = 0) -> Outcome:
    """Open for the tick, which sends it again or, if that must not be, gives it up."""
    now, made = world.clock.now(), job.attempts + attempts
    due = now if job.is_unrepeatable else now + back_off(made, job.task.value)
    world.jobs.replace(cluster, job, job.revise(due=due, attempts=made, reason=reason))
    return Outcome(Code.LEFT_OPEN, f"{job.task.value}: {reason}; the tick goes on")
