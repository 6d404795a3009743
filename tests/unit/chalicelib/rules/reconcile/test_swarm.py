"""The inspection of the swarm: when it is due, and what follows from a manager's list."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib.actions import Notify, Plan, Register, ReplaceJob, ReplaceRecord, Send
from chalicelib.events import CommandFinished, Tick
from chalicelib.protocol.codec import encode_arguments, encode_result
from chalicelib.protocol.messages import AgentTask, Arguments, Listing, Result, Target
from chalicelib.rules import decide
from chalicelib.state.cluster import Cluster
from chalicelib.state.instance import Role
from chalicelib.state.job import Job, JobStage
from chalicelib.state.lifecycle import NodeState
from chalicelib.state.node import Node
from chalicelib.state.settings import ClusterSettings, Timeouts
from tests.unit.chalicelib.support.fakes import MANAGERS, START, WORKER, a_cluster, a_node, instance

if TYPE_CHECKING:
    from chalicelib.actions import Action

M1, M2, _ = MANAGERS
INSPECTION = Job(
    task=AgentTask.INSPECT, since=START, due=START + 30, command="c-1", manager=M1, attempts=1, automatic=True
)
DONE = replace(INSPECTION, stage=JobStage.DONE, due=None, arguments=encode_arguments(Arguments(inspection=7)))
SERVED = a_node(node="n1", since=START - 3600)
VOTERS = tuple(
    a_node(instance=MANAGERS[n], role=Role.MANAGER, node=f"m{n}", since=START - 3600) for n in range(2)
)
OTHERS = (
    *VOTERS,
    *(a_node(instance=instance(100 + n), node=f"m{n}", since=START - 3600) for n in range(2, 4)),
)
IDS = tuple(node.node for node in OTHERS)
LIST = Listing(5, ids=IDS, managers=IDS[:2])
DEAD = Target(WORKER, "10.0.0.10", "n1")


def encoded(listing: Listing) -> str:
    return encode_result(Result(AgentTask.INSPECT, ok=True, listing=listing))


def inspecting(*nodes: Node, before: tuple[Target, ...] = (), **changes: object) -> Cluster:
    """Make a cluster under inspection with these nodes and the OTHERS; ``before``: down in the last list."""
    known = {"result": encoded(replace(LIST, down=before)), "source": M2}
    job = replace(INSPECTION, **(known | changes))  # type: ignore[arg-type]
    return replace(a_cluster(*nodes, *OTHERS, now=START + 5), jobs=(job,))


def seen(cluster: Cluster, down: tuple[Target, ...] = (), ids: tuple[str, ...] = IDS, **part: int) -> Plan:
    """Return the plan for the end of the inspection."""
    listing = Listing(5, down, ids=ids, managers=IDS[:2], **part)
    result = Result(AgentTask.INSPECT, ok=True, listing=listing)
    return decide(CommandFinished(START + 5, "c-1", M1, AgentTask.INSPECT, "Success", result), cluster)


def moved(plan: Plan) -> list[tuple[NodeState, str]]:
    return [(step.after.state, step.after.node) for step in plan.actions if isinstance(step, ReplaceRecord)]


def job(plan: Plan) -> Job:
    return next(step.after for step in plan.actions if isinstance(step, ReplaceJob))


def test_a_list_like_the_records_changes_only_the_job_of_the_inspection() -> None:
    plan = seen(inspecting(SERVED), ids=("n1", *IDS))
    assert [type(step) for step in plan.actions] == [ReplaceJob]
    assert plan.reason == "inspect: 5 nodes listed, 0 down"
    after = job(plan)
    assert (after.stage, after.due, after.reason, after.ended) == (
        JobStage.DONE,
        None,
        "5 nodes listed, 0 down",
        START + 5,
    )


def test_who_was_only_tagged_as_manager_is_one_once_a_manager_names_it() -> None:
    tagged = replace(SERVED, role=Role.MANAGER, only_tagged=True)
    for node, expected in (("m0", [False]), ("n1", [])):
        plan = seen(inspecting(replace(tagged, node=node)), ids=("n1", *IDS))
        changes = [step.after.only_tagged for step in plan.actions if isinstance(step, ReplaceRecord)]
        assert changes == expected, node


def test_a_node_that_is_not_listed_joins_again_with_its_node_id() -> None:
    plan = seen(inspecting(SERVED))
    assert moved(plan) == [(NodeState.JOINING, "n1")]
    (move,) = (step for step in plan.actions if isinstance(step, ReplaceRecord))
    assert (move.after.since, move.after.due) == (START + 5, START + 5)
    assert f"{WORKER} joining: the swarm lists no node n1" in job(plan).reason


def test_a_node_in_service_that_stays_down_joins_again_without_a_node_id() -> None:
    down = (DEAD,)
    assert moved(seen(inspecting(SERVED), down, ("n1", *IDS))) == []
    assert moved(seen(inspecting(SERVED, before=down), down, ("n1", *IDS))) == [(NodeState.JOINING, "")]
    assert moved(seen(inspecting(SERVED, before=down), (), ("n1", *IDS))) == []


def test_a_returning_node_that_stays_down_joins_again_once_no_command_is_out() -> None:
    back = replace(SERVED, state=NodeState.RETURNING, due=START)
    out = replace(back, command="c-9")
    ids = ("n1", *IDS)
    assert moved(seen(inspecting(back, before=(DEAD,)), (DEAD,), ids)) == [(NodeState.JOINING, "")]
    assert moved(seen(inspecting(out, before=(DEAD,)), (DEAD,), ids)) == []


def test_a_down_node_under_another_node_id_makes_its_instance_join_again() -> None:
    old = (replace(DEAD, node="n0"),)
    assert moved(seen(inspecting(SERVED, before=old), old, ("n0", "n1", *IDS))) == [(NodeState.JOINING, "")]


QUIET = {
    "it changed since the inspection began": replace(SERVED, since=START + 1),
    "it changed just before": replace(SERVED, since=START - 10),
    "it is evacuated": replace(SERVED, state=NodeState.EVACUATING),
    "it is out for a while": replace(SERVED, state=NodeState.EVACUATED, back=START + 900),
    "it leaves": replace(SERVED, state=NodeState.LEAVING),
    "its join was given up": replace(SERVED, state=NodeState.JOINING, attempts=12),
}


@pytest.mark.parametrize("node", QUIET.values(), ids=QUIET)
@pytest.mark.parametrize("listed", [True, False])
def test_a_record_stays_as_it_is_where(node: Node, listed: bool) -> None:
    down = (DEAD,) if listed else ()
    plan = seen(inspecting(node, before=down), down, ("n1", *IDS) if listed else IDS)
    assert [type(step) for step in plan.actions] == [ReplaceJob]


@pytest.mark.parametrize("state", [NodeState.JOINING, NodeState.ACTIVATING])
def test_a_joining_node_that_stays_down_is_an_incident(state: NodeState) -> None:
    node = replace(SERVED, state=state, node="", due=START, reason="the engine does not answer")
    plan = seen(inspecting(node, before=(DEAD,)), (DEAD,), ("n1", *IDS))
    (incident,) = (step.incident for step in plan.actions if isinstance(step, Notify))
    assert (incident.key, incident.instance, incident.node) == (f"down#{WORKER}", WORKER, "n1")
    assert "the engine does not answer" in incident.what
    assert "dockerd" in incident.fix
    assert moved(plan) == []


def test_a_removal_that_was_given_up_is_begun_again_once_its_node_is_dead() -> None:
    tried = replace(SERVED, state=NodeState.LEAVING, attempts=20, due=None)
    assert tried.is_given_up
    plan = seen(inspecting(tried, before=(DEAD,)), (DEAD,))
    (move,) = (step for step in plan.actions if isinstance(step, ReplaceRecord))
    assert (move.after.state, move.after.attempts, move.after.due) == (NodeState.LEAVING, 0, START + 5)


def test_a_dead_node_of_an_instance_that_is_gone_leaves_by_its_exact_id() -> None:
    gone = replace(SERVED, state=NodeState.GONE, node="n2", address="")
    plan = seen(inspecting(gone, before=(DEAD,)), (DEAD,))
    (move,) = (step for step in plan.actions if isinstance(step, ReplaceRecord))
    target = replace(DEAD, version=move.after.version)
    assert (move.after.state, move.after.target) == (NodeState.LEAVING, target)
    assert move.after.due == START + 5


def test_a_dead_node_of_an_instance_without_a_record_is_registered_to_leave() -> None:
    plan = seen(inspecting(before=(DEAD,)), (DEAD,))
    (register,) = (step for step in plan.actions if isinstance(step, Register))
    (registered,) = register.nodes
    assert not register.owned, "EC2 may show it in another cluster, which is to hear of it"
    target = replace(DEAD, version=1)
    assert (registered.state, registered.target, registered.version) == (NodeState.LEAVING, target, 1)
    assert (registered.due, registered.expires) == (START + 5, None)
    assert [type(step) for step in seen(inspecting(), (DEAD,)).actions] == [ReplaceJob], "not after one list"


def test_a_manager_that_lists_hardly_any_node_is_an_incident_and_no_change() -> None:
    plan = seen(inspecting(SERVED, before=(DEAD,)), (DEAD,), IDS[:1])
    (incident,) = (step.incident for step in plan.actions if isinstance(step, Notify))
    assert incident.what == f"{M1} does not list 4 of 5 nodes that are in service"
    assert moved(plan) == []
    assert not any(isinstance(step, Register) for step in plan.actions)


def test_a_part_of_a_big_swarm_says_nothing_of_the_nodes_in_the_others() -> None:
    nodes = tuple(a_node(instance=instance(1000 + n), node=f"n{n}", since=0) for n in range(90))
    for part in range(3):
        listing = Listing(part=part, parts=3)
        mine = [node.node for node in nodes if listing.covers(node.node)]
        before = encoded(replace(LIST, part=part, parts=3, ids=(*IDS, *mine[2:])))
        plan = seen(inspecting(*nodes, result=before), ids=(*IDS, *mine[1:]), part=part, parts=3)
        assert [node for _, node in moved(plan)] == mine[:1]
        assert 10 < len(mine) < 50


ONCE = {
    "there was none before": {"result": "", "source": ""},
    "the same manager gave the last one": {"source": M1},
    "the last one is of version 0.1, which did not say whose it was": {"source": ""},
    "the last one has the node, which is up": {"result": encoded(replace(LIST, ids=("n1", *IDS)))},
    "the last one is of another part": {"result": encoded(replace(LIST, part=1, parts=2, ids=()))},
}


@pytest.mark.parametrize("changes", ONCE.values(), ids=ONCE)
@pytest.mark.parametrize("is_listed", [True, False])
def test_on_one_list_alone_nobody_leaves_where(changes: dict[str, object], is_listed: bool) -> None:
    down, ids = ((DEAD,), ("n1", *IDS)) if is_listed else ((), IDS)
    covered = Listing(part=1, parts=2).covers("n1")
    assert not covered, "else the row about parts says nothing"
    for node in (SERVED, replace(SERVED, state=NodeState.GONE)):
        plan = seen(inspecting(node, **changes), down, ids)  # type: ignore[arg-type]
        assert [type(step) for step in plan.actions] == [ReplaceJob]
        assert job(plan).source == M1


@pytest.mark.parametrize(("ended", "after"), [(START - 300, [(NodeState.JOINING, "n1")]), (START - 60, [])])
def test_the_only_manager_says_it_twice_with_time_between(
    ended: float, after: list[tuple[NodeState, str]]
) -> None:
    """The other one is tagged as manager, but the swarm does not have it as one."""
    alone = replace(LIST, managers=IDS[:1])
    cluster = inspecting(SERVED, result=encoded(alone), source=M1, ended=ended)
    cluster = replace(cluster, timeouts=Timeouts(inspection_period_s=300.0))
    result = Result(AgentTask.INSPECT, ok=True, listing=alone)
    plan = decide(CommandFinished(START + 5, "c-1", M1, AgentTask.INSPECT, "Success", result), cluster)
    assert moved(plan) == after


STRANGE = {
    "its record is not in service": ({"state": NodeState.ACTIVATING, "due": START}, IDS[:2], 0),
    "its record has no node id": ({"node": ""}, IDS[:2], 0),
    "its swarm does not have its node as a manager": ({}, ("m1", "x9"), 1),
    "it names no managers": ({}, (), 0),
}


@pytest.mark.parametrize(("changes", "managers", "messages"), STRANGE.values(), ids=STRANGE)
def test_a_manager_is_not_believed_where(
    changes: dict[str, object], managers: tuple[str, ...], messages: int
) -> None:
    cluster = inspecting(SERVED, before=(DEAD,))
    strange = replace(VOTERS[0], **changes)  # type: ignore[arg-type]
    nodes = tuple(strange if node.instance == M1 else node for node in cluster.nodes)
    result = Result(AgentTask.INSPECT, ok=True, listing=replace(LIST, down=(DEAD,), managers=managers))
    event = CommandFinished(START + 5, "c-1", M1, AgentTask.INSPECT, "Success", result)
    plan = decide(event, replace(cluster, nodes=nodes))
    kept, before = job(plan), cluster.jobs[0]
    assert (kept.stage, kept.result, kept.source) == (JobStage.DONE, before.result, M2)
    assert "not believed" in kept.reason
    told = [step.incident for step in plan.actions if isinstance(step, Notify)]
    assert len(plan.actions) == 1 + len(told) == 1 + messages
    assert not told or (told[0].key, told[0].instance) == (f"listing#{M1}", M1)


def test_who_was_no_manager_in_the_last_list_is_not_believed_yet() -> None:
    last = encoded(replace(LIST, managers=("m1",)))
    plan = seen(inspecting(SERVED, result=last))
    assert moved(plan) == []
    assert "was no manager in the last list" in job(plan).reason


def test_an_answer_that_nothing_waits_for_changes_nothing() -> None:
    cluster = inspecting(SERVED)
    for late in (
        replace(cluster, jobs=()),
        inspecting(SERVED, command="c-2"),
        inspecting(SERVED, stage=JobStage.DONE, due=None),
    ):
        assert seen(late).actions == ()


def due(now: float, job: Job | None = DONE, name: str = "blue", **changes: object) -> tuple[Action, ...]:
    cluster = replace(a_cluster(now=now), name=name, jobs=(job,) if job else ())
    plan = decide(Tick(), replace(cluster, **changes))  # type: ignore[arg-type]
    return plan.actions


def test_an_inspection_follows_the_last_one_in_the_next_period() -> None:
    begun, send = due(START + 300)
    assert isinstance(begun, ReplaceJob)
    assert send == Send(begun.after)
    after = begun.after
    assert (after.since, after.manager, after.command, after.attempts) == (START + 300, M1, "", 0)
    assert after.arguments == encode_arguments(Arguments(inspection=8))


def test_two_looks_are_never_close_to_each_other() -> None:
    first = next(second for second in range(0, 900, 60) if due(START + second))
    assert 150 <= first <= 360


@pytest.mark.parametrize(
    "changes",
    [
        {"job": INSPECTION},
        {"timeouts": Timeouts(inspection_period_s=0)},
        {"managers": ()},
        {"settings": ClusterSettings(paused=True)},
        {"nodes": (a_node(state=NodeState.EVACUATING, due=START + 900, command="c-2"),)},
    ],
    ids=["one is out", "none are wanted", "no manager", "paused", "an evacuation"],
)
def test_no_look_is_begun_while(changes: dict[str, object]) -> None:
    assert not any(isinstance(step, ReplaceJob) for step in due(START + 900, **changes))  # type: ignore[arg-type]


def test_first_inspections_of_many_clusters_spread_over_the_ticks_of_a_period() -> None:
    firsts = [
        next(tick for tick in range(10) if due(START + 60 * tick, None, name=f"cluster-{number}"))
        for number in range(50)
    ]
    assert set(firsts) == {0, 1, 2, 3, 4}
    assert max(map(firsts.count, firsts)) < 25


def test_a_listing_from_an_older_agent_counts_as_none() -> None:
    cluster = inspecting(SERVED, result='{"task": "inspect"}')
    assert moved(seen(cluster, (DEAD,), ("n1", *IDS))) == []
