"""Sending: one command for all, the next manager when one fails, a pause when AWS asks for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Code, Dispatch
from chalicelib.cluster import Breaker, Role
from chalicelib.dispatch import LEASE, STAND_BY, dispatch
from chalicelib.protocol import Task
from chalicelib.rules.again import pause
from chalicelib.states import NodeState
from tests.unit.chalicelib.fakes import MANAGERS, START, WORKER, WORKER_2, Lab, a_node, instance

M1, M2, M3 = MANAGERS


@pytest.fixture
def lab() -> Lab:
    lab = Lab(settled=False)
    lab.store.record_managers("blue", MANAGERS)
    lab.store.enrol([a_node(instance=name, role=Role.MANAGER) for name in MANAGERS])
    return lab


def open_work(lab: Lab, *names: str, state: NodeState = NodeState.EVACUATING) -> None:
    nodes = [a_node(instance=name, state=state, deadline=START + 120, due=START) for name in names]
    lab.store.enrol(nodes)


def sent_to(lab: Lab) -> list[str]:
    return [sent.manager for sent in lab.hosts.sent]


def test_all_open_work_of_a_kind_is_one_command_to_one_manager(lab: Lab) -> None:
    open_work(lab, WORKER, WORKER_2)
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    (sent,) = lab.hosts.sent
    assert (sent.manager, sent.task, sent.cluster, sent.seconds) == (M1, Task.EVACUATE, "blue", 180)
    assert [subject.instance for subject in sent.arguments.subjects] == [WORKER, WORKER_2]
    assert (outcome.code, outcome.detail) == (Code.DONE, "nodes sent: 2")
    node = lab.node()
    assert (node.command, node.manager, node.attempts, node.due) == ("command-1", M1, 1, START + 30)
    assert lab.store.leases == {}


def test_evacuations_go_before_removals(lab: Lab) -> None:
    open_work(lab, WORKER, state=NodeState.LEAVING)
    open_work(lab, WORKER_2)
    dispatch("blue", Dispatch(WORKER), lab.world())
    assert [sent.task for sent in lab.hosts.sent] == [Task.EVACUATE, Task.LEAVE]


def test_an_unreachable_manager_is_followed_by_the_next_at_once(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.unreachable = {M1}
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert sent_to(lab) == [M2]
    assert lab.clock.time - START < 1
    assert lab.store.breaker("blue", M1) == Breaker(1)
    assert lab.store.breaker("blue", M2).good > 0


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
    assert lab.store.breaker("blue", M1).failures == 0


def test_throttling_after_a_failed_manager_pauses_too(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.store.record_breaker("blue", M1, Breaker(1), START)
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
    assert lab.node().unsent
    assert lab.store.leases == {}
    assert all(lab.store.breaker("blue", manager).open_until > lab.clock.time for manager in MANAGERS)


def test_the_tick_gives_a_cluster_without_a_working_manager_one_try(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.frozen = set(MANAGERS)
    for manager in MANAGERS:
        lab.store.record_breaker("blue", manager, Breaker(5, START + 100), START)
    assert dispatch("blue", Dispatch(seconds=0), lab.world()).code is Code.LEFT_OPEN
    assert len(lab.hosts.sent) == 1
    assert lab.clock.time - START < 6


def test_a_doomed_manager_is_not_asked_to_evacuate_itself(lab: Lab) -> None:
    manager = lab.node(M1)
    lab.store.move(
        manager, manager.to(NodeState.EVACUATING, since=START, reason="", deadline=START + 120, due=START)
    )
    dispatch("blue", Dispatch(M1), lab.world())
    assert sent_to(lab) == [M2]


def test_without_a_manager_it_says_what_to_tag(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.store.record_managers("blue", ())
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    assert (outcome.code, "tag one with swarmkeeper:role=manager" in outcome.detail) == (Code.LEFT_OPEN, True)


def test_the_first_handler_without_the_lease_stands_by_until_its_node_was_sent(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.store.acquire("blue", "another", START, LEASE)
    dispatched = lab.node().sent("c", M1, due=START + 30)
    sleep = lab.clock.sleep

    def meanwhile(seconds: float) -> None:
        sleep(seconds)
        lab.store.move(lab.node(), dispatched)

    lab.clock.sleep = meanwhile  # type: ignore[method-assign]
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    assert (outcome.code, outcome.detail) == (Code.DONE, "another handler sends what is open")
    assert lab.hosts.sent == []


def test_all_other_handlers_call_the_holder_and_leave(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.store.acquire("blue", "another", START, LEASE)
    lab.store.call("blue", START)
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    assert (outcome.detail, lab.clock.time) == ("another handler sends what is open", START)
    assert lab.store.acquire("blue", "another", START, LEASE) == 2


def test_what_is_recorded_after_the_holders_last_look_is_sent_by_one_more(lab: Lab) -> None:
    open_work(lab, WORKER)
    release, late = lab.store.release, iter([True])

    def meanwhile(cluster: str, holder: str, calls: int | None = None) -> bool:
        if next(late, False):
            open_work(lab, WORKER_2)
            assert lab.store.call("blue", lab.clock.time) == 1
        return release(cluster, holder, calls)

    lab.store.release = meanwhile  # type: ignore[method-assign]
    dispatch("blue", Dispatch(WORKER), lab.world())
    sent = [subject.instance for one in lab.hosts.sent for subject in one.arguments.subjects]
    assert (sent, lab.store.leases) == ([WORKER, WORKER_2], {})


def test_a_holder_that_died_is_succeeded_when_its_lease_ends(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.store.acquire("blue", "dead", START, LEASE)
    dispatch("blue", Dispatch(WORKER), lab.world())
    assert len(lab.hosts.sent) == 1
    assert LEASE <= lab.clock.time - START <= LEASE + STAND_BY


def test_the_tick_does_not_wait_for_a_lease(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.store.acquire("blue", "another", START, LEASE)
    dispatch("blue", Dispatch(seconds=0), lab.world())
    assert (lab.hosts.sent, lab.clock.time) == ([], START)


def test_a_node_that_moved_on_while_it_was_sent_keeps_its_new_state(lab: Lab) -> None:
    open_work(lab, WORKER)

    def terminated() -> None:
        node = lab.node()
        if node.state is NodeState.EVACUATING:
            lab.store.move(node, node.to(NodeState.LEAVING, since=START, reason="ended", due=START + 99))

    lab.hosts.pause = terminated
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert (lab.node().state, lab.node().command) == (NodeState.LEAVING, "")


def test_a_burst_of_hundreds_is_a_few_commands(lab: Lab) -> None:
    names = [instance(number) for number in range(100, 350)]
    open_work(lab, *names)
    dispatch("blue", Dispatch(names[0]), lab.world())
    assert [len(sent.arguments.subjects) for sent in lab.hosts.sent] == [100, 100, 50]
    assert not any(node.unsent for node in lab.store.nodes("blue"))


def out(lab: Lab, manager: str, *names: str) -> None:
    """Evacuations that are under way, a command for each."""
    lab.store.enrol(
        [
            a_node(
                instance=name,
                state=NodeState.EVACUATING,
                deadline=START + 120,
                due=START + 30,
                command=f"c-{name}",
                manager=manager,
            )
            for name in names
        ]
    )


def test_the_more_commands_are_out_the_longer_more_is_gathered_for_the_next(lab: Lab) -> None:
    out(lab, M1, instance(100), instance(101))
    open_work(lab, WORKER)
    sleep = lab.clock.sleep

    def meanwhile(seconds: float) -> None:
        sleep(seconds)
        open_work(lab, WORKER_2)

    lab.clock.sleep = meanwhile  # type: ignore[method-assign]
    dispatch("blue", Dispatch(WORKER), lab.world())
    (sent,) = lab.hosts.sent
    assert (len(sent.arguments.subjects), sent.at) == (2, START + 1)


def test_nothing_is_gathered_when_the_end_is_near_or_the_tick_sends(lab: Lab) -> None:
    out(lab, M1, instance(100), instance(101))
    lab.store.enrol([a_node(state=NodeState.EVACUATING, deadline=START + 20, due=START)])
    dispatch("blue", Dispatch(WORKER), lab.world())
    open_work(lab, WORKER_2)
    dispatch("blue", Dispatch(seconds=0), lab.world())
    assert [sent.at for sent in lab.hosts.sent] == [START, START]


def test_a_manager_with_four_commands_gets_no_fifth(lab: Lab) -> None:
    out(lab, M1, *(instance(number) for number in range(100, 104)))
    open_work(lab, WORKER)
    dispatch("blue", Dispatch(WORKER), lab.world())
    assert sent_to(lab) == [M2]
    assert lab.store.breaker("blue", M1) == Breaker()


def test_where_all_managers_are_crowded_one_gets_it_all_the_same(lab: Lab) -> None:
    for number, manager in enumerate(MANAGERS):
        out(lab, manager, *(instance(100 + 10 * number + each) for each in range(4)))
    open_work(lab, WORKER)
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert len(lab.hosts.sent) == 1


def test_a_table_that_takes_no_marks_does_not_make_it_send_for_ever(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.store.move = lambda before, after: False  # type: ignore[method-assign]  # noqa: ARG005
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.LEFT_OPEN
    assert len(lab.hosts.sent) == 100


def test_a_look_that_is_throttled_leaves_the_command_to_the_tick(lab: Lab) -> None:
    open_work(lab, WORKER)

    def throttle() -> None:
        lab.hosts.throttled = 1

    lab.hosts.pause = throttle
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert lab.hosts.cancelled == set()
    assert replace(lab.node(), version=0).command == "command-1"


def test_joins_run_on_the_instances_themselves_in_one_command_for_fifty_of_a_role(lab: Lab) -> None:
    names = [instance(number) for number in range(100, 170)]
    open_work(lab, *names, state=NodeState.JOINING)
    dispatch("blue", Dispatch(names[0]), lab.world())
    commands = {sent.id: sent.arguments for sent in lab.hosts.sent}
    assert [len(arguments.subjects) for arguments in commands.values()] == [50, 20]
    assert {arguments.role for arguments in commands.values()} == {"worker"}
    assert commands["command-1"].managers == ("10.0.0.10",) * 3
    assert (lab.node(names[60]).command, lab.node(names[60]).manager) == ("command-2", names[60])


def test_an_instance_that_is_not_reached_yet_is_tried_later_and_keeps_no_other_waiting(lab: Lab) -> None:
    open_work(lab, WORKER, WORKER_2, state=NodeState.JOINING)
    lab.hosts.unreachable = {WORKER}
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert sent_to(lab) == [WORKER_2]
    node = lab.node()
    assert (node.attempts, node.due, node.reason) == (
        1,
        START + pause(1, WORKER),
        "Run Command cannot reach it yet",
    )
    assert lab.store.breakers == {}


def test_evacuations_go_before_joins(lab: Lab) -> None:
    open_work(lab, WORKER, state=NodeState.JOINING)
    open_work(lab, WORKER_2)
    dispatch("blue", Dispatch(WORKER), lab.world())
    assert [sent.task for sent in lab.hosts.sent] == [Task.EVACUATE, Task.JOIN]


def test_joins_that_are_throttled_stay_open(lab: Lab) -> None:
    open_work(lab, WORKER, state=NodeState.JOINING)
    lab.hosts.throttled = 1
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    assert (outcome.code, outcome.detail.partition(":")[0]) == (Code.LEFT_OPEN, "join is not sent, nodes")
    assert (lab.node().unsent, lab.node().attempts) == (True, 0)


def test_a_lease_that_ran_out_is_left_to_its_new_holder(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.hosts.unreachable = set(MANAGERS)

    def slow() -> None:
        lab.clock.sleep(LEASE + 1)
        lab.store.acquire("blue", "another", lab.clock.now(), 1000)

    lab.hosts.pause = slow
    outcome = dispatch("blue", Dispatch(WORKER, seconds=1000), lab.world())
    assert (outcome.code, outcome.detail) == (
        Code.DONE,
        "nodes sent: 0; the lease ran out, its new holder sends the rest",
    )
    assert lab.store.leases["blue"][0] == "another"
