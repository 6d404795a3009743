"""No demotion ever costs the quorum."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bootstrap.engine.node import Node
from bootstrap.membership.quorum import next_demotion


def manager(key: str, *, answers: bool = True, leader: bool = False) -> Node:
    reachability = "reachable" if answers else "unreachable"
    return Node(key, 1, {}, "ready", "", key, {}, ("", ""), 0, 0, reachability, leader)


def test_one_of_three_may_go() -> None:
    found, reason = next_demotion([manager("a"), manager("b"), manager("c")], ["b"])
    assert found is not None
    assert found.id == "b"
    assert reason == "2 of 2 managers keep the quorum without b"


def test_the_dead_go_first_and_the_leader_last() -> None:
    managers = [
        manager("a", leader=True),
        manager("b"),
        manager("c", answers=False),
        manager("d"),
        manager("e"),
    ]
    order = []
    while (found := next_demotion(managers, ["a", "b", "c"])[0]) is not None:
        order.append(found.id)
        managers = [node for node in managers if node.id != found.id]
    assert order == ["c", "b", "a"]


def test_a_living_one_stays_while_the_others_could_not_do_without_it() -> None:
    found, reason = next_demotion([manager("a"), manager("b"), manager("c", answers=False)], ["b"])
    assert found is None
    assert reason == "demoting b would leave 1 of 2 managers: no quorum"


def test_the_only_manager_stays() -> None:
    assert next_demotion([manager("a")], ["a"])[0] is None


def test_without_a_quorum_nothing_is_demoted() -> None:
    managers = [manager("a"), manager("b", answers=False), manager("c", answers=False)]
    found, reason = next_demotion(managers, ["b", "c"])
    assert found is None
    assert "1 of 3 managers answer" in reason


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_whatever_is_demoted_the_rest_has_a_majority(answers: list[bool], data: st.DataObject) -> None:
    managers = [manager(str(number), answers=answer) for number, answer in enumerate(answers)]
    going = data.draw(st.sets(st.sampled_from([node.id for node in managers])))
    while (found := next_demotion(managers, going)[0]) is not None:
        assert found.id in going
        managers = [node for node in managers if node.id != found.id]
        assert sum(node.reachability == "reachable" for node in managers) >= len(managers) // 2 + 1
