"""What the operator makes of node events, without any engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.balancer.decisions import backoff_seconds, on_connection, on_events, summary
from bootstrap.engine.decode import read_node_event
from bootstrap.engine.node import Node
from bootstrap.engine.node_event import NodeEvent
from chalicelib.protocol.messages import AgentTask, Balance, Result, SpreadReport
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm

READY = NodeEvent("update", "n02", "host-02", {"state": ("unknown", "ready")})
ACTIVE = NodeEvent("update", "n02", "host-02", {"availability": ("drain", "active")})
LABELLED = NodeEvent("update", "n02", "host-02")
DOWN = NodeEvent("update", "n02", "host-02", {"state": ("ready", "down")})


def nodes(availability: str = "active", state: str = "ready") -> tuple[Node, ...]:
    swarm = FakeSwarm()
    swarm.node_rows["n02"]["Spec"]["Availability"] = availability
    swarm.node_rows["n02"]["Status"]["State"] = state
    return swarm.nodes()


def test_an_engines_event_is_read_with_what_changed() -> None:
    row = {
        "Type": "node",
        "Action": "update",
        "Actor": {
            "ID": "n02",
            "Attributes": {"name": "host-02", "state.new": "ready", "state.old": "unknown"},
        },
        "scope": "swarm",
    }
    event = read_node_event(row)
    assert event == READY
    assert str(event) == "node host-02 (n02) update: state unknown -> ready"
    assert str(read_node_event({"Action": "remove", "Actor": {"ID": "n9"}})) == (
        "node ? (n9) remove: nothing that counts"
    )


@pytest.mark.parametrize("event", [READY, ACTIVE, NodeEvent("create", "n02", "")])
def test_a_node_that_becomes_usable_starts_a_rebalance(event: NodeEvent) -> None:
    decision = on_events([LABELLED, event, DOWN], nodes())
    assert (decision.act, decision.reason) == (True, "host-02 may have tasks now")


def test_a_node_that_is_ready_but_drained_starts_none_and_the_reason_says_so() -> None:
    decision = on_events([READY], nodes(availability="drain"))
    assert (decision.act, decision.reason) == (False, "host-02 is ready and drain")


def test_a_node_that_was_ready_for_a_moment_only_starts_none() -> None:
    assert not on_events([READY], nodes(state="down")).act
    gone = NodeEvent("update", "n99", "host-99", {"state": ("unknown", "ready")})
    assert on_events([gone], nodes()).reason == "the node is gone again"


@pytest.mark.parametrize("event", [LABELLED, DOWN, NodeEvent("remove", "n02", "host-02")])
def test_no_other_change_of_a_node_starts_a_rebalance(event: NodeEvent) -> None:
    decision = on_events([event], nodes())
    assert (decision.act, decision.reason) == (False, "no node has become usable")


def test_several_joins_make_one_decision_that_names_them_all() -> None:
    other = replace(READY, node="n03")
    assert on_events([other, READY, other], nodes()).reason == "host-02, host-03 may have tasks now"


def test_it_rebalances_once_when_it_starts() -> None:
    assert on_connection(None, nodes()).act


def test_after_a_reconnect_it_acts_only_if_a_usable_node_changed_meanwhile() -> None:
    known = nodes()
    assert not on_connection(known, nodes()).act
    back = tuple(replace(node, version=node.version + (node.id == "n02")) for node in known)
    assert on_connection(known, back).reason == "host-02 changed while events were missed"
    away = tuple(replace(node, state="down") if node.id == "n02" else node for node in back)
    assert not on_connection(known, away).act
    assert on_connection(known[:1], known).reason == (
        "host-02, host-03, host-04 changed while events were missed"
    )


def test_pauses_double_up_to_a_minute_and_come_apart_by_luck() -> None:
    assert [backoff_seconds(n, 1) for n in (1, 2, 3, 4, 5, 6, 7, 1000)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff_seconds(4, 0) == 4


def test_a_result_is_logged_in_one_line() -> None:
    moved = SpreadReport("web", Balance.MOVED, moves=2, restarted=2, seconds=3.14, warnings=("slow start",))
    even = SpreadReport("api", Balance.BALANCED, reason="1 to 2 on each of 3 nodes")
    assert summary(Result(AgentTask.REBALANCE, ok=True, spreads=(moved, even), wait=12)) == (
        "done: web moved (2 moves, 2 restarted, 3.1 s), warning: slow start; "
        "api balanced: 1 to 2 on each of 3 nodes; to be tried again after 12 s"
    )
    assert summary(Result(AgentTask.REBALANCE, ok=True)) == "done: nothing was to be moved"
    assert (
        summary(Result(AgentTask.REBALANCE, ok=False, error="lost the lease")) == "not done: lost the lease"
    )
