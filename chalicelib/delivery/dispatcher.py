"""Send open work: one handler at a time of each cluster batches it, and one command carries a batch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.actions import Code, Outcome, Watch
from chalicelib.adapters.patience import jittered_s
from chalicelib.adapters.ports import OPEN_WORK_AHEAD_S
from chalicelib.delivery.batching import MAX_MANAGER_COMMANDS, count_in_flight, hold_s, next_batch, next_joins
from chalicelib.delivery.circuit_breaker import note_host
from chalicelib.delivery.join_command import send_join
from chalicelib.delivery.manager_choice import choose_manager
from chalicelib.delivery.postpone import leave_out, postpone
from chalicelib.errors import RefusedError, ThrottledError, UnreachableError
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

LEASE_S = 15.0  # longer than one try of one manager takes, and renewed before each
LEASE_POLL_S = 3.0
START_TIMEOUT_S = 5.0  # for a host to start a command; measured on healthy ones: under one
START_POLL_S = 0.3
FIRST_BACK_OFF_S = 1.0  # after all managers have failed, or a call was throttled
LONGEST_BACK_OFF_S = 10.0
MAX_WATCH_S = 16.0  # enough to hedge once; then the guard stays on: the runs kept for warnings are few
OVERTIME_S = 10.0  # past a deadline, in which an agent may still work and answer
MAX_COMMANDS = 100  # of one handler, however much there is to send


@dataclass(slots=True)
class Round:
    """How the sending goes: managers failed since the last success or back-off, back-offs, nodes sent.

    ``urgent``: the nodes whose evacuation a manager began for a deadline that is near, and the last of these.
    """

    until: float
    failed: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)  # managers with enough to do
    throttled: bool = False
    may_pass: bool = False  # somebody failed in another way than that AWS refuses the command
    back_offs: int = 0
    sent: int = 0
    held: bool = False  # the batch was held once for more
    urgent: set[str] = field(default_factory=set)
    deadline: float = 0.0


def dispatch(cluster: str, action: Dispatch, world: World) -> Outcome:
    """Send all open work of the cluster, or have the handler that is at it look again before it ends.

    Work that this handler has recorded is then sent by the other one, or by the tick if that one dies. So
    nobody has to wait, however many come; only the first one stands by, and is quicker than the tick.
    A handler that has sent an urgent evacuation is to watch it (watch.py), but lets the lease go first.
    """
    until, stands_by, rechecks = world.clock.now() + action.seconds, False, None
    state = Round(until)
    while rechecks is None:
        # A recheck is requested first: in a storm somebody has the lease, and that is then the only call.
        requested = 0 if stands_by else world.lease.request_recheck(cluster, world.clock.now())
        stands_by = stands_by or requested == 1
        if requested > 1 or (stands_by and not _stand_by(cluster, action.instance, until, world)):
            return Outcome(detail="another handler sends what is open")
        rechecks = world.lease.acquire(cluster, world.holder, world.clock.now(), LEASE_S)
    try:
        outcome = _send_until_no_recheck(cluster, rechecks, state, world)
    except Exception:
        world.lease.release(cluster, world.holder)
        raise
    return replace(outcome, watch=_make_watch(state, world)) if action.seconds and state.urgent else outcome


def _make_watch(state: Round, world: World) -> Watch:
    now = world.clock.now()
    until = min(state.deadline + OVERTIME_S, now + MAX_WATCH_S)
    return Watch(frozenset(state.urgent), now, until)


def _stand_by(cluster: str, instance: str, until: float, world: World) -> bool:
    """Wait a while; False if the node is sent then, or there is no more time."""
    if world.clock.now() >= until:
        return False
    world.clock.sleep(LEASE_POLL_S)
    node = world.nodes.get(cluster, instance)
    return node is not None and node.is_unsent


def _send_until_no_recheck(cluster: str, rechecks: int, state: Round, world: World) -> Outcome:
    """Send until no further recheck was requested: its work may be recorded after the last poll."""
    while True:
        outcome = _send_all(cluster, state, world)
        if world.lease.release(cluster, world.holder, rechecks):
            return outcome
        now = world.clock.now()
        if outcome.code is not Code.DONE and now >= state.until:
            world.lease.release(cluster, world.holder)  # the tick goes on for all
            return outcome
        again = world.lease.acquire(cluster, world.holder, now, LEASE_S)
        if again is None:
            return outcome  # the lease ran out: its new holder polls too
        rechecks = again


def _send_all(cluster: str, state: Round, world: World) -> Outcome:
    """Send one command after the other until a poll finds nothing to send.

    A manager that fails is followed by the next at once; when all have failed, or AWS throttles calls, a
    back-off comes first. Work that is still unsent when the time is over stays open for the tick. What AWS
    has refused for every manager is put off, and the rest is sent.
    """
    for _ in range(MAX_COMMANDS):
        if world.settings.get(cluster).paused:
            return Outcome(detail=f"paused; nodes sent: {state.sent}")
        now = world.clock.now()
        nodes = world.nodes.list_open(cluster, now + OPEN_WORK_AHEAD_S)
        if misfits := [node for node in nodes if node.is_ready(now) and node.misfit]:
            leave_out(cluster, misfits, world)
        batch = next_batch(nodes, now) or _next_joins(cluster, nodes, now, world)
        if batch is None:
            return Outcome(detail=f"nodes sent: {state.sent}")
        in_flight = count_in_flight(nodes)
        wait_s = 0.0 if state.held else hold_s(batch, in_flight, now)
        state.held = 0.0 < wait_s < state.until - now
        if state.held:  # once, for more to send together
            world.clock.sleep(wait_s)
            continue
        if world.lease.acquire(cluster, world.holder, world.clock.now(), LEASE_S) is None:
            left = "the lease ran out, its new holder sends the rest"
            return Outcome(detail=f"nodes sent: {state.sent}; {left}")
        state.busy = {name for name, number in in_flight.items() if number >= MAX_MANAGER_COMMANDS}
        send = _send_to_instances if batch.place is Place.INSTANCE else _send_to_a_manager
        if end := send(cluster, batch, state, world):
            return end
    return Outcome(Code.LEFT_OPEN, f"more to send after {MAX_COMMANDS} commands, the tick goes on")


def _next_joins(cluster: str, nodes: Iterable[Node], now: float, world: World) -> Batch | None:
    """Choose the next instances to join; the managers are read only where some are ready."""
    ready = [node for node in nodes if node.task is AgentTask.JOIN and node.is_ready(now)]
    return next_joins(ready, now, world.managers.list_hosts(cluster)) if ready else None


def _send_to_instances(cluster: str, batch: Batch, state: Round, world: World) -> Outcome | None:
    """Have the instances themselves join. An outcome ends the sending, None goes on."""
    sent, problem = send_join(cluster, batch, world)
    state.sent += sent
    if not problem:
        return None
    state.throttled = True
    return (
        None
        if _can_go_on(cluster, state, world)
        else Outcome(Code.LEFT_OPEN, _describe_unsent(batch, problem))
    )


def _send_to_a_manager(cluster: str, batch: Batch, state: Round, world: World) -> Outcome | None:
    """Have one manager run the batch. An outcome ends the sending, None goes on."""
    avoid = state.failed | state.busy | {node.manager for node in batch.nodes}
    tried = [sent.manager for node in batch.nodes for sent in node.earlier]
    host = choose_manager(world.managers.list_hosts(cluster), world.clock.now(), avoid, tried=tried)
    if host is None:
        return Outcome(Code.LEFT_OPEN, "no manager is known: tag one with swarmkeeper:role=manager")
    if problem := _try_manager(cluster, host.instance, batch, state, world):
        measure(cluster, [Measure(Metric.COMMAND_FAILURES)])
        warn(problem, cluster=cluster, manager=host.instance, task=batch.task.value)
        if _can_go_on(cluster, state, world):
            return None
        if state.may_pass:
            return Outcome(Code.LEFT_OPEN, _describe_unsent(batch, problem))
        postpone(batch.nodes, problem, world)
    return None


def _describe_unsent(batch: Batch, problem: str) -> str:
    return f"{batch.task.value} is not sent, nodes: {len(batch.nodes)}, the tick tries again: {problem}"


def _can_go_on(cluster: str, state: Round, world: World) -> bool:
    """Whether there is somebody else to try, at once or after a back-off that the time allows."""
    now = world.clock.now()
    host = choose_manager(world.managers.list_hosts(cluster), now, state.failed)
    if not state.throttled and host and host.instance not in state.failed and host.breaker.open_until <= now:
        return True
    back_off = jittered_s(FIRST_BACK_OFF_S, state.back_offs, LONGEST_BACK_OFF_S)
    if now + back_off >= state.until:
        return False
    world.clock.sleep(back_off)
    state.failed.clear()
    state.throttled = False
    state.back_offs += 1
    return True


def _try_manager(cluster: str, manager: str, batch: Batch, state: Round, world: World) -> str:
    """Have one manager run the batch; answers "" or why it does not."""
    now = world.clock.now()
    try:
        command = world.hosts.send((manager,), cluster, batch.task, batch.arguments(now), batch.seconds(now))
    except ThrottledError as error:
        state.throttled = state.may_pass = True
        return str(error)  # not the manager's fault: the same one again, after a back-off
    except UnreachableError as error:
        state.may_pass = True
        return _fail(cluster, manager, str(error), state, world)
    except RefusedError as error:
        return _fail(cluster, manager, str(error), state, world)
    due = now + world.timeouts.answer_s
    pairs = [(node, node.mark_sent(command, manager, due=due)) for node in batch.nodes]
    done = world.nodes.replace_all(pairs)
    marked = [after for (_, after), is_done in zip(pairs, done, strict=True) if is_done]
    if not _has_started(command, manager, world):
        state.may_pass = True
        _cancel(command, manager, world)
        problem = f"{manager} did not start {command} within {START_TIMEOUT_S:.0f} s"
        world.nodes.replace_all([(node, _take_back(node, problem, world)) for node in marked])
        return _fail(cluster, manager, problem, state, world)
    note_host(cluster, manager, world, healthy=True)
    measure(cluster, [Measure(Metric.COMMANDS_SENT)])
    state.failed.clear()
    state.may_pass = False
    state.back_offs, state.sent = 0, state.sent + len(marked)
    if batch.task is AgentTask.EVACUATE and batch.deadline <= now + world.timeouts.notice_s:
        state.urgent |= {node.instance for node in marked}
        state.deadline = max(state.deadline, batch.deadline)
    return ""


def _take_back(node: Node, problem: str, world: World) -> Node:
    """Return the node as if it had not been sent: only what ran counts as an attempt."""
    return replace(node.reopen(due=world.clock.now(), reason=problem), attempts=node.attempts - 1)


def _fail(cluster: str, manager: str, problem: str, state: Round, world: World) -> str:
    state.failed.add(manager)
    note_host(cluster, manager, world, healthy=False)
    return problem


def _cancel(command: str, manager: str, world: World) -> None:
    try:
        world.hosts.cancel(command, manager)
    except RefusedError as error:
        warn(f"{command} stays with {manager}: {error}")


def _has_started(command: str, manager: str, world: World) -> bool:
    """Whether the host starts the command in time. If AWS does not say so, yes: the tick asks later."""
    until = world.clock.now() + START_TIMEOUT_S
    while world.clock.now() < until:
        try:
            if world.hosts.fetch_answer(command, manager).status not in NOT_STARTED:
                return True
        except (ThrottledError, RefusedError):
            return True
        world.clock.sleep(START_POLL_S)
    return False
