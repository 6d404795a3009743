"""Sending: one handler holds the lease and sends for all, the others call it and leave."""

from __future__ import annotations

import pytest

from chalicelib.actions import Code, Dispatch
from chalicelib.delivery.dispatcher import LEASE_POLL_S, LEASE_S, dispatch
from tests.unit.chalicelib.support.dispatching import open_work, three_managers
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, WORKER_2, Lab

M1 = MANAGERS[0]


@pytest.fixture
def lab() -> Lab:
    return three_managers()


def test_the_first_handler_without_the_lease_stands_by_until_its_node_was_sent(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.lease.acquire("blue", "another", START, LEASE_S)
    dispatched = lab.node().mark_sent("c", M1, due=START + 30)
    sleep = lab.clock.sleep

    def meanwhile(seconds: float) -> None:
        sleep(seconds)
        lab.nodes.replace(lab.node(), dispatched)

    lab.clock.sleep = meanwhile  # type: ignore[method-assign]
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    assert (outcome.code, outcome.detail) == (Code.DONE, "another handler sends what is open")
    assert lab.hosts.sent == []


def test_all_other_handlers_request_a_recheck_and_leave(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.lease.acquire("blue", "another", START, LEASE_S)
    lab.lease.request_recheck("blue", START)
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    assert (outcome.detail, lab.clock.time) == ("another handler sends what is open", START)
    assert lab.lease.acquire("blue", "another", START, LEASE_S) == 2


def test_work_recorded_after_the_holders_last_poll_is_sent_by_one_more(lab: Lab) -> None:
    open_work(lab, WORKER)
    release, late = lab.lease.release, iter([True])

    def meanwhile(cluster: str, holder: str, rechecks: int | None = None) -> bool:
        if next(late, False):
            open_work(lab, WORKER_2)
            assert lab.lease.request_recheck("blue", lab.clock.time) == 1
        return release(cluster, holder, rechecks)

    lab.lease.release = meanwhile  # type: ignore[method-assign]
    dispatch("blue", Dispatch(WORKER), lab.world())
    sent = [target.instance for one in lab.hosts.sent for target in one.arguments.targets]
    assert (sent, lab.lease.leases) == ([WORKER, WORKER_2], {})


def test_a_holder_that_died_is_succeeded_when_its_lease_ends(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.lease.acquire("blue", "dead", START, LEASE_S)
    dispatch("blue", Dispatch(WORKER), lab.world())
    assert len(lab.hosts.sent) == 1
    assert LEASE_S <= lab.clock.time - START <= LEASE_S + LEASE_POLL_S


def test_the_tick_does_not_wait_for_a_lease(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.lease.acquire("blue", "another", START, LEASE_S)
    dispatch("blue", Dispatch(seconds=0), lab.world())
    assert (lab.hosts.sent, lab.clock.time) == ([], START)


def test_a_lease_that_ran_out_is_left_to_its_new_holder(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.unreachable = set(MANAGERS)

    def slow() -> None:
        lab.clock.sleep(LEASE_S + 1)
        lab.lease.acquire("blue", "another", lab.clock.now(), 1000)

    lab.hosts.pause = slow
    outcome = dispatch("blue", Dispatch(WORKER, seconds=1000), lab.world())
    assert (outcome.code, outcome.detail) == (
        Code.DONE,
        "nodes sent: 0; the lease ran out, its new holder sends the rest",
    )
    assert lab.lease.leases["blue"][0] == "another"
