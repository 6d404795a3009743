"""Sending: one command for all of a kind, gathered in a storm; evacuations first; joins where they run."""

from __future__ import annotations

import pytest

from chalicelib.actions import Code, Dispatch
from chalicelib.delivery.dispatcher import dispatch
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules.retry import back_off
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.dispatching import open_work, out, sent_to, three_managers
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, WORKER_2, Lab, a_node, instance

M1 = MANAGERS[0]


@pytest.fixture
def lab() -> Lab:
    return three_managers()


def test_all_open_work_of_a_kind_is_one_command_to_one_manager(lab: Lab) -> None:
    open_work(lab, WORKER, WORKER_2)
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    (sent,) = lab.hosts.sent
    assert (sent.manager, sent.task, sent.cluster, sent.seconds) == (M1, AgentTask.EVACUATE, "blue", 180)
    assert [target.instance for target in sent.arguments.targets] == [WORKER, WORKER_2]
    assert (outcome.code, outcome.detail) == (Code.DONE, "nodes sent: 2")
    node = lab.node()
    assert (node.command, node.manager, node.attempts, node.due) == ("command-1", M1, 1, START + 30)
    assert lab.lease.leases == {}


@pytest.mark.parametrize(
    ("state", "task"), [(NodeState.LEAVING, AgentTask.LEAVE), (NodeState.JOINING, AgentTask.JOIN)]
)
def test_evacuations_go_before_removals_and_joins(lab: Lab, state: NodeState, task: AgentTask) -> None:
    open_work(lab, WORKER, state=state)
    open_work(lab, WORKER_2)
    dispatch("blue", Dispatch(WORKER), lab.world())
    assert [sent.task for sent in lab.hosts.sent] == [AgentTask.EVACUATE, task]


def test_a_node_that_moved_on_while_it_was_sent_keeps_its_new_state(lab: Lab) -> None:
    open_work(lab, WORKER)

    def terminated() -> None:
        node = lab.node()
        if node.state is NodeState.EVACUATING:
            lab.nodes.replace(
                node, node.enter(NodeState.LEAVING, since=START, reason="ended", due=START + 99)
            )

    lab.hosts.pause = terminated
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert (lab.node().state, lab.node().command) == (NodeState.LEAVING, "")


def test_a_burst_of_hundreds_is_a_few_commands(lab: Lab) -> None:
    names = [instance(number) for number in range(100, 350)]
    open_work(lab, *names)
    dispatch("blue", Dispatch(names[0]), lab.world())
    assert [len(sent.arguments.targets) for sent in lab.hosts.sent] == [100, 100, 50]
    assert not any(node.is_unsent for node in lab.nodes.list_all("blue"))


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
    assert (len(sent.arguments.targets), sent.at) == (2, START + 1)


def test_nothing_is_gathered_when_the_end_is_near_or_the_tick_sends(lab: Lab) -> None:
    out(lab, M1, instance(100), instance(101))
    lab.nodes.register([a_node(state=NodeState.EVACUATING, deadline=START + 20, due=START)])
    dispatch("blue", Dispatch(WORKER), lab.world())
    open_work(lab, WORKER_2)
    dispatch("blue", Dispatch(seconds=0), lab.world())
    assert [sent.at for sent in lab.hosts.sent] == [START, START]


def test_a_table_that_takes_no_marks_does_not_make_it_send_for_ever(lab: Lab) -> None:
    open_work(lab, WORKER)
    lab.nodes.replace = lambda before, after: False  # type: ignore[method-assign]  # noqa: ARG005
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.LEFT_OPEN
    assert len(lab.hosts.sent) == 100


def test_joins_run_on_the_instances_themselves_in_one_command_for_fifty_of_a_role(lab: Lab) -> None:
    names = [instance(number) for number in range(100, 170)]
    open_work(lab, *names, state=NodeState.JOINING)
    dispatch("blue", Dispatch(names[0]), lab.world())
    commands = {sent.id: sent.arguments for sent in lab.hosts.sent}
    assert [len(arguments.targets) for arguments in commands.values()] == [50, 20]
    assert {arguments.role for arguments in commands.values()} == {"worker"}
    assert commands["command-1"].managers == ("10.0.0.10",) * 3
    assert (lab.node(names[60]).command, lab.node(names[60]).manager) == ("command-2", names[60])


def test_an_instance_not_reached_yet_is_tried_later_and_delays_no_other(lab: Lab) -> None:
    open_work(lab, WORKER, WORKER_2, state=NodeState.JOINING)
    lab.hosts.unreachable = {WORKER}
    assert dispatch("blue", Dispatch(WORKER), lab.world()).code is Code.DONE
    assert sent_to(lab) == [WORKER_2]
    node = lab.node()
    assert (node.attempts, node.due, node.reason) == (
        1,
        START + back_off(1, WORKER),
        "Run Command cannot reach it yet",
    )
    assert lab.managers.breakers == {}


def test_joins_that_are_throttled_for_a_while_are_sent_after_back_offs(lab: Lab) -> None:
    open_work(lab, WORKER, state=NodeState.JOINING)
    lab.hosts.throttled = 4
    dispatch("blue", Dispatch(WORKER), lab.world())
    assert [sent.manager for sent in lab.hosts.sent] == [WORKER]
    assert START + 5 < lab.clock.time < START + 30


def test_joins_that_are_throttled_for_long_stay_open(lab: Lab) -> None:
    open_work(lab, WORKER, state=NodeState.JOINING)
    lab.hosts.throttled = 1000
    outcome = dispatch("blue", Dispatch(WORKER), lab.world())
    assert (outcome.code, outcome.detail.partition(":")[0]) == (Code.LEFT_OPEN, "join is not sent, nodes")
    assert (lab.node().is_unsent, lab.node().attempts) == (True, 0)
