"""Send a job: claimed first, so that of handlers and ticks only one sends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.actions import Code, Outcome
from chalicelib.adapters.patience import jittered_s
from chalicelib.delivery.circuit_breaker import note_host
from chalicelib.delivery.manager_choice import choose_manager, members
from chalicelib.errors import RefusedError, ThrottledError
from chalicelib.metrics import Measure, Metric
from chalicelib.observability import measure
from chalicelib.protocol.codec import decode_arguments
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules.retry import back_off
from chalicelib.state.job import COMMAND_S
from chalicelib.state.lifecycle import NodeState

if TYPE_CHECKING:
    from chalicelib.adapters.ports import World
    from chalicelib.protocol.messages import Arguments
    from chalicelib.state.cluster import Host
    from chalicelib.state.job import Job

FIRST_BACK_OFF_S = 1.0
LONGEST_BACK_OFF_S = 8.0
SEND_PATIENCE_S = 25.0  # for calls that are throttled: less than a claim lasts, and than a caller listens
CLEANUP_S = 120.0  # before its command is ended, in which an agent puts everything in order


def send_job(cluster: str, job: Job, world: World, refused: frozenset[str] = frozenset()) -> Outcome:
    """Have one manager run a job, but none that AWS ``refused`` to give it to.

    A crash before the command is known leaves a claim that is due.
    """
    now = world.clock.now()
    manager = job.host or _choose_manager(cluster, job, refused, world)
    if not manager:
        return _put_off(cluster, job, f"no manager can run {job.task.value}", world, attempts=1)
    # A job that must not be sent twice may be in flight unknown to us: its result is waited for.
    claim_s = job.seconds if job.is_unrepeatable else world.timeouts.answer_s
    claimed = job.revise(manager=manager, attempts=job.attempts + 1, due=now + claim_s)
    if not world.jobs.replace(cluster, job, claimed):
        return Outcome(detail=f"another handler is at {job.task.value}")
    try:
        command = _send_patiently(cluster, claimed, now, world)
    except ThrottledError as error:
        return _put_off(cluster, claimed, f"not sent: {error}", world)
    except RefusedError as error:
        return _after_refusal(cluster, claimed, str(error), refused | {manager}, world)
    known = claimed.revise(command=command, due=now + world.timeouts.answer_s)
    world.jobs.replace(cluster, claimed, known)
    measure(cluster, [Measure(Metric.COMMANDS_SENT)])
    return Outcome(detail=f"{job.task.value} is sent to {manager} as {command}")


def _send_patiently(cluster: str, job: Job, now: float, world: World) -> str:
    """Start the job's command; calls that are throttled are repeated for a while. Raises what Hosts does."""
    until, back_offs = now + SEND_PATIENCE_S, 0
    while True:
        try:
            return world.hosts.send(
                (job.manager,), cluster, job.task, _bound_arguments(job, world.clock.now()), job.seconds
            )
        except ThrottledError:
            back_off_s = jittered_s(FIRST_BACK_OFF_S, back_offs, LONGEST_BACK_OFF_S)
            if world.clock.now() + back_off_s > until:
                raise
            world.clock.sleep(back_off_s)
            back_offs += 1


def _after_refusal(cluster: str, claimed: Job, error: str, refused: frozenset[str], world: World) -> Outcome:
    """Ask the next manager at once, within the same attempt; after the last one the tick goes on."""
    if not claimed.host:
        note_host(cluster, claimed.manager, world, healthy=False)
        if _choose_manager(cluster, claimed, refused, world):
            return send_job(cluster, replace(claimed, attempts=claimed.attempts - 1), world, refused)
    return _put_off(cluster, claimed, f"not sent: {error}", world)


def _choose_manager(cluster: str, job: Job, refused: frozenset[str], world: World) -> str:
    """Choose the best manager that the job is not about; another one than last time, if there is one."""
    known = members(world.managers.list_hosts(cluster))
    hosts = [host for host in known if host.instance != job.instance and host.instance not in refused]
    if job.task is AgentTask.INSPECT:
        return _choose_inspector(job, hosts)
    host = choose_manager(hosts, world.clock.now(), {job.manager} if job.manager else ())
    return host.instance if host else ""


def _choose_inspector(job: Job, hosts: list[Host]) -> str:
    """Choose a manager to list its swarm: a proven one that the last list named as manager, if possible.

    Inspections go round all of these, one after the other: what one lists says nothing of a sick one, and
    only two different ones together are believed that a node is missing or down.
    """
    proven = [host for host in hosts if host.is_proven]
    proven = proven or [host for host in hosts if host.state is NodeState.IN_SERVICE and host.node]
    proven.sort(key=lambda host: host.instance)
    listing = job.listing
    voters = [host for host in proven if listing and listing.names_manager(host.node)] or proven
    if not voters:
        return ""
    return next((host.instance for host in voters if host.instance > job.manager), voters[0].instance)


def _bound_arguments(job: Job, now: float) -> Arguments:
    arguments = replace(decode_arguments(job.arguments), sent=now)
    return replace(arguments, deadline=now + job.seconds - CLEANUP_S) if job.task in COMMAND_S else arguments


def _put_off(cluster: str, job: Job, reason: str, world: World, attempts: int = 0) -> Outcome:
    """Leave a job to the tick, which sends it again or, if that must not be, gives it up."""
    now, made = world.clock.now(), job.attempts + attempts
    due = now if job.is_unrepeatable else now + back_off(made, job.task.value)
    world.jobs.replace(cluster, job, job.revise(due=due, attempts=made, reason=reason))
    return Outcome(Code.LEFT_OPEN, f"{job.task.value}: {reason}; the tick goes on")
