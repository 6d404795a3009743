"""Without an announced end only a share of the nodes is out at once; what they keep is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.actions import AskForTurn, Dispatch, Notify, Plan, ReplaceRecord
from chalicelib.admin.calls import call
from chalicelib.events import (
    CommandFinished,
    EvacuationOrdered,
    GiveBackOrdered,
    InstanceStateChanged,
    RebalanceRecommended,
    SpotInterruptionWarning,
    TerminateLifecycleAction,
    Tick,
    TurnAsked,
)
from chalicelib.metrics import Measure, Metric
from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result
from chalicelib.routing import handle
from chalicelib.rules import decide
from chalicelib.state.instance import InstanceState
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from chalicelib.state.postponed import Postponed
from chalicelib.state.scheduled_change import ScheduledChange
from chalicelib.state.settings import ClusterSettings, Recommendations
from tests.unit.chalicelib.rules.nodes.support.disruptions import after, after_turn
from tests.unit.chalicelib.rules.nodes.support.lifecycle_actions import END
from tests.unit.chalicelib.support.fakes import START, WORKER, WORKER_2, Lab, a_cluster, a_node, instance
from tests.unit.chalicelib.support.samples import sample
from tests.unit.chalicelib.support.stories import end, state, tick

if TYPE_CHECKING:
    from chalicelib.state.cluster import Cluster

WAITS = Postponed(START - 60, START - 50, START + 3540, 600.0, "a hint")
CHANGE = ScheduledChange(START - 9, start=START + 60, code="RETIREMENT", arn="1")


def waiting(number: int, **changes: Any) -> Node:
    plain = {"instance": instance(number), "postponed": (WAITS,), "due": WAITS.due}
    return a_node(**plain | changes)


def out(number: int, state: NodeState = NodeState.EVACUATED, **changes: Any) -> Node:
    return a_node(instance=instance(number), state=state, gentle=True, **changes)


def evacuating(*nodes: Node, now: float = START, **settings: Any) -> Cluster:
    settings = {"recommendations": Recommendations.EVACUATE} | settings
    return replace(a_cluster(*nodes, now=now), settings=ClusterSettings(**settings))


def begun(plan: Plan) -> list[str]:
    changes = (action for action in plan.actions if isinstance(action, ReplaceRecord))
    return [one.after.instance for one in changes if one.after.state is NodeState.EVACUATING]


def messages(plan: Plan) -> list[str]:
    return [action.incident.key for action in plan.actions if isinstance(action, Notify)]


def test_a_hint_is_recorded_as_waiting_before_it_asks_for_its_turn() -> None:
    node = a_node()
    reason = "EC2 recommends to leave it: evacuated for a while"
    plan = decide(RebalanceRecommended(START - 2, WORKER), evacuating(node))
    waits = Postponed(START - 2, START + 10, START + 3598, 600.0, reason)
    noted = node.revise(hinted=START - 2, postponed=(waits,), due=START + 10)
    counted = (Measure(Metric.RECOMMENDATIONS, instance=WORKER),)
    assert plan == Plan(reason, (ReplaceRecord(node, noted), AskForTurn(WORKER)), counted)


def test_the_only_one_begins_at_once_and_gently() -> None:
    node = waiting(1)
    plan = decide(TurnAsked(START, node.instance), evacuating(node, a_node(instance=instance(2))))
    change, dispatch = plan.actions
    assert isinstance(change, ReplaceRecord)
    assert (change.after.gentle, change.after.announced, change.after.postponed) == (True, False, ())
    assert (change.after.deadline, change.after.back) == (START + 600, START + 3540)
    assert dispatch == Dispatch(node.instance)


@pytest.mark.parametrize(
    "other",
    [
        waiting(2),
        a_node(instance=instance(2), notices=(CHANGE,)),
        *(out(2, state) for state in (NodeState.EVACUATING, NodeState.EVACUATED, NodeState.RETURNING)),
    ],
)
def test_one_beside_another_that_is_out_or_waits_is_left_to_the_tick(other: Node) -> None:
    node = waiting(1)
    plan = decide(TurnAsked(START, node.instance), evacuating(node, other))
    assert plan.actions == ()
    assert plan.reason.startswith(f"it waits for its turn, as {other.instance} is out or waits too")


@pytest.mark.parametrize(
    ("nodes", "share", "most"), [(1, 0.3334, 1), (3, 0.3334, 1), (5, 0.3334, 1), (6, 0.3334, 2), (6, 1.0, 6)]
)
def test_the_tick_begins_as_many_as_may_be_out_the_longest_wait_first(
    nodes: int, share: float, most: int
) -> None:
    rows = [
        waiting(number, postponed=(replace(WAITS, since=START - 60 - number),)) for number in range(nodes)
    ]
    plan = decide(Tick(), evacuating(*rows, out_share=share))
    assert begun(plan) == [instance(number) for number in range(nodes)][::-1][:most]
    assert messages(plan) == (["turns"] if most < nodes else [])


@pytest.mark.parametrize(
    "taken",
    [
        out(9),
        out(9, NodeState.RETURNING),
        waiting(9, postponed=(replace(WAITS, due=START + 5),), due=START + 5),
    ],
)
def test_a_turn_is_taken_until_its_node_is_back_or_its_handler_had_time(taken: Node) -> None:
    plan = decide(Tick(), evacuating(waiting(1), a_node(instance=instance(2)), taken))
    assert (begun(plan), messages(plan)) == ([], ["turns"])


def test_an_announced_end_takes_no_turn() -> None:
    ends = a_node(
        instance=instance(9), state=NodeState.EVACUATING, announced=True, command="c", due=START + 9
    )
    assert begun(decide(Tick(), evacuating(waiting(1), a_node(instance=instance(2)), ends))) == [instance(1)]


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"postponed": (replace(WAITS, until=START),)}, {}),
        ({}, {"recommendations": Recommendations.NOTE}),
        ({"postponed": (replace(WAITS, drill=True),)}, {"drills": False}),
    ],
)
def test_what_is_not_wanted_any_more_does_not_wait_any_more(
    changes: dict[str, Any], settings: dict[str, Any]
) -> None:
    node = after(Tick(), evacuating(waiting(1, **changes), **settings))
    assert node is not None
    assert (node.state, node.postponed, node.due) == (NodeState.IN_SERVICE, (), None)


def test_a_waiting_node_that_is_warned_is_evacuated_at_once() -> None:
    node = waiting(1)
    warned = after(SpotInterruptionWarning(START, node.instance), evacuating(node))
    assert warned is not None
    assert (warned.state, warned.gentle, warned.postponed) == (NodeState.EVACUATING, False, ())


LEFT = Result(
    AgentTask.EVACUATE,
    ok=False,
    nodes=(NodeReport(WORKER, "abc", Fate.UNFINISHED, "1 tasks are left on it, of db"),),
)
ENDED = CommandFinished(START, "c", "m", AgentTask.EVACUATE, "Failed", LEFT)
GENTLE = a_node(
    state=NodeState.EVACUATING, since=START - 600, deadline=START, command="c", manager="m", gentle=True
)


@pytest.mark.parametrize("back", [0.0, START + 60])
def test_an_evacuation_that_has_kept_tasks_ends_and_is_told(back: float) -> None:
    plan = decide(ENDED, a_cluster(replace(GENTLE, back=back)))
    node = after(ENDED, a_cluster(replace(GENTLE, back=back)))
    assert node is not None
    assert (node.state, node.is_left_unfinished, node.due) == (NodeState.EVACUATED, True, back or None)
    assert node.reason == "unfinished: 1 tasks are left on it, of db"
    assert messages(plan) == [f"stayed#{WORKER}#{START:.0f}"]
    assert plan.measures == (Measure(Metric.NODES_UNFINISHED, instance=WORKER),)
    given_back = after(GiveBackOrdered(START, WORKER), a_cluster(node))
    assert given_back is not None
    assert given_back.state is NodeState.RETURNING


def test_a_gentle_end_does_not_conclude_what_has_an_announced_end_by_now() -> None:
    warned = replace(GENTLE, gentle=False, announced=True, deadline=START + 20, due=START + 20)
    node = after(ENDED, a_cluster(warned))
    assert node is not None
    assert (node.state, node.is_unsent) == (NodeState.EVACUATING, True)
    hurried = after(SpotInterruptionWarning(START - 9, WORKER), a_cluster(GENTLE))
    assert hurried is not None
    assert decide(ENDED, a_cluster(hurried)).actions == (), "it was sent for the gentle order"


@pytest.mark.parametrize("state", [NodeState.EVACUATING, NodeState.EVACUATED])
@pytest.mark.parametrize(
    ("event", "deadline"),
    [
        (SpotInterruptionWarning(START, WORKER), START + 120),
        (InstanceStateChanged(START, WORKER, InstanceState.STOPPING), START + 30),
        (TerminateLifecycleAction(START, WORKER, END), START + 600),
    ],
)
def test_an_announced_end_is_sent_to_a_node_that_keeps_tasks(
    event: Any, deadline: float, state: NodeState
) -> None:
    kept = replace(GENTLE, state=state, deadline=START + 20, fate=Fate.UNFINISHED.value, back=START + 99)
    node = after(event, a_cluster(kept))
    assert node is not None
    assert (node.state, node.gentle, node.deadline) == (NodeState.EVACUATING, False, deadline)
    assert (node.is_unsent, node.due) == (True, START)


@pytest.mark.parametrize("gentle", [False, True])
def test_an_order_by_hand_is_gentle_and_cannot_hurry_an_announced_end(*, gentle: bool) -> None:
    order = EvacuationOrdered(START, WORKER, 60.0, 60.0)
    node = after(order, a_cluster(a_node()))
    assert node is not None
    assert node.gentle
    node = after(order, a_cluster(replace(GENTLE, gentle=gentle, announced=not gentle, deadline=START + 600)))
    assert (node is not None) is gentle


def test_three_hints_one_after_the_other_leave_two_nodes_in_service() -> None:
    nodes = [a_node(instance=instance(number)) for number in (1, 2, 3)]
    for index, node in enumerate(nodes):
        cluster = evacuating(node, *(other for other in nodes if other is not node))
        nodes[index] = after_turn(RebalanceRecommended(START, node.instance), cluster) or node
    assert nodes[0].state is NodeState.EVACUATING
    nodes[0] = replace(nodes[0], due=START + 600, command="c")
    plan = decide(Tick(), evacuating(*nodes, now=START + 60))
    assert (begun(plan), messages(plan)) == ([], ["turns"])
    nodes[0] = a_node(instance=instance(1), hinted=START)
    assert begun(decide(Tick(), evacuating(*nodes, now=START + 3000))) == [instance(2)]


@pytest.mark.parametrize("back", [{}, {"give_back": 3600}])
def test_a_hint_waits_while_a_node_is_out_that_was_evacuated_by_hand(back: dict[str, int]) -> None:
    lab = Lab()
    lab.settings.records["blue"] = ClusterSettings(Recommendations.EVACUATE, out_share=0.1)
    call("evacuate", {"cluster": "blue", "instance": WORKER} | back, lab.world())
    end(lab, lab.hosts.sent[-1])
    assert state(lab) is NodeState.EVACUATED
    hint = sample("rebalance_recommendation", lab.clock.time, instance_id=WORKER_2)
    reasons = handle(RebalanceRecommended, hint, lab.world())
    assert reasons[-1].startswith(f"it waits for its turn, as {WORKER} is out")
    tick(lab)
    assert state(lab, WORKER_2) is NodeState.IN_SERVICE
    assert call("status", {"cluster": "blue"}, lab.world())["clusters"]["blue"]["waiting"] == [WORKER_2]
    call("give_back", {"cluster": "blue", "instance": WORKER}, lab.world())
    end(lab, lab.hosts.sent[-1])
    tick(lab)
    assert state(lab, WORKER_2) is NodeState.EVACUATING
