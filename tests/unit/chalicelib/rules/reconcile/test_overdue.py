"""The tick finds what is overdue, and what takes too long is sent again elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Dispatch, FetchResult, Notify, Plan, ReplaceRecord
from chalicelib.events import CommandRunning, Tick
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import AgentTask
from chalicelib.rules import decide
from chalicelib.state.incident import Incident
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import SentCommand
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER_2, a_cluster, a_node

UNSENT = a_node(state=NodeState.EVACUATING, due=START)
OUT = replace(UNSENT, command="c-1", manager=MANAGERS[0], attempts=1)
RUNNING = CommandRunning(START, "c-1", MANAGERS[0])


def overdue(count: int) -> tuple[Measure, ...]:
    return (Measure(Metric.OVERDUE_INTENTS, count),)


def test_without_overdue_work_nothing_is_done() -> None:
    waiting = replace(OUT, due=START + 1)
    assert decide(Tick(), a_cluster(a_node(), waiting)) == Plan("nothing is overdue")


def test_what_was_recorded_but_not_sent_is_sent() -> None:
    plan = decide(Tick(), a_cluster(UNSENT))
    assert plan == Plan("1 overdue: 1 to send, 0 commands to ask for", (Dispatch(seconds=0),), overdue(1))


def test_messages_come_last_and_one_tick_sends_only_some_that_were_missed() -> None:
    unnotified = tuple(
        Incident(key=f"fleet#{number}", at=START - 100, what="", left="", fix="") for number in range(50)
    )
    plan = decide(Tick(), replace(a_cluster(UNSENT), unnotified=unnotified))
    assert plan.actions == (Dispatch(seconds=0), *map(Notify, unnotified[:20]))


def test_each_overdue_command_is_fetched_once() -> None:
    plan = decide(Tick(), a_cluster(OUT, replace(OUT, instance=WORKER_2)))
    ask = FetchResult("c-1", MANAGERS[0], AgentTask.EVACUATE)
    assert plan == Plan("2 overdue: 0 to send, 1 commands to ask for", (ask,), overdue(2))


def test_an_evacuation_that_still_runs_is_sent_through_another_manager_too() -> None:
    after = OUT.reopen(due=START, reason="no result yet: sent through another manager")
    assert after.earlier == (SentCommand("c-1", MANAGERS[0]),)
    plan = decide(RUNNING, a_cluster(OUT))
    assert plan.actions == (ReplaceRecord(OUT, after), Dispatch(seconds=0))


@pytest.mark.parametrize(
    ("node", "managers"),
    [
        (OUT, MANAGERS[:1]),
        (replace(OUT, attempts=4), MANAGERS),
        (replace(OUT, state=NodeState.LEAVING), MANAGERS),
    ],
)
def test_otherwise_it_is_waited_for(node: object, managers: tuple[str, ...]) -> None:
    plan = decide(RUNNING, a_cluster(node, managers=managers))  # type: ignore[arg-type]
    assert plan.actions == (ReplaceRecord(node, replace(node, version=2, due=START + 30)),)  # type: ignore[arg-type, type-var]


def test_a_running_command_that_nothing_waits_for_is_left_alone() -> None:
    assert decide(RUNNING, a_cluster(UNSENT)) == Plan("c-1 runs, but nothing waits for it")
