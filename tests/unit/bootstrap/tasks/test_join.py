"""Joining against a swarm in memory: from any state, killed anywhere, a host ends as one labelled member."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from bootstrap.engine.client import EngineError
from bootstrap.engine.node import Membership
from bootstrap.errors import AgentError
from bootstrap.membership.join_steps import JoinStep, next_join_step
from bootstrap.tasks import join
from chalicelib.protocol.messages import Arguments, Fate, Result, Target
from tests.unit.bootstrap.support.fake_host import (
    ADDRESS,
    NUMBER,
    FakeDaemon,
    FakeEngine,
    FakeHost,
    Killed,
    killing,
)
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance

MANAGERS = ("10.0.0.1", "10.0.0.2")
LABELS = {"swarmkeeper.cluster": "blue", "swarmkeeper.role": "worker"}


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(FakeSwarm(managers=2, workers=1))


@pytest.fixture
def host(engine: FakeEngine) -> FakeHost:
    return FakeHost(engine=engine)


def run(host: FakeHost, node: str = "", role: str = "worker", **changes: Any) -> Result:
    me = Target(instance(NUMBER), ADDRESS, node)
    others = (Target(instance(78), "10.0.0.78"),)
    labels = {**LABELS, "swarmkeeper.role": role}
    arguments = Arguments((*others, me), managers=MANAGERS, role=role, labels=labels)
    return join.run(host.engine, replace(arguments, **changes), host.engine.swarm.clock, host)


def mine(engine: FakeEngine) -> list[dict[str, Any]]:
    return [row for row in engine.swarm.node_rows.values() if row["Status"]["Addr"] == ADDRESS]


def test_a_bare_host_becomes_a_drained_and_labelled_member(host: FakeHost) -> None:
    result = run(host)
    row = mine(host.engine)[0]
    assert result.nodes[0].fate is Fate.JOINED
    assert result.nodes[0].node == row["ID"]
    assert result.nodes[0].instance == instance(NUMBER)
    assert (row["Spec"]["Role"], row["Spec"]["Availability"]) == ("worker", "drain")
    assert row["Description"]["Engine"]["Labels"] == {
        **LABELS,
        "swarmkeeper.instance": instance(NUMBER),
        "swarmkeeper.zone": "us-east-1b",
        "swarmkeeper.type": "c5.large",
        "swarmkeeper.lifecycle": "spot",
    }


@pytest.mark.parametrize("role", ["worker", "manager"])
def test_only_the_token_of_its_own_role_is_read(host: FakeHost, role: str) -> None:
    run(host, role=role)
    assert host.read == [role]
    assert mine(host.engine)[0]["Spec"]["Role"] == role


def test_a_member_says_so_and_reads_no_token(host: FakeHost) -> None:
    run(host)
    host.read.clear()
    result = run(host)
    assert "member already" in result.nodes[0].detail
    assert (host.read, host.engine.leaves, len(mine(host.engine))) == ([], 0, 1)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("number", range(3))
def test_killed_at_any_effect_and_run_again_it_is_one_member(
    host: FakeHost, number: int, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    effects = itertools.count()
    with monkeypatch.context() as patch:
        for thing, name in ((FakeDaemon, "set_labels"), (FakeDaemon, "reload"), (FakeEngine, "join")):
            patch.setattr(thing, name, killing(getattr(thing, name), lambda: next(effects) == number, side))
        with pytest.raises(Killed):
            run(host)
    assert run(host).ok
    rows = mine(host.engine)
    assert [row["Spec"]["Availability"] for row in rows] == ["drain"]
    assert rows[0]["Description"]["Engine"]["Labels"]["swarmkeeper.instance"] == instance(NUMBER)


def test_a_stale_address_is_passed_over(host: FakeHost) -> None:
    host.silent.add(MANAGERS[0])
    run(host)
    assert host.engine.joins == [MANAGERS[1]]


def test_a_host_that_could_not_join_again_does_not_leave(host: FakeHost) -> None:
    """What was left cannot be gone back to."""
    run(host)
    node = host.engine.seen.node
    host.silent.update(MANAGERS)
    arguments = Arguments((Target(instance(NUMBER), ADDRESS, node),), managers=MANAGERS, role="worker")
    with pytest.raises(AgentError, match="nothing left"):
        join.run(host.engine, replace(arguments, labels=LABELS), host.engine.swarm.clock, host)
    assert (host.engine.leaves, host.engine.seen.node) == (0, node)


def test_without_any_manager_the_error_names_the_addresses(host: FakeHost) -> None:
    host.silent.update(MANAGERS)
    with pytest.raises(AgentError, match=r"port 2377: 10.0.0.1, 10.0.0.2; nothing was joined"):
        run(host)


def test_an_engine_that_is_busy_for_a_while_is_asked_again(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    membership, refusals = FakeEngine.membership, [5]

    def busy(engine: FakeEngine) -> Membership:
        seen = membership(engine)
        if seen.state == "active" and refusals[0]:
            refusals[0] -= 1
            raise EngineError("did not say what it is")
        return seen

    monkeypatch.setattr(FakeEngine, "membership", busy)
    assert run(host).ok
    assert refusals == [0]


def test_a_join_that_goes_on_in_the_background_is_waited_for(host: FakeHost) -> None:
    host.engine.takes = 40
    assert run(host).ok
    assert len(host.engine.joins) == 1


def test_a_join_that_leads_nowhere_is_left_and_tried_at_the_next_manager(host: FakeHost) -> None:
    host.engine.slow.add(MANAGERS[0])
    assert run(host).ok
    assert (host.engine.joins, host.engine.leaves) == (list(MANAGERS), 1)


def test_a_refused_token_is_reported_without_it(host: FakeHost) -> None:
    host.tokens["worker"] = "SWMTKN-1-stale-one"
    with pytest.raises(AgentError) as refusal:
        run(host)
    assert "(a join token)" in str(refusal.value)
    assert "SWMTKN" not in str(refusal.value)


def test_a_node_that_the_managers_disown_leaves_and_joins_anew(host: FakeHost) -> None:
    first = run(host).nodes[0].node
    del host.engine.swarm.node_rows[first]
    result = run(host, node=first)
    assert host.engine.leaves == 1
    assert result.nodes[0].node not in ("", first)
    assert run(host, node=first).nodes[0].node == result.nodes[0].node, "only what is disowned leaves"
    assert host.engine.leaves == 1


def test_a_host_that_is_none_of_the_subjects_changes_nothing(host: FakeHost) -> None:
    with pytest.raises(AgentError, match="none of the instances that shall join"):
        run(host, targets=(Target(instance(5), "10.0.0.5"),))
    assert (host.engine.settings, host.engine.joins) == ({}, [])


ACTIVE = Membership("active", "abc", managers=frozenset(MANAGERS))
REMOVED = "PermissionDenied: node abc was removed from swarm"


@pytest.mark.parametrize(
    ("seen", "disowned", "waited", "step"),
    [
        (Membership("inactive"), "", 0, JoinStep.JOIN),
        (Membership("pending"), "", 0, JoinStep.WAIT),
        (Membership("pending"), "", 26, JoinStep.LEAVE),
        (Membership("pending", "abc"), "", 0, JoinStep.WAIT),
        (Membership("pending", "abc"), "", 26, JoinStep.DONE),
        (ACTIVE, "", 0, JoinStep.DONE),
        (ACTIVE, "other", 0, JoinStep.DONE),
        (ACTIVE, "abc", 0, JoinStep.LEAVE),
        (Membership("error", error="no leader"), "", 0, JoinStep.LEAVE),
        (Membership("error", error="port in use", has_raft_state=True), "", 0, JoinStep.STOP),
        (Membership("error", error=REMOVED, has_raft_state=True), "", 0, JoinStep.LEAVE),
        (Membership("locked"), "", 0, JoinStep.STOP),
    ],
)
def test_a_healthy_member_never_leaves_and_a_managers_state_is_not_thrown_away(
    seen: Membership, disowned: str, waited: float, step: JoinStep
) -> None:
    assert next_join_step(seen, disowned, waited)[0] is step


def test_a_locked_swarm_is_refused_with_what_unlocks_it() -> None:
    step, why = next_join_step(Membership("locked"))
    assert step is JoinStep.STOP
    assert why.startswith("its swarm is locked (autolock): run docker swarm unlock on this host")


def test_a_host_that_goes_into_a_warm_pool_joins_only_once_it_enters_service(engine: FakeEngine) -> None:
    result = run(FakeHost(engine=engine, warm=True))
    assert (result.ok, result.nodes[0].fate) == (False, Fate.WARM)
    assert (engine.joins, engine.seen.engine_labels) == ([], {})
    assert run(FakeHost(engine=engine)).nodes[0].fate is Fate.JOINED
