"""Perform the actions of a plan in one cluster: a function for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from chalicelib import observability
from chalicelib.actions import (
    AskForTurn,
    Code,
    Complete,
    Dispatch,
    FetchResult,
    Forget,
    Heartbeat,
    Notify,
    Outcome,
    RecordHostHealth,
    RecordManagers,
    RecordOwners,
    Register,
    ReplaceJob,
    ReplaceRecord,
    Send,
    UpdateSettings,
)
from chalicelib.delivery.circuit_breaker import note_host
from chalicelib.delivery.dispatcher import dispatch
from chalicelib.delivery.job_command import send_job
from chalicelib.errors import RefusedError, ThrottledError
from chalicelib.events import (
    IN_FLIGHT,
    CommandFinished,
    CommandRunning,
    InvocationEnded,
    TurnAsked,
    finish_command,
)
from chalicelib.notify import notify

if TYPE_CHECKING:
    from chalicelib.actions import Action, Plan
    from chalicelib.adapters.ports import World
    from chalicelib.state.job import Job


def perform_all(plan: Plan, cluster: str, world: World) -> tuple[list[Outcome], list[Exception]]:
    """Perform all actions in order, up to the first lost race: the rest was decided on a past state.

    An action that raises stops only those about the same instance, or one record would stop every tick of its
    cluster; what was raised is answered. Records that change one after the other are replaced in one call.
    """
    outcomes: list[Outcome] = []
    failures: list[Exception] = []
    failed: set[str] = set()
    for group in plan.groups:
        ready = [action for action in group if not failed or find_instance(action) not in failed]
        for action, result in zip(ready, _perform_group(cluster, ready, world), strict=True):
            if isinstance(result, Exception):
                failures += [] if result in failures else [result]
                failed |= {find_instance(action)} - {""}
                continue
            observability.done(cluster, action, result)
            outcomes.append(result)
        if any(outcome.code is Code.LOST_RACE for outcome in outcomes):
            break
    return outcomes, failures


def _perform_group(cluster: str, group: list[Action], world: World) -> list[Outcome | Exception]:
    """Perform a group; answers for each action its outcome or what it raised."""
    changes = [action for action in group if isinstance(action, ReplaceRecord)]
    if len(changes) > 1:
        try:
            done = world.nodes.replace_all([(change.before, change.after) for change in changes])
            return [change.describe(done=one) for change, one in zip(changes, done, strict=True)]
        except ThrottledError as error:
            return [error] * len(changes)
        except Exception:  # noqa: BLE001, S110 - a single record is at fault: each goes by itself, and that one raises
            pass
    results: list[Outcome | Exception] = []
    for action in group:
        try:
            results.append(_perform(cluster, action, world))
        except Exception as error:  # noqa: BLE001 - the caller raises it
            results.append(error)
    return results


def _perform(  # noqa: C901, PLR0912 - one case for each kind of action
    cluster: str, action: Action, world: World
) -> Outcome:
    """Perform one action. Failures that are to be expected are in the outcome, all others are raised."""
    match action:
        case Register():
            return _do_register(action, world)
        case ReplaceRecord():
            return action.describe(done=world.nodes.replace(action.before, action.after))
        case RecordManagers():
            return _do_record_managers(cluster, action, world)
        case RecordOwners():
            return _do_record_owners(cluster, action, world)
        case RecordHostHealth():
            return _do_record_host_health(cluster, action, world)
        case Dispatch():
            return dispatch(cluster, action, world)
        case AskForTurn():
            return _do_ask_for_turn(action, world)
        case FetchResult():
            return _do_fetch_result(cluster, action, world)
        case Complete():
            return _do_complete(cluster, action, world)
        case Heartbeat():
            return _do_heartbeat(cluster, action, world)
        case Notify(incident):
            return notify(cluster, incident, world)
        case Forget(key):
            return _do_forget(cluster, key, world)
        case UpdateSettings():
            return _do_update_settings(cluster, action, world)
        case ReplaceJob(before, after):
            return _do_replace_job(cluster, before, after, world)
        case Send(job):
            return send_job(cluster, job, world)
        case _:
            assert_never(action)


def find_instance(action: Action) -> str:
    """Find the instance that an action is about; "" for none."""
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


def _do_register(action: Register, world: World) -> Outcome:
    world.nodes.register(action.nodes, owned=action.owned)
    return Outcome(detail=f"{len(action.nodes)} registered")


def _do_record_managers(cluster: str, action: RecordManagers, world: World) -> Outcome:
    world.managers.record(cluster, action.managers)
    return Outcome(detail=f"managers are {', '.join(action.managers) or 'none'}")


def _do_record_owners(cluster: str, action: RecordOwners, world: World) -> Outcome:
    world.nodes.record_owners(cluster, action.fleets)
    return Outcome(detail=f"fleets of the cluster: {', '.join(action.fleets)}")


def _do_record_host_health(cluster: str, action: RecordHostHealth, world: World) -> Outcome:
    note_host(cluster, action.manager, world, healthy=action.healthy)
    return Outcome(detail=f"{action.manager} {'did well' if action.healthy else 'failed'}")


def _do_ask_for_turn(action: AskForTurn, world: World) -> Outcome:
    """Ask once the record says that the node waits: whoever asks later sees it."""
    asked = TurnAsked(world.clock.now(), action.instance)
    return Outcome(detail=f"{action.instance} asks for its turn", event=asked)


def _do_forget(cluster: str, key: str, world: World) -> Outcome:
    world.incidents.delete(cluster, key)
    return Outcome(detail=f"{key} is forgotten")


def _do_update_settings(cluster: str, action: UpdateSettings, world: World) -> Outcome:
    world.settings.update(cluster, action.changes)
    return Outcome(detail=f"set: {', '.join(action.changes)}")


def _do_replace_job(cluster: str, before: Job | None, after: Job, world: World) -> Outcome:
    if world.jobs.replace(cluster, before, after):
        return Outcome(detail=f"{after.task.value}: {before.stage if before else 'new'} -> {after.stage}")
    return Outcome(Code.LOST_RACE, f"{after.task.value} was changed meanwhile")


def _do_fetch_result(cluster: str, action: FetchResult, world: World) -> Outcome:
    """Ask for a command; what the host says now is the next event. Another cluster's host is not believed."""
    now = world.clock.now()
    if (owner := world.nodes.find_owner(action.manager)) != cluster:
        failure = f"{action.manager} belongs to {owner or 'no cluster'} now: its answer does not count"
        failed = CommandFinished(now, action.command, action.manager, action.task, "Failed", failure=failure)
        return Outcome(detail=failure, event=failed)
    try:
        answer = world.hosts.fetch_answer(action.command, action.manager)
    except ThrottledError as error:
        return Outcome(Code.LEFT_OPEN, f"{action.command} is asked for again by the next tick: {error}")
    except RefusedError as error:  # for good, as far as it is known: the work is tried again, then given up
        failure = f"the result of {action.command} cannot be fetched: {error}"
        failed = CommandFinished(now, action.command, action.manager, action.task, "Failed", failure=failure)
        return Outcome(Code.FAILED, failure, failed)
    if answer.status in IN_FLIGHT:
        return Outcome(detail=answer.status, event=CommandRunning(now, action.command, action.manager))
    ended = InvocationEnded(now, action.command, action.manager)
    return Outcome(detail=answer.status, event=finish_command(ended, action.task, answer))


def _do_complete(cluster: str, action: Complete, world: World) -> Outcome:
    """Tell Auto Scaling, then record it: after a crash in between it is told twice, which is harmless."""
    try:
        for hook, result in action.results:
            world.autoscaling.complete(action.instance, hook, result)
    except (ThrottledError, RefusedError) as error:
        return Outcome(Code.LEFT_OPEN, f"the lifecycle action stays open, the tick tries again: {error}")
    if action.change:
        return _perform(cluster, action.change, world)
    return Outcome(detail=f"{action.instance}: completed")


def _do_heartbeat(cluster: str, action: Heartbeat, world: World) -> Outcome:
    try:
        for hook in action.hooks:
            world.autoscaling.record_heartbeat(action.instance, hook)
    except (ThrottledError, RefusedError) as error:
        return Outcome(Code.LEFT_OPEN, f"no heartbeat, the next tick tries again: {error}")
    return _perform(cluster, action.change, world)
