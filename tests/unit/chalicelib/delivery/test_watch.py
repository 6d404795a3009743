"""A handler that has sent an urgent evacuation stays with it to its end; a guard stays for the handler."""

from __future__ import annotations

from contextlib import suppress

import pytest

from chalicelib.actions import Dispatch
from chalicelib.adapters.patience import Patience
from chalicelib.delivery.dispatcher import dispatch
from chalicelib.errors import ThrottledError
from chalicelib.events import Answer, SpotInterruptionWarning
from chalicelib.protocol.messages import AgentTask
from chalicelib.routing import guard, handle
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from chalicelib.state.settings import Timeouts
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, Lab, a_node, instance
from tests.unit.chalicelib.support.killer import Killed, Killer
from tests.unit.chalicelib.support.samples import sample
from tests.unit.chalicelib.support.stories import change, end, state, warn

M1, M2, M3 = MANAGERS
HEDGE = Timeouts().hedge_s
WARNING = sample("spot_interruption_warning", START, instance_id=WORKER)


@pytest.fixture
def lab() -> Lab:
    return Lab(hedge=True)


def sent(lab: Lab) -> list[tuple[str, float]]:
    return [(one.manager, one.at - START) for one in lab.hosts.sent]


def warn_and_guard(lab: Lab) -> None:
    """Have the warning and its guard run; here the guard begins when the handler has left."""
    warn(lab)
    guard(WARNING, lab.world(holder="guard"))


def passed(lab: Lab) -> float:
    return lab.clock.time - START


def test_an_evacuation_whose_result_event_is_lost_ends_all_the_same(lab: Lab) -> None:
    warn_and_guard(lab)
    assert (state(lab), sent(lab)) == (NodeState.EVACUATED, [(M1, 0)])
    assert passed(lab) < 35


def test_a_manager_that_dies_after_it_began_is_hedged_and_its_successor_watched(lab: Lab) -> None:
    lab.hosts.hung = {M1}
    warn_and_guard(lab)
    assert (state(lab), [manager for manager, _ in sent(lab)]) == (NodeState.EVACUATED, [M1, M2])
    assert HEDGE <= sent(lab)[1][1] < 25
    assert passed(lab) < 40


def test_an_agent_that_dies_is_followed_by_one_elsewhere_though_no_event_says_so(lab: Lab) -> None:
    lab.hosts.broken = {M1}
    warn_and_guard(lab)
    assert (state(lab), [manager for manager, _ in sent(lab)]) == (NodeState.EVACUATED, [M1, M2])
    assert passed(lab) < 45


@pytest.mark.parametrize(("hung", "broken"), [({M1, M2}, set()), ({M1}, {M2}), ({M2}, {M1})])
def test_two_that_die_one_after_the_other_cost_less_than_a_minute(
    lab: Lab, hung: set[str], broken: set[str]
) -> None:
    lab.hosts.hung, lab.hosts.broken = hung, broken
    warn_and_guard(lab)
    assert (state(lab), [manager for manager, _ in sent(lab)]) == (NodeState.EVACUATED, [M1, M2, M3])
    assert passed(lab) < 60


def test_a_long_evacuation_is_sent_to_each_manager_and_once_more_at_most(lab: Lab) -> None:
    lab.hosts.hung = {M1, M2, M3}
    warn_and_guard(lab)
    assert [manager for manager, _ in sent(lab)] == [M1, M2, M3, M1]
    assert passed(lab) < 150, "before Lambda ends the guard"


def test_the_handler_leaves_at_once_as_its_runs_are_few(lab: Lab) -> None:
    lab.hosts.hung = {M1, M2, M3}
    warn(lab)
    assert (sent(lab), passed(lab)) == ([(M1, 0)], 0)


def test_without_a_guard_who_has_sent_stays_for_some_seconds(lab: Lab) -> None:
    lab.hosts.hung = {M1, M2, M3}
    change(lab, "shutting-down")
    assert [manager for manager, _ in sent(lab)] == [M1, M2]
    assert passed(lab) <= 18


def test_an_evacuation_that_another_handler_ends_is_left(lab: Lab) -> None:
    ends: list[float] = []
    sleep = lab.clock.sleep

    def meanwhile(seconds: float) -> None:
        sleep(seconds)
        if lab.hosts.sent and not ends:
            ends.append(passed(lab))
            end(lab, lab.hosts.sent[0])

    lab.clock.sleep = meanwhile  # type: ignore[method-assign]
    warn_and_guard(lab)
    assert (state(lab), sent(lab)) == (NodeState.EVACUATED, [(M1, 0)])
    assert passed(lab) < 20


def test_work_that_somebody_opened_again_and_never_sent_is_sent(lab: Lab) -> None:
    opened: list[float] = []
    sleep = lab.clock.sleep

    def meanwhile(seconds: float) -> None:
        sleep(seconds)
        node = lab.node()
        if node.command and not opened:
            opened.append(passed(lab))
            lab.nodes.replace(node, node.reopen(due=lab.clock.time, reason="its handler died here"))

    lab.clock.sleep = meanwhile  # type: ignore[method-assign]
    warn_and_guard(lab)
    assert (state(lab), [manager for manager, _ in sent(lab)]) == (NodeState.EVACUATED, [M1, M2])
    assert passed(lab) < 45


def test_others_can_send_meanwhile(lab: Lab) -> None:
    sleep, leases = lab.clock.sleep, []

    def seen(seconds: float) -> None:
        leases.append((lab.node().command, dict(lab.lease.leases)))
        sleep(seconds)

    lab.clock.sleep = seen  # type: ignore[method-assign]
    warn_and_guard(lab)
    assert ("command-1", {}) in leases


def test_a_storm_costs_few_commands_more_not_one_for_each_node(lab: Lab) -> None:
    names = [instance(number) for number in range(100, 350)]
    lab.nodes.register(
        a_node(instance=name, state=NodeState.EVACUATING, deadline=START + 120, due=START) for name in names
    )
    lab.hosts.takes = 10
    warn_and_guard(lab)
    assert [len(one.arguments.targets) for one in lab.hosts.sent[:3]] == [100, 100, 51]
    assert len(lab.hosts.sent) <= 6


@pytest.mark.parametrize(("deadline", "seconds"), [(START + 600, 40.0), (START + 120, 0.0)])
def test_nobody_stays_with_what_is_not_urgent_or_was_sent_by_the_tick(
    lab: Lab, deadline: float, seconds: float
) -> None:
    node = lab.node()
    doomed = node.enter(NodeState.EVACUATING, since=START, reason="", deadline=deadline, due=START)
    lab.nodes.replace(node, doomed)
    outcome = dispatch("blue", Dispatch(WORKER, seconds), lab.world())
    assert (outcome.watch, lab.clock.time) == (None, START)


def test_where_aws_does_not_answer_nothing_is_sent_again(lab: Lab) -> None:
    answer = lab.hosts.fetch_answer

    def throttled(command: str, manager: str) -> Answer:
        if lab.clock.time > START:
            raise ThrottledError("Rate exceeded")
        return answer(command, manager)

    lab.hosts.fetch_answer = throttled  # type: ignore[method-assign]
    warn_and_guard(lab)
    assert (sent(lab), state(lab)) == ([(M1, 0)], NodeState.EVACUATING)


STEPS = {
    "nodes": ("find_owner", "get", "replace", "list_open"),
    "lease": ("acquire", "release"),
    "hosts": ("send", "fetch_answer"),
    "clock": ("sleep",),
}


@pytest.mark.parametrize("hung", [False, True], ids=["managers live", "its manager dies too"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 17))
def test_the_guard_takes_over_wherever_the_handler_dies(
    lab: Lab, at: int, *, after: bool, hung: bool
) -> None:
    lab.hosts.hung = {M1} if hung else set()
    killer = Killer(at, after)
    wrapped = [
        (target, name, getattr(target, name))
        for part, names in STEPS.items()
        for target in [getattr(lab, part)]
        for name in names
    ]
    for target, name, step in wrapped:
        setattr(target, name, killer.wrap(step))
    with suppress(Killed):
        handle(SpotInterruptionWarning, WARNING, lab.world(holder="dying"))
    for target, name, step in wrapped:
        setattr(target, name, step)
    lab.clock.time = START  # the guard began at the same time
    guard(WARNING, lab.world(holder="guard"))
    assert state(lab) is NodeState.EVACUATED
    assert passed(lab) < 60


def test_while_the_handler_lives_its_guard_sends_nothing_and_leaves_at_the_end() -> None:
    watched = Lab()
    warn(watched)
    ends: list[float] = []
    sleep = watched.clock.sleep

    def meanwhile(seconds: float) -> None:
        sleep(seconds)
        if not ends:
            ends.append(passed(watched))
            end(watched, watched.hosts.sent[0])

    watched.clock.sleep = meanwhile  # type: ignore[method-assign]
    assert guard(WARNING, watched.world(timeouts=Timeouts())) == []
    assert (sent(watched), state(watched)) == ([(M1, 0)], NodeState.EVACUATED)
    assert passed(watched) < 30


def test_a_guard_that_comes_late_begins_nothing_anew(lab: Lab) -> None:
    lab.clock.sleep(100)
    assert guard(WARNING, lab.world()) == []
    assert (state(lab), sent(lab)) == (NodeState.IN_SERVICE, [])


def test_the_guard_leaves_instances_that_are_nobodys_and_events_that_are_none(lab: Lab) -> None:
    lab.discoveries.finish(START + 1, ["blue"])
    payload = sample("spot_interruption_warning", START, instance_id=instance(999))
    assert guard(payload, lab.world()) == []
    assert lab.ec2.asked == 0
    assert guard({"detail-type": "nonsense"}, lab.world()) == []
    assert [one.task for one in lab.hosts.sent if one.task is AgentTask.EVACUATE] == []


def test_a_guard_waits_out_refused_calls_though_it_begins_late(lab: Lab) -> None:
    """The budget of others is half used up by its first look; then a batch is sent, and must be recorded."""
    patience = Patience(lab.clock)
    patience.begin()
    waited: list[bool] = []
    get = lab.nodes.get

    def refused_for_long(cluster: str, instance: str) -> Node | None:
        lab.clock.sleep(20.0)
        waited.append(patience.back_off(1, lab.clock.time - 20.0))
        return get(cluster, instance)

    lab.nodes.get = refused_for_long  # type: ignore[method-assign]
    lab.clock.sleep(15.0)
    guard(WARNING, lab.world(holder="guard"))
    assert waited[0]
