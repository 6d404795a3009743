"""Tasks on managers, killed before and after each of their effects and run again, end as they should."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bootstrap.engine.node import Node
from bootstrap.tasks import give_back, init, recover, roles, rotate_tokens
from chalicelib.protocol.messages import AgentTask, Arguments, Result, Target
from tests.unit.bootstrap.support.fake_host import NUMBER, FakeDaemon, FakeHost, Killed, killing
from tests.unit.bootstrap.support.fake_swarm import FakeSwarm, instance
from tests.unit.bootstrap.tasks.support.managers import Manager, call, without_quorum

Story = tuple[Callable[[], Result], Callable[[], None]]  # the task, and what must be true in the end


class Voting(FakeSwarm):
    """Its managers agree on changes of roles: no change may leave them without a majority that answers."""

    def __init__(self, managers: int, workers: int, here: str = "n01") -> None:
        super().__init__(managers, workers)
        self.here = here

    def node_id(self) -> str:
        return self.here

    def update_node(self, node: Node, **changes: Any) -> None:
        super().update_node(node, **changes)
        if changes.get("Role") == "manager":
            self.node_rows[node.id]["ManagerStatus"] = {"Reachability": "reachable", "Leader": False}
        answers = [one.reachability == "reachable" for one in self.nodes() if one.role == "manager"]
        assert sum(answers) > len(answers) // 2, f"{changes} of {node.id} costs the quorum"

    def roles(self) -> str:
        """One letter for each node: m or w."""
        return "".join(node.role[0] for node in self.nodes())


class Effects:
    """Every effect that these tasks have: counted, and fatal at one of them."""

    PLACES: tuple[tuple[type, str], ...] = (
        (FakeDaemon, "set_labels"),
        (FakeDaemon, "reload"),
        (FakeHost, "put"),
        (Manager, "init"),
        (Manager, "rotate_tokens"),
        (Manager, "update_node"),
        (Voting, "update_node"),
    )

    def __init__(self, patch: pytest.MonkeyPatch, at: int, side: str) -> None:
        self.count = itertools.count()
        for place, name in self.PLACES:
            effect = killing(getattr(place, name), lambda: next(self.count) == at, side)
            patch.setattr(place, name, effect)


def bare() -> tuple[Manager, FakeHost]:
    engine = Manager(FakeSwarm(managers=0, workers=0))
    return engine, FakeHost(engine=engine, tokens={})


def the_first_manager() -> Story:
    engine, host = bare()

    def check() -> None:
        assert host.tokens == engine.tokens()
        assert [node.instance for node in engine.swarm.nodes()] == [instance(NUMBER)]
        assert engine.swarm.nodes()[0].availability == "active"

    return partial(call, init, host), check


def new_tokens() -> Story:
    engine, host = bare()
    call(init, host)
    old = set(host.tokens.values())

    def check() -> None:
        assert host.tokens == engine.tokens()
        assert not old & set(host.tokens.values()), "the old ones are worthless"

    return partial(call, rotate_tokens, host), check


def a_lost_quorum() -> Story:
    engine, host = bare()
    without_quorum(host)
    host.tokens.clear()

    def check() -> None:
        assert host.tokens == engine.tokens()
        assert [node.has_vote for node in engine.nodes()] == [True, False, False]

    return partial(call, recover, host), check


def changed(task: AgentTask, swarm: Voting, numbers: tuple[int, ...], roles_after: str) -> Story:
    targets = tuple(Target(instance(number), f"10.0.0.{number}") for number in numbers)

    def check() -> None:
        assert swarm.roles() == roles_after

    return partial(roles.run, task, swarm, Arguments(targets), swarm.clock), check


def workers_promoted() -> Story:
    return changed(AgentTask.PROMOTE, Voting(1, 3), (2, 3), "mmmw")


def a_dead_manager_and_the_leader_demoted() -> Story:
    swarm = Voting(5, 1, here="n02")
    swarm.node_rows["n05"]["ManagerStatus"]["Reachability"] = "unreachable"
    return changed(AgentTask.DEMOTE, swarm, (1, 5), "wmmmww")


def nodes_given_back() -> Story:
    swarm = Voting(1, 3)
    for node in ("n02", "n03"):
        spec = swarm.node_rows[node]["Spec"]
        spec.update(Availability="drain", Labels={"swarmkeeper.evacuate": "1", "rack": "7"})
    targets = tuple(Target(instance(number), f"10.0.0.{number}") for number in (2, 3))

    def check() -> None:
        found = [(node.availability, dict(node.labels)) for node in swarm.nodes()[1:3]]
        assert found == [("active", {"rack": "7"})] * 2

    return partial(give_back.run, swarm, Arguments(targets), swarm.clock), check


STORIES = {
    the_first_manager: 7,
    new_tokens: 5,
    a_lost_quorum: 3,
    workers_promoted: 2,
    a_dead_manager_and_the_leader_demoted: 2,
    nodes_given_back: 2,
}


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(
    ("story", "at"),
    [(story, at) for story, effects in STORIES.items() for at in range(effects)],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_killed_at_any_effect_and_run_again_it_ends_the_same(
    story: Callable[[], Story], at: int, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, check = story()
    with monkeypatch.context() as patch:
        Effects(patch, at, side)
        with pytest.raises(Killed):
            run()
    assert run().ok
    check()


@pytest.mark.parametrize(("story", "effects"), STORIES.items(), ids=[story.__name__ for story in STORIES])
def test_no_effect_is_left_out(
    story: Callable[[], Story], effects: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, check = story()
    with monkeypatch.context() as patch:
        seen = Effects(patch, -1, "before")
        assert run().ok
    check()
    assert next(seen.count) == effects
