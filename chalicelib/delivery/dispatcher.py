"""Send what is open: one handler at a time per cluster gathers it, and one command carries it."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.actions import Code, Outcome
from chalicelib.delivery.batching import crowded, gathering, next_batch, next_joins
from chalicelib.delivery.circuit_breaker import after_failure, after_success
from chalicelib.delivery.hedge import stay
from chalicelib.delivery.join_command import invite
from chalicelib.delivery.manager_choice import choose
from chalicelib.errors import ThrottledError, UnreachableError
from chalicelib.events import NOT_STARTED
from chalicelib.metrics import Measure, Metric
from chalicelib.observability import measure, warn
from chalicelib.protocol.messages import AgentTask
from chalicelib.state.lifecycle import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.actions import Dispatch
    from chalicelib.adapters.ports import World
    from chalicelib.delivery.batching import Batch
    from chalicelib.state.node import Node

LEASE = 15.0  # seconds; longer than one try of one manager takes, and renewed before each
PICK_UP = 5.0  # seconds for a host to start a command; measured on healthy ones: under one
TRIES = 100  # commands of one handler, however much there is to send
LOOK = 0.3  # seconds between two looks at a command
AHEAD = 86_400.0  # seconds; work that is out is due later, and tells how busy the managers are
STAND_BY = 3.0  # seconds between two looks whether the lease is free
MANY = 10  # records, from which on they are written at once: 100 in a row could outlast the lease


@dataclass(slots=True)
class Round:
    """How the sending goes: managers failed since the last success or pause, pauses in a row, nodes sent.

    ``urgent``: of each manager the last evacuation that it began for a deadline that is near.
    """

    until: float
    failed: set[str] = field(default_factory=set)
    crowd: frozenset[str] = frozenset()  # managers with enough to do
    throttled: bool = False
    pauses: int = 0
    sent: int = 0
    gathered: bool = False  # it was waited for more
    urgent: dict[str, str] = field(default_factory=dict)


def dispatch(cluster: str, action: Dispatch, world: World) -> Outcome:
    """Send all open work of the cluster, or have the handler which is at it look again before it ends.

    What a handler has recorded is then sent by that look, or found by the tick if the other one dies. So
    nobody has to wait, however many come; only the first one stands by, and is quicker than the tick.
    Who has sent an urgent evacuation stays with it, but lets the lease go first.
    """
    until, standing_by = world.clock.now() + action.seconds, False
    state = Round(until)
    while (rechecks := world.lease.acquire(cluster, world.holder, world.clock.now(), LEASE)) is None:
        called = 0 if standing_by else world.lease.request_recheck(cluster, world.clock.now())
        standing_by = standing_by or called == 1
        if called > 1 or (standing_by and not _stand_by(cluster, action.instance, until, world)):
            return Outcome(detail="another handler sends what is open")
    try:
        outcome = _send_until_nobody_requests_more(cluster, rechecks, state, world)
    except Exception:
        world.lease.release(cluster, world.holder)
        raise
    return replace(outcome, event=stay(state.urgent, world, until)) if action.seconds else outcome


def _stand_by(cluster: str, instance: str, until: float, world: World) -> bool:
    """Wait a while; False if the node is sent then, or there is no more time."""
    if world.clock.now() >= until:
        return False
    world.clock.sleep(STAND_BY)
    node = world.nodes.get(cluster, instance)
    return node is not None and node.is_unsent


def _send_until_nobody_requests_more(cluster: str, rechecks: int, state: Round, world: World) -> Outcome:
    """Send until no further recheck was requested: its work may be recorded after the last poll."""
    while True:
        outcome = _send_all(cluster, state, world)
        if world.lease.release(cluster, world.holder, rechecks):
            return outcome
        now = world.clock.now()
        if outcome.code is not Code.DONE and now >= state.until:
            world.lease.release(cluster, world.holder)  # the tick goes on for all
            return outcome
        again = world.lease.acquire(cluster, world.holder, now, LEASE)
        if again is None:
            return outcome  # the lease ran out: its new holder looks too
        rechecks = again


def _send_all(cluster: str, state: Round, world: World) -> Outcome:
    """One command after the other until a look finds nothing to send.

    A manager that fails is followed by the next at once; when all have failed, or AWS asks for fewer calls,
    a pause comes first. What is still not sent when the time is over stays open for the tick.
    """
    for _ in range(TRIES):
        if world.settings.get(cluster).paused:
            return Outcome(detail=f"paused; nodes sent: {state.sent}")
        now = world.clock.now()
        nodes = world.nodes.list_open(cluster, now + AHEAD)
        batch = next_batch(nodes, now) or next_joins(nodes, now, world.managers.list_hosts(cluster))
        if batch is None:
            return Outcome(detail=f"nodes sent: {state.sent}")
        if _gather(batch, nodes, state, world):
            continue
        if world.lease.acquire(cluster, world.holder, world.clock.now(), LEASE) is None:
            return Outcome(
                detail=f"nodes sent: {state.sent}; the lease ran out, its new holder sends the rest"
            )
        if batch.place is Place.INSTANCE:
            sent, problem = invite(cluster, batch, world)
            state.sent += sent
            if problem:
                return Outcome(Code.LEFT_OPEN, _left(batch, problem))
            continue
        state.crowd = crowded(nodes)
        if end := _assign(cluster, batch, state, world):
            return end
    return Outcome(Code.LEFT_OPEN, f"more to send after {TRIES} commands, the tick goes on")


def _gather(batch: Batch, nodes: Iterable[Node], state: Round, world: World) -> bool:
    """Wait once for more to send together; False if the batch is to go now."""
    wait = 0.0 if state.gathered else gathering(batch, nodes, world.clock.now())
    state.gathered = 0.0 < wait < state.until - world.clock.now()
    if state.gathered:
        world.clock.sleep(wait)
    return state.gathered


def _assign(cluster: str, batch: Batch, state: Round, world: World) -> Outcome | None:
    """Have one manager run the batch. An outcome ends the sending, None goes on."""
    avoid = state.failed | state.crowd | {node.manager for node in batch.nodes}
    again = any(node.attempts for node in batch.nodes)
    host = choose(world.managers.list_hosts(cluster), world.clock.now(), avoid, again=again)
    if host is None:
        return Outcome(Code.LEFT_OPEN, "no manager is known: tag one with swarmkeeper:role=manager")
    if problem := _try(cluster, host.instance, batch, state, world):
        measure(cluster, [Measure(Metric.COMMAND_FAILURES)])
        warn(problem, cluster=cluster, manager=host.instance, task=batch.task.value)
        if not _go_on(cluster, state, world):
            return Outcome(Code.LEFT_OPEN, _left(batch, problem))
    return None


def _left(batch: Batch, problem: str) -> str:
    return f"{batch.task.value} is not sent, nodes: {len(batch.nodes)}, the tick tries again: {problem}"


def _go_on(cluster: str, state: Round, world: World) -> bool:
    """Whether there is somebody else to try, at once or after a pause that the time allows."""
    now = world.clock.now()
    host = choose(world.managers.list_hosts(cluster), now, state.failed)
    if not state.throttled and host and host.instance not in state.failed and host.breaker.open_until <= now:
        return True
    pause = backoff(state.pauses)
    if now + pause >= state.until:
        return False
    world.clock.sleep(pause)
    state.failed.clear()
    state.throttled = False
    state.pauses += 1
    return True


def backoff(pauses: int) -> float:
    """Seconds of the next pause: exponential, with jitter."""
    return random.uniform(0.5, 1.0) * min(2.0**pauses, 10.0)  # noqa: S311


def _try(cluster: str, manager: str, batch: Batch, state: Round, world: World) -> str:
    """Have one manager run the batch; answers "" or why it does not."""
    now = world.clock.now()
    try:
        command = world.hosts.send((manager,), cluster, batch.task, batch.arguments, batch.seconds(now))
    except ThrottledError as error:
        state.throttled = True
        return str(error)  # not the manager's fault: the same one again, after a pause
    except UnreachableError as error:
        return _failed(cluster, manager, str(error), state, world)
    due = now + world.timeouts.answer_s
    moves = [(node, node.mark_sent(command, manager, due=due)) for node in batch.nodes]
    marked = [after for (_, after), done in zip(moves, _marked(moves, world), strict=True) if done]
    if not _picked_up(command, manager, world):
        world.hosts.cancel(command, manager)
        problem = f"{manager} did not start {command} within {PICK_UP:.0f} s"
        for node in marked:  # as if it had not been sent: only what ran counts as an attempt
            open_again = node.reopen(due=world.clock.now(), reason=problem)
            world.nodes.replace(node, replace(open_again, attempts=node.attempts - 1))
        return _failed(cluster, manager, problem, state, world)
    note_host(cluster, manager, world, healthy=True)
    measure(cluster, [Measure(Metric.COMMANDS_SENT)])
    state.failed.clear()
    state.pauses, state.sent = 0, state.sent + len(marked)
    if batch.task is AgentTask.EVACUATE and batch.deadline <= now + world.timeouts.notice_s:
        state.urgent[manager] = command
    return ""


def _marked(moves: list[tuple[Node, Node]], world: World) -> list[bool]:
    """Which of the records could be replaced."""
    if len(moves) < MANY:
        return [world.nodes.replace(before, after) for before, after in moves]
    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(lambda move: world.nodes.replace(*move), moves))


def _failed(cluster: str, manager: str, problem: str, state: Round, world: World) -> str:
    state.failed.add(manager)
    note_host(cluster, manager, world, healthy=False)
    return problem


def _picked_up(command: str, manager: str, world: World) -> bool:
    """Whether the host starts the command in time. If AWS forbids to look, yes: the tick asks later."""
    until = world.clock.now() + PICK_UP
    while world.clock.now() < until:
        try:
            if world.hosts.fetch_answer(command, manager).status not in NOT_STARTED:
                return True
        except ThrottledError:
            return True
        world.clock.sleep(LOOK)
    return False


def note_host(cluster: str, manager: str, world: World, *, healthy: bool) -> None:
    """Tell the manager's breaker how the host behaved."""
    now = world.clock.now()
    before = world.managers.get_breaker(cluster, manager)
    after = after_success(now) if healthy else after_failure(before, now)
    world.managers.record_breaker(cluster, manager, after, now)
    if after.open_until > now:
        measure(cluster, [Measure(Metric.BREAKERS_OPENED, instance=manager)])
