"""The first manager, roles, tokens and recovery: nothing twice, and never at the cost of the quorum."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bootstrap.engine.node import Node
from bootstrap.errors import AgentError
from bootstrap.tasks import init, leave, recover, roles, rotate_tokens
from chalicelib.protocol.messages import AgentTask, Arguments, Fate, Result, Target
from tests.unit.bootstrap.support.fake_host import TOKENS, FakeHost
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance
from tests.unit.bootstrap.tasks.support.managers import Manager, call, without_quorum


@pytest.fixture
def engine() -> Manager:
    return Manager(FakeSwarm(managers=0, workers=0))


@pytest.fixture
def host(engine: Manager) -> FakeHost:
    return FakeHost(engine=engine, tokens={})


def test_init_refuses_a_second_swarm_of_the_cluster(host: FakeHost) -> None:
    host.tokens["worker"] = TOKENS["worker"]
    with pytest.raises(AgentError, match="blue has join tokens, so it has a swarm"):
        call(init, host)


def test_given_tokens_of_another_swarm_expected_that_init_stores_none_over_them(host: FakeHost) -> None:
    """Two stages had clusters of one name: new workers of the one joined the other."""
    call(init, host)
    host.tokens.update(OTHERS)
    with pytest.raises(AgentError, match="are another swarm's") as refusal:
        call(init, host)
    assert host.tokens == OTHERS
    assert "SWMTKN" not in str(refusal.value)


OTHERS = {"worker": "SWMTKN-1-beef-worker-0", "manager": "SWMTKN-1-beef-manager-0"}


def test_given_tokens_of_another_swarm_expected_that_none_are_rotated(
    engine: Manager, host: FakeHost
) -> None:
    call(init, host)
    host.tokens.update(OTHERS)
    with pytest.raises(AgentError, match=r"another swarm's.*nothing was stored.*docker swarm ca --rotate"):
        call(rotate_tokens, host)
    assert (host.tokens, engine.rotations) == (OTHERS, 0)


def test_given_a_new_ca_expected_that_tokens_are_rotated_once_the_old_are_deleted(
    engine: Manager, host: FakeHost
) -> None:
    call(init, host)
    host.tokens.update(OTHERS)
    host.tokens.clear()
    assert call(rotate_tokens, host).ok
    assert host.tokens == engine.tokens()


def test_given_tokens_of_another_swarm_expected_that_recover_leaves_them(lost: FakeHost) -> None:
    lost.tokens.update(OTHERS)
    with pytest.raises(AgentError, match=r"the swarm is back, .*, but the join tokens of blue are another"):
        call(recover, lost)
    assert lost.tokens == OTHERS
    lost.tokens.clear()
    assert call(recover, lost).ok, "what is said to do works"
    assert lost.tokens == lost.engine.tokens()


def test_given_older_tokens_of_the_swarm_expected_that_init_stores_the_newest(
    engine: Manager, host: FakeHost
) -> None:
    call(init, host)
    engine.rotate_tokens()
    call(init, host)
    assert host.tokens == engine.tokens()


def test_init_and_recover_refuse_another_host_than_the_one_that_was_named(host: FakeHost) -> None:
    for task in (init, recover):
        with pytest.raises(AgentError, match="not the one that was named"):
            call(task, host, number=1)


def test_rotated_tokens_are_stored_and_a_store_that_refuses_is_noticed_before(
    engine: Manager, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(init, host)
    call(rotate_tokens, host)
    assert host.tokens == engine.tokens() == {role: f"{token}-1" for role, token in TOKENS.items()}

    def refused(*_: Any) -> Any:
        raise AgentError("refused")

    monkeypatch.setattr(FakeHost, "put", refused)
    with pytest.raises(AgentError, match="refused"):
        call(rotate_tokens, host)
    assert engine.rotations == 1


@pytest.fixture
def lost(host: FakeHost) -> FakeHost:
    return without_quorum(host)


def removed(lost: FakeHost) -> Result:
    """Do what leave does with the lost managers."""
    swarm = lost.engine.swarm
    numbers = [int(node.id[1:]) for node in swarm.nodes() if node.is_down]
    targets = tuple(Target(instance(number), f"10.0.0.{number}") for number in numbers)
    return leave.run(swarm, Arguments(targets), swarm.clock)


def test_recover_makes_one_manager_of_a_lost_quorum_and_the_lost_can_leave(lost: FakeHost) -> None:
    assert call(recover, lost).ok
    assert len(lost.engine.swarm.nodes()) == 3
    assert removed(lost).ok
    assert [node.role for node in lost.engine.swarm.nodes()] == ["manager"]


def test_recover_refuses_an_autolocked_swarm_before_it_changes_anything(lost: FakeHost) -> None:
    """The engine stops its manager before it finds that it has no unlock key (measured)."""
    lost.engine.seen = replace(lost.engine.seen, is_autolocked=True)
    began = lost.engine.swarm.time
    with pytest.raises(AgentError, match=r"autolocked.*nothing was changed.*docker swarm unlock"):
        call(recover, lost)
    assert isinstance(lost.engine, Manager)
    assert not lost.engine.quorum
    assert lost.engine.swarm.time == began, "at once"


def test_recover_changes_nothing_while_there_is_a_quorum(host: FakeHost) -> None:
    call(init, host)
    with pytest.raises(AgentError, match="have a quorum, so nothing was changed"):
        call(recover, host)


def test_recover_waits_out_an_election(engine: Manager, lost: FakeHost) -> None:
    sleep, began = engine.swarm.sleep, engine.swarm.time

    def elected(seconds: float) -> None:
        sleep(seconds)
        if engine.swarm.time > began + 5:
            engine.quorum = True
            for row in engine.swarm.node_rows.values():
                row["ManagerStatus"]["Reachability"] = "reachable"

    engine.swarm.clock = replace(engine.swarm.clock, sleep=elected)
    with pytest.raises(AgentError, match="have a quorum"):
        call(recover, lost)


def change(task: AgentTask, swarm: FakeSwarm, *numbers: int) -> list[tuple[Fate, str]]:
    targets = tuple(Target(instance(number), f"10.0.0.{number}") for number in numbers)
    result = partial(roles.run, task)(swarm, Arguments(targets), swarm.clock)
    return [(row.fate, row.detail) for row in result.nodes]


def test_workers_are_promoted_one_after_the_other() -> None:
    swarm = FakeSwarm(managers=1, workers=2)
    update = swarm.update_node

    def answers(node: Node, **changes: Any) -> None:
        assert all(other.reachability == "reachable" for other in swarm.nodes() if other.role == "manager")
        update(node, **changes)
        swarm.node_rows[node.id]["ManagerStatus"] = {"Reachability": "reachable"}

    swarm.update_node = answers  # type: ignore[method-assign]
    assert change(AgentTask.PROMOTE, swarm, 2, 3) == [(Fate.PROMOTED, ""), (Fate.PROMOTED, "")]


def test_nobody_is_promoted_beside_a_dead_manager() -> None:
    swarm = FakeSwarm(managers=3, workers=1)
    swarm.node_rows["n02"]["ManagerStatus"]["Reachability"] = "unreachable"
    reason = "1 of 3 managers do not answer: demote them first"
    assert change(AgentTask.PROMOTE, swarm, 4) == [(Fate.KEPT, reason)]


def test_a_demotion_that_would_cost_the_quorum_is_refused_with_the_reason() -> None:
    swarm = FakeSwarm(managers=3, workers=1)
    swarm.node_rows["n03"]["ManagerStatus"]["Reachability"] = "unreachable"
    assert change(AgentTask.DEMOTE, swarm, 2) == [
        (Fate.KEPT, "demoting host-02 would leave 1 of 2 managers: no quorum")
    ]
    assert change(AgentTask.DEMOTE, swarm, 3) == [(Fate.DEMOTED, "")]


def test_a_manager_does_not_demote_itself() -> None:
    swarm = FakeSwarm(managers=3, workers=1)
    found = change(AgentTask.DEMOTE, swarm, 1)
    assert found == [(Fate.KEPT, "a manager does not demote itself: run this on another one")]


def orphan(swarm: FakeSwarm) -> str:
    """Add what a join with the managers' token leaves that could not end."""
    node = swarm.add_node("manager")
    row = swarm.node_rows[node]
    row["Description"], row["Status"] = {}, {"State": "unknown"}
    del row["ManagerStatus"]
    return node


def test_recovery_ends_without_nodes_that_are_nobodys(lost: FakeHost) -> None:
    """Reported: they counted as managers that do not answer, so that nobody could be promoted."""
    swarm = lost.engine.swarm
    left = {orphan(swarm) for _ in range(2)}
    assert call(recover, lost).ok
    assert not left & set(swarm.node_rows)
    assert len(swarm.nodes()) == 3, "those that are somebody's leave when their instances have ended"


def test_leaving_removes_what_is_nobodys_but_no_node_that_is_joining() -> None:
    swarm = FakeSwarm(managers=3, workers=1)
    left, joining = orphan(swarm), orphan(swarm)
    sleep, began = swarm.sleep, swarm.time

    def named(seconds: float) -> None:
        sleep(seconds)
        if swarm.time > began + 2:
            swarm.node_rows[joining]["Description"] = {"Hostname": "new"}

    clock = replace(swarm.clock, sleep=named)
    assert leave.run(swarm, Arguments((Target(instance(99), "10.0.0.99"),)), clock).ok
    assert (left in swarm.node_rows, joining in swarm.node_rows) == (False, True)


def test_what_is_nobodys_keeps_nobody_from_being_promoted() -> None:
    swarm = FakeSwarm(managers=3, workers=1)
    orphan(swarm)
    arguments = Arguments((Target(instance(4), "10.0.0.4"),))
    roles.promote(swarm, arguments, swarm.clock)
    assert swarm.node_rows["n04"]["Spec"]["Role"] == "manager"
