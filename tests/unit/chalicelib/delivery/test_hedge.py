"""A handler that has sent an urgent evacuation stays with it, as the manager may fail meanwhile."""

from __future__ import annotations

import pytest

from chalicelib.actions import Dispatch
from chalicelib.delivery.dispatcher import dispatch
from chalicelib.errors import ThrottledError
from chalicelib.events import Answer
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.settings import Timeouts
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, Lab, a_node, instance
from tests.unit.chalicelib.support.stories import end, state, tick, warn

M1, M2, M3 = MANAGERS
STAY = Timeouts().hedge_s


@pytest.fixture
def lab() -> Lab:
    return Lab(hedge=True)


def sent(lab: Lab) -> list[tuple[str, float]]:
    return [(one.manager, one.at - START) for one in lab.hosts.sent]


def test_a_manager_that_fails_after_it_began_is_hedged_inside_the_notice(lab: Lab) -> None:
    lab.hosts.hung = {M1}
    warn(lab)
    assert sent(lab) == [(M1, 0), (M2, STAY)]
    end(lab, lab.hosts.sent[1])
    assert state(lab) is NodeState.EVACUATED
    assert lab.clock.time < START + 30


def test_an_evacuation_that_ended_in_time_is_asked_for_once_and_not_sent_again(lab: Lab) -> None:
    asked, answer = [], lab.hosts.fetch_answer

    def counted(command: str, manager: str) -> Answer:
        asked.append(lab.clock.time - START)
        return answer(command, manager)

    lab.hosts.fetch_answer = counted  # type: ignore[method-assign]
    warn(lab)
    assert sent(lab) == [(M1, 0)]
    assert asked == [0, STAY]


def test_a_long_evacuation_is_sent_to_each_manager_and_once_more_at_most(lab: Lab) -> None:
    lab.hosts.takes = 1000
    warn(lab)
    for _ in range(10):
        tick(lab)
        lab.clock.sleep(60)
    assert [manager for manager, _ in sent(lab)] == [M1, M2, M3, M1]


def test_others_can_send_meanwhile(lab: Lab) -> None:
    sleep, leases = lab.clock.sleep, []

    def seen(seconds: float) -> None:
        leases.append((seconds, dict(lab.lease.leases)))
        sleep(seconds)

    lab.clock.sleep = seen  # type: ignore[method-assign]
    warn(lab)
    assert (STAY, {}) in leases


def test_a_storm_costs_one_command_more_not_one_for_each_node(lab: Lab) -> None:
    names = [instance(number) for number in range(100, 350)]
    lab.nodes.register(
        a_node(instance=name, state=NodeState.EVACUATING, deadline=START + 120, due=START) for name in names
    )
    lab.hosts.takes = 100
    warn(lab)
    assert [len(one.arguments.targets) for one in lab.hosts.sent] == [100, 100, 51, 51]


@pytest.mark.parametrize(
    ("deadline", "seconds"), [(START + 600, 40.0), (START + 120, 0.0), (START + 120, STAY - 1)]
)
def test_nothing_is_hedged_if_not_urgent_or_sent_by_the_tick_or_time_is_short(
    lab: Lab, deadline: float, seconds: float
) -> None:
    node = lab.node()
    doomed = node.enter(NodeState.EVACUATING, since=START, reason="", deadline=deadline, due=START)
    lab.nodes.replace(node, doomed)
    lab.hosts.takes = 100
    outcome = dispatch("blue", Dispatch(WORKER, seconds), lab.world())
    assert (outcome.event, lab.clock.time) == (None, START)


def test_where_aws_does_not_answer_the_tick_asks(lab: Lab) -> None:
    answer = lab.hosts.fetch_answer

    def throttled(command: str, manager: str) -> Answer:
        if lab.clock.time > START:
            raise ThrottledError("Rate exceeded")
        return answer(command, manager)

    lab.hosts.fetch_answer = throttled  # type: ignore[method-assign]
    warn(lab)
    assert (sent(lab), state(lab)) == ([(M1, 0)], NodeState.EVACUATING)
