"""Each node ends by its own report, and only by one that it waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Dispatch, Notify, Plan, RecordHostHealth, ReplaceJob, ReplaceRecord
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.rules import decide
from chalicelib.rules.retry import back_off
from chalicelib.state.instance import Role
from chalicelib.state.job import DEFAULT_COMMAND_S, Job, JobStage
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import MAX_EARLIER, Node, SentCommand
from tests.unit.chalicelib.rules.support.evacuating import EVACUATING, NOW, ended
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, WORKER_2, a_cluster

FIRST = SentCommand("c-1", MANAGERS[0])
LEAVING = replace(EVACUATING, state=NodeState.LEAVING, deadline=0.0)


def report(fate: Fate, instance: str = WORKER, detail: str = "") -> NodeReport:
    return NodeReport(instance, "abc", fate, detail)


COUNTED = {
    Fate.SAFE: Metric.NODES_EVACUATED,
    Fate.DRAINED: Metric.NODES_DRAINED,
    Fate.DOWN: Metric.NODES_DOWN,
    Fate.ABSENT: Metric.NODES_ABSENT,
}


@pytest.mark.parametrize("fate", COUNTED)
def test_an_emptied_node_is_evacuated(fate: Fate) -> None:
    after = replace(
        EVACUATING,
        state=NodeState.EVACUATED,
        version=2,
        since=START + 10,
        reason=f"{fate.value}: 3 tasks",
        fate=fate.value,
        node="abc",
        deadline=0.0,
        due=None,
        attempts=0,
    )
    plan = decide(ended(AgentTask.EVACUATE, report(fate, detail="3 tasks")), a_cluster(EVACUATING, now=NOW))
    counted = Measure(COUNTED[fate], instance=WORKER)
    safe = (Measure(Metric.SECONDS_TO_SAFE, 10.0, WORKER),) if fate is Fate.SAFE else ()
    measures = (counted, *safe)
    reason = f"Success: {WORKER} evacuated: {fate.value}: 3 tasks"
    assert plan == Plan(
        reason, (ReplaceRecord(EVACUATING, after), RecordHostHealth(MANAGERS[0], healthy=True)), measures
    )


@pytest.mark.parametrize("node", ["", "abc"])
def test_an_evacuated_node_that_the_swarm_does_not_list_is_an_incident(node: str) -> None:
    known = replace(EVACUATING, node=node)
    plan = decide(ended(AgentTask.EVACUATE, NodeReport(WORKER, "", Fate.ABSENT)), a_cluster(known, now=NOW))
    raised = [action.incident for action in plan.actions if isinstance(action, Notify)]
    assert [(one.key, one.node) for one in raised] == (
        [(f"absent#{WORKER}#{START:.0f}", "abc")] if node else []
    )


@pytest.mark.parametrize(
    ("role", "fate", "state"),
    [
        (Role.WORKER, Fate.ACTIVE, NodeState.IN_SERVICE),
        (Role.MANAGER, Fate.ACTIVE, NodeState.ACTIVATING),
        (Role.WORKER, Fate.ABSENT, NodeState.JOINING),
        (Role.WORKER, Fate.UNFINISHED, NodeState.RETURNING),
    ],
)
def test_a_worker_given_back_is_in_service_and_a_manager_is_activated_again(
    role: Role, fate: Fate, state: NodeState
) -> None:
    node = replace(EVACUATING, state=NodeState.RETURNING, role=role, back=START, drill=True, doubted_by="i-2")
    plan = decide(ended(AgentTask.GIVE_BACK, report(fate)), a_cluster(node, now=NOW))
    (move,) = (action for action in plan.actions if isinstance(action, ReplaceRecord))
    assert move.after.state is state
    assert move.after.drill is (state is not NodeState.IN_SERVICE)


@pytest.mark.parametrize("fate", [Fate.REMOVED, Fate.ABSENT])
def test_a_removed_node_is_gone_and_its_record_ends(fate: Fate) -> None:
    plan = decide(ended(AgentTask.LEAVE, report(fate)), a_cluster(LEAVING, now=NOW))
    move = plan.actions[0]
    assert isinstance(move, ReplaceRecord)
    assert (move.after.state, move.after.due, move.after.node) == (NodeState.GONE, None, "abc")
    assert move.after.expires == START + 10 + 7 * 86_400
    assert plan.measures == (Measure(Metric.NODES_GONE, instance=WORKER),)


@pytest.mark.parametrize(
    ("task", "fate"),
    [(AgentTask.EVACUATE, Fate.UNFINISHED), (AgentTask.LEAVE, Fate.ALIVE), (AgentTask.LEAVE, Fate.KEPT)],
)
def test_work_that_the_swarm_puts_off_is_tried_after_a_back_off(task: AgentTask, fate: Fate) -> None:
    node = EVACUATING if task is AgentTask.EVACUATE else LEAVING
    plan = decide(ended(task, report(fate)), a_cluster(node, now=NOW))
    after = node.reopen(due=NOW + back_off(1, WORKER), reason=fate.value, fate=fate.value)
    assert (after.command, after.earlier) == ("", (FIRST,))
    assert plan.actions == (ReplaceRecord(node, after), RecordHostHealth(MANAGERS[0], healthy=True))


@pytest.mark.parametrize(("left", "due"), [(90.0, 10.0), (9.0, 1.0), (-1.0, back_off(4, WORKER))])
def test_attempts_at_an_evacuation_are_spread_over_the_time_left(left: float, due: float) -> None:
    node = replace(EVACUATING, attempts=4, deadline=NOW + left)
    plan = decide(ended(AgentTask.EVACUATE, result=None, failure="Failed"), a_cluster(node, now=NOW))
    move = plan.actions[0]
    assert isinstance(move, ReplaceRecord)
    assert move.after.due == pytest.approx(NOW + due)


FAILURES = [
    ({"result": None, "status": "TimedOut", "failure": "TimedOut: nothing"}, "TimedOut: nothing", False),
    ({"result": Result(AgentTask.EVACUATE, ok=False, error="no manager")}, "no manager", False),
    ({"result": Result(AgentTask.EVACUATE, ok=True)}, "the agent did not report on this node", True),
]


@pytest.mark.parametrize(("changes", "reason", "healthy"), FAILURES)
def test_a_failed_command_is_followed_by_another_at_once(
    changes: dict[str, object], reason: str, *, healthy: bool
) -> None:
    plan = decide(ended(AgentTask.EVACUATE, **changes), a_cluster(EVACUATING, now=NOW))
    after = replace(EVACUATING, version=2, command="", earlier=(FIRST,), due=NOW, reason=reason)
    expected = (
        ReplaceRecord(EVACUATING, after),
        RecordHostHealth(MANAGERS[0], healthy=healthy),
        Dispatch(WORKER),
    )
    assert plan.actions == expected
    assert plan.measures == (Measure(Metric.COMMAND_FAILURES, instance=WORKER),)


def test_a_cancelled_command_opens_the_work_again_and_says_nothing_of_the_host() -> None:
    event = ended(AgentTask.EVACUATE, result=None, status="Cancelled", failure="Cancelled")
    plan = decide(event, a_cluster(EVACUATING, now=NOW))
    assert [type(action) for action in plan.actions] == [ReplaceRecord, Dispatch]


def test_a_failed_node_in_a_good_command_keeps_only_its_own_work_open() -> None:
    other = replace(EVACUATING, instance=WORKER_2)
    event = ended(AgentTask.EVACUATE, report(Fate.SAFE), report(Fate.UNFINISHED, WORKER_2))
    moves = [
        action
        for action in decide(event, a_cluster(EVACUATING, other)).actions
        if isinstance(action, ReplaceRecord)
    ]
    assert [move.after.state for move in moves] == [NodeState.EVACUATED, NodeState.EVACUATING]
    assert [move.after.due is None for move in moves] == [True, False]


REOPENED = EVACUATING.reopen(due=NOW, reason="no result yet")
LATE = [REOPENED, REOPENED.mark_sent("c-2", MANAGERS[1], due=NOW + 30)]
OTHERS = [  # of which the record does not know that they were sent for it
    replace(EVACUATING, command="c-2"),
    replace(EVACUATING, command=""),
    replace(EVACUATING, manager=MANAGERS[1]),
    replace(REOPENED, earlier=(SentCommand("c-1", MANAGERS[1]), SentCommand("c-2", MANAGERS[0]))),
    EVACUATING.enter(NodeState.JOINING, since=START, reason="").enter(
        NodeState.EVACUATING, since=START, reason="the next life of the instance"
    ),
]


@pytest.mark.parametrize("node", OTHERS)
@pytest.mark.parametrize("fate", [Fate.SAFE, Fate.UNFINISHED])
def test_a_result_of_a_command_that_was_not_sent_for_it_changes_nothing(node: Node, fate: Fate) -> None:
    plan = decide(ended(AgentTask.EVACUATE, report(fate)), a_cluster(node))
    assert plan == Plan("c-1: nothing waits for this evacuate any more, or yet")


def test_a_host_reports_on_its_own_join_only() -> None:
    """Root on a worker answers for other instances that join by the same command, or says that he is they."""
    joining = replace(EVACUATING, state=NodeState.JOINING, deadline=0.0, manager=WORKER)
    other = replace(joining, instance=WORKER_2, manager=WORKER_2)
    misled = replace(other, manager=WORKER, earlier=(SentCommand("c-1", WORKER),))
    event = ended(AgentTask.JOIN, report(Fate.JOINED), report(Fate.JOINED, WORKER_2), manager=WORKER)
    for victim in (other, misled):
        changes = [
            action.after.instance
            for action in decide(event, a_cluster(joining, victim)).actions
            if isinstance(action, ReplaceRecord)
        ]
        assert changes == [WORKER]


@pytest.mark.parametrize("fate", sorted(set(Fate) - set(COUNTED)))
@pytest.mark.parametrize("node", [EVACUATING, *LATE])
def test_only_what_says_that_it_is_empty_ends_an_evacuation(node: Node, fate: Fate) -> None:
    plan = decide(ended(AgentTask.EVACUATE, report(fate)), a_cluster(node))
    states = [one.after.state for one in plan.actions if isinstance(one, ReplaceRecord)]
    assert states == ([NodeState.EVACUATING] if node is EVACUATING else [])


def test_a_record_remembers_the_last_commands_of_its_work_only() -> None:
    node = EVACUATING
    for number in range(2, 20):
        node = node.reopen(due=NOW, reason="").mark_sent(f"c-{number}", MANAGERS[number % 3], due=NOW)
    assert [sent.command for sent in node.earlier] == [
        f"c-{number}" for number in range(19 - MAX_EARLIER, 19)
    ]
    assert node.enter(NodeState.EVACUATED, since=NOW, reason="").earlier == ()


@pytest.mark.parametrize("node", LATE)
def test_a_success_counts_even_from_a_command_that_was_given_up(node: object) -> None:
    plan = decide(ended(AgentTask.EVACUATE, report(Fate.SAFE)), a_cluster(node))  # type: ignore[arg-type]
    move = plan.actions[0]
    assert isinstance(move, ReplaceRecord)
    assert move.after.state is NodeState.EVACUATED


@pytest.mark.parametrize("since", [START, START + 30, START + 600])
def test_results_are_told_apart_by_command_whatever_the_clocks_say(since: float) -> None:
    """The event that began it was of a clock 10 min ahead: its result came, it seemed, before it."""
    node = replace(EVACUATING, since=since)
    plan = decide(ended(AgentTask.EVACUATE, report(Fate.SAFE)), a_cluster(node))
    move = plan.actions[0]
    assert isinstance(move, ReplaceRecord)
    assert move.after.state is NodeState.EVACUATED


@pytest.mark.parametrize("node", [*LATE, replace(LEAVING)])
def test_other_late_results_change_nothing(node: object) -> None:
    plan = decide(ended(AgentTask.EVACUATE, report(Fate.UNFINISHED)), a_cluster(node))  # type: ignore[arg-type]
    assert plan == Plan("c-1: nothing waits for this evacuate any more, or yet")


def test_a_result_without_any_waiting_node_changes_nothing() -> None:
    assert decide(ended(AgentTask.LEAVE, report(Fate.REMOVED)), a_cluster()).actions == ()


@pytest.mark.parametrize(
    ("manager", "time", "stage"),
    [
        (MANAGERS[0], START + 1100, JobStage.DONE),
        (MANAGERS[0], START + 500, JobStage.OPEN),
        (MANAGERS[1], START + 1100, JobStage.OPEN),
    ],
)
def test_a_claim_without_an_id_is_met_on_its_manager_after_it_only(
    manager: str, time: float, stage: JobStage
) -> None:
    """The handler died when it had sent the job, before it could record the command."""
    claim = {"manager": MANAGERS[0], "attempts": 1, "due": START + 1000 + DEFAULT_COMMAND_S}
    job = Job(task=AgentTask.RECOVER, since=START, instance=MANAGERS[0], **claim)  # type: ignore[arg-type]
    event = ended(AgentTask.RECOVER, manager=manager, time=time)
    plan = decide(event, replace(a_cluster(), jobs=(job,)))
    stages = [action.after.stage for action in plan.actions if isinstance(action, ReplaceJob)]
    assert stages == ([stage] if stage is not JobStage.OPEN else [])


@pytest.mark.parametrize(
    ("fate", "state"), [(Fate.ACTIVE, NodeState.IN_SERVICE), (Fate.UNFINISHED, NodeState.ACTIVATING)]
)
def test_a_host_that_says_other_than_ec2_is_an_incident(fate: Fate, state: NodeState) -> None:
    joined = replace(EVACUATING, state=NodeState.ACTIVATING, deadline=0.0, node="abc")
    said = replace(report(fate, detail="its engine says …"), differs=True)
    plan = decide(ended(AgentTask.ACTIVATE, said), a_cluster(joined, now=NOW))
    (told,) = (action.incident for action in plan.actions if isinstance(action, Notify))
    assert (told.key, told.node, told.instance) == (f"differs#{WORKER}", "abc", WORKER)
    assert told.what == f"{WORKER} is not what it says it is: its engine says …"
    assert [one.after.state for one in plan.actions if isinstance(one, ReplaceRecord)] == [state]
