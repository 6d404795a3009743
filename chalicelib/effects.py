"""Do it: perform one action in one cluster, and answer how it came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from chalicelib import observability
from chalicelib.actions import (
    Ask,
    Code,
    Complete,
    Dispatch,
    Forget,
    Heartbeat,
    NoteHost,
    Notify,
    Outcome,
    RecordManagers,
    RecordOwners,
    Register,
    ReplaceJob,
    ReplaceRecord,
    Send,
    UpdateSettings,
)
from chalicelib.delivery.dispatcher import dispatch, note_host
from chalicelib.delivery.job_command import send
from chalicelib.errors import RefusedError, ThrottledError
from chalicelib.events import IN_FLIGHT, CommandRunning, InvocationEnded, finished
from chalicelib.notify import tell

if TYPE_CHECKING:
    from chalicelib.actions import Action, Plan
    from chalicelib.adapters.ports import World
    from chalicelib.state.job import Job


def perform_all(plan: Plan, cluster: str, world: World) -> tuple[list[Outcome], list[Exception]]:
    """All actions in order, up to the first lost race: what follows it was decided on a past state.

    One that raises stops only those that are about the same, or one record would stop every tick of its
    cluster; what was raised is answered.
    """
    outcomes: list[Outcome] = []
    failures: list[Exception] = []
    spoilt: set[str] = set()
    for action in plan.actions:
        about = target(action)
        if about and about in spoilt:
            continue
        try:
            outcome = perform(action, cluster, world)
        except Exception as error:  # noqa: BLE001 - the caller raises it
            failures.append(error)
            spoilt.add(about)
            continue
        observability.done(cluster, action, outcome)
        outcomes.append(outcome)
        if outcome.code is Code.LOST_RACE:
            break
    return outcomes, failures


def target(action: Action) -> str:
    """The instance that an action is about; "" for none."""
    match action:
        case ReplaceRecord(_, after):
            return after.instance
        case ReplaceJob(_, job):
            return job.instance or job.manager
        case Notify(incident):
            return incident.instance
        case Dispatch():
            return ""  # it sends whatever is open
        case _:
            return str(getattr(action, "instance", ""))


def perform(action: Action, cluster: str, world: World) -> Outcome:
    """Do it. Failures that are to be expected are in the outcome, all others are raised."""
    match action:
        case (
            Register()
            | ReplaceRecord()
            | RecordManagers()
            | RecordOwners()
            | NoteHost()
            | Forget()
            | UpdateSettings()
        ):
            return _record(action, cluster, world)
        case Dispatch():
            return dispatch(cluster, action, world)
        case Ask():
            return _ask(action, world)
        case Complete():
            return _complete(action, world)
        case Heartbeat():
            return _beat(action, world)
        case Notify(incident):
            return tell(cluster, incident, world)
        case ReplaceJob(before, after):
            return _move_errand(cluster, before, after, world)
        case Send(job):
            return send(cluster, job, world)
        case _:
            assert_never(action)


def _record(
    action: Register | ReplaceRecord | RecordManagers | RecordOwners | NoteHost | Forget | UpdateSettings,
    cluster: str,
    world: World,
) -> Outcome:
    match action:
        case Register(nodes, owned):
            world.nodes.register(nodes, owned=owned)
            return Outcome(detail=f"{len(nodes)} registered")
        case ReplaceRecord():
            return _move(action, world)
        case RecordManagers(managers):
            world.managers.record(cluster, managers)
            return Outcome(detail=f"managers are {', '.join(managers) or 'none'}")
        case RecordOwners(fleets):
            world.nodes.record_owners(cluster, fleets)
            return Outcome(detail=f"fleets of the cluster: {', '.join(fleets)}")
        case NoteHost(manager, healthy):
            note_host(cluster, manager, world, healthy=healthy)
            return Outcome(detail=f"{manager} {'did well' if healthy else 'failed'}")
        case Forget(key):
            world.incidents.delete(cluster, key)
            return Outcome(detail=f"{key} is forgotten")
        case UpdateSettings(changes):
            world.settings.update(cluster, changes)
            return Outcome(detail=f"set: {', '.join(changes)}")
        case _:
            assert_never(action)


def _move(move: ReplaceRecord, world: World) -> Outcome:
    before, after = move.before, move.after
    if world.nodes.replace(before, after):
        return Outcome(detail=f"{before.instance}: {before.state} -> {after.state}")
    return Outcome(Code.LOST_RACE, f"{before.instance} was changed meanwhile")


def _move_errand(cluster: str, before: Job | None, after: Job, world: World) -> Outcome:
    if world.jobs.replace(cluster, before, after):
        return Outcome(detail=f"{after.task.value}: {before.stage if before else 'new'} -> {after.stage}")
    return Outcome(Code.LOST_RACE, f"{after.task.value} was changed meanwhile")


def _ask(action: Ask, world: World) -> Outcome:
    """What the host says now is the next event."""
    now = world.clock.now()
    try:
        answer = world.hosts.fetch_answer(action.command, action.manager)
    except ThrottledError as error:
        return Outcome(Code.LEFT_OPEN, f"{action.command} is asked for again by the next tick: {error}")
    if answer.status in IN_FLIGHT:
        return Outcome(detail=answer.status, event=CommandRunning(now, action.command, action.manager))
    ended = InvocationEnded(now, action.command, action.manager)
    return Outcome(detail=answer.status, event=finished(ended, action.task, answer))


def _complete(action: Complete, world: World) -> Outcome:
    """First Auto Scaling, then the record: a crash in between completes twice, which is once."""
    try:
        for hook, result in action.results:
            world.autoscaling.complete(action.instance, hook, result)
    except (ThrottledError, RefusedError) as error:
        return Outcome(Code.LEFT_OPEN, f"the lifecycle action stays open, the tick tries again: {error}")
    if action.move:
        return _move(action.move, world)
    return Outcome(detail=f"{action.instance}: completed")


def _beat(action: Heartbeat, world: World) -> Outcome:
    try:
        for hook in action.hooks:
            world.autoscaling.record_heartbeat(action.instance, hook)
    except (ThrottledError, RefusedError) as error:
        return Outcome(Code.LEFT_OPEN, f"no heartbeat, the next tick tries again: {error}")
    return _move(action.move, world)
