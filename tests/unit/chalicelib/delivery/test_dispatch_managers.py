"""Sending: which manager is sent to, the next one when one fails, a pause when AWS asks for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Code, Dispatch
from chalicelib.delivery.dispatcher import dispatch
from chalicelib.state.cluster import Breaker
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.dispatching import open_work, out, sent_to, three_managers
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, WORKER_2, Lab, instance

M1, M2, M3 = MANAGERS


@pytest.fixture
def lab() -> Lab:
    return three_managers()


def test_an_unreachable_manager_is_followed_by_the_next_at_once(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.unreachable = {M1}
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert sent_to(lab) == [M2]
    assert lab.clock.time - START < 1
    assert lab.managers.get_breaker("blue", M1) == Breaker(1)
    assert lab.managers.get_breaker("blue", M2).good > 0


def test_a_frozen_manager_has_five_seconds_and_its_command_is_taken_back(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.frozen = {M1}
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert sent_to(lab) == [M1, M2]
    assert lab.hosts.cancelled == {"command-1"}
    assert 5 <= lab.clock.time - START < 6
    assert (lab.node().command, lab.node().manager, lab.node().attempts) == ("command-2", M2, 1)


def test_the_manager_that_did_well_is_asked_first_the_next_time(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.frozen = {M1}
    dispatch("blue", Dispatch(WORKER), lab.world())
    open_work(lab, WORKER_2)
    dispatch("blue", Dispatch(WORKER_2), lab.world())
    assert sent_to(lab) == [M1, M2, M2]


def test_throttling_is_waited_out_with_the_same_manager(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.throttled = 3
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert sent_to(lab) == [M1]
    assert 3.5 <= lab.clock.time - START <= 8
    assert lab.managers.get_breaker("blue", M1).failures == 0


def test_throttling_after_a_failed_manager_pauses_too(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.managers.record_breaker("blue", M1, Breaker(1), START)
    lab.hosts.unreachable = {M2}
    lab.hosts.throttled = 2
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert sent_to(lab) == [M3]
    assert lab.clock.time > START + 1


def test_when_all_fail_the_rounds_go_on_until_one_is_back(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.unreachable = set(MANAGERS)

    def recover() -> None:
        if lab.clock.time > START + 5:
            lab.hosts.unreachable = set()

    lab.hosts.pause = recover
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert len(sent_to(lab)) == 1


def test_when_all_fail_to_the_end_the_work_stays_open_and_the_outcome_says_so(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.unreachable = set(MANAGERS)
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    assert outcome.code is Code.LEFT_OPEN
    assert outcome.detail.startswith(
        "evacuate is not sent, nodes: 1, the tick tries again: Run Command cannot reach"
    )
    assert lab.clock.time - START <= 41
    assert lab.node().is_unsent
    assert lab.lease.leases == {}
    assert all(lab.managers.get_breaker("blue", manager).open_until > lab.clock.time for manager in MANAGERS)


def test_the_tick_gives_a_cluster_without_a_working_manager_one_try(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.frozen = set(MANAGERS)
    for manager in MANAGERS:
        lab.managers.record_breaker("blue", manager, Breaker(5, START + 100), START)
    assert dispatch("blue", Dispatch(seconds=0), lab.world()).code is Code.LEFT_OPEN
    assert len(lab.hosts.sent) == 1
    assert lab.clock.time - START < 6


def test_an_evacuating_manager_is_not_asked_to_evacuate_itself(lab: Lab) -> None:
    manager = lab.node(M1)
    lab.nodes.replace(
        manager, manager.enter(NodeState.EVACUATING, since=START, reason="", deadline=START + 120, due=START)
    )
    dispatch("blue", Dispatch(M1), lab.world())
    assert sent_to(lab) == [M2]


def test_without_a_manager_it_says_what_to_tag(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.managers.record("blue", ())
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    assert (outcome.code, "tag one with swarmkeeper:role=manager" in outcome.detail) == (Code.LEFT_OPEN, True)


def test_a_manager_with_four_commands_gets_no_fifth(lab: Lab) -> None:
    out(lab, M1, *(instance(number) for number in range(100, 104)))
    open_work(lab, WORKER)
    dispatch("blue", Dispatch(WORKER), lab.world())
    assert sent_to(lab) == [M2]
    assert lab.managers.get_breaker("blue", M1) == Breaker()


def test_where_all_managers_are_crowded_one_gets_it_all_the_same(lab: Lab) -> None:
    for number, manager in enumerate(MANAGERS):
        out(lab, manager, *(instance(100 + 10 * number + each) for each in range(4)))
    open_work(lab, WORKER)
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert len(lab.hosts.sent) == 1


def test_a_poll_that_is_throttled_leaves_the_command_to_the_tick(lab: Lab) -> None:
    open_work(lab, WORKER)

    def throttle() -> None:
        lab.hosts.throttled = 1

    lab.hosts.pause = throttle
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert lab.hosts.cancelled == set()
    assert replace(lab.node(), version=0).command == "command-1"
