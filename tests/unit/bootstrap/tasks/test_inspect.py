"""What an agent tells of its swarm: rows for people, and for the tick a listing that fits for any swarm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.clock import Clock
from bootstrap.engine.node import Node
from bootstrap.tasks import inspect
from chalicelib.protocol.codec import MAX_LINE, decode_result, encode_result
from chalicelib.protocol.messages import Arguments, Listing, Target
from tests.unit.bootstrap.support.fake_engine import FakeEngine, instance
from tests.unit.bootstrap.support.swarms import Machine, node


class Big(FakeEngine):
    """A swarm of 5,000 nodes with genuine ids, some of which are down."""

    def __init__(self, down: int) -> None:
        super().__init__()
        self.is_down = down

    def nodes(self) -> tuple[Node, ...]:
        return tuple(
            replace(
                node(f"{number * 7919 + 36**7:025d}"[::-1], Machine()),
                spec={"Labels": {"swarmkeeper.instance": instance(number)}},
                state="down" if number < self.is_down else "ready",
            )
            for number in range(5000)
        )


def label(engine: FakeEngine, node: str, value: str) -> None:
    engine.node_rows[node]["Spec"]["Labels"] = {"swarmkeeper.instance": value}


def told(engine: FakeEngine, look: int) -> Listing:
    """Read the listing as it arrives."""
    line = encode_result(inspect.run(engine, Arguments(inspection=look), Clock()))
    assert len(line) <= MAX_LINE
    found = decode_result(line).listing
    assert found is not None
    return found


def test_an_inspection_lists_all_ids_and_who_is_down() -> None:
    engine = FakeEngine()
    for name, number in (("n03", 3), ("n04", 4)):
        engine.cut(name)
        engine.node_rows[name]["Description"]["Engine"]["Labels"] = {"swarmkeeper.instance": instance(1)}
        if number == 3:
            label(
                engine, name, instance(number)
            )  # of the other one only its engine says that it is anybody's
    listing = told(engine, 1)
    assert listing == Listing(
        4, (Target(instance(3), "10.0.0.3", "n03"),), 0, 1, ("n01", "n02", "n03", "n04"), ("n01",)
    )
    assert listing.lists("n02")
    assert not listing.lists("n05")


@pytest.mark.parametrize("address", ["", "fe80::1", "a b"])
def test_a_down_node_without_instance_or_address_does_not_spoil_the_answer(address: str) -> None:
    engine = FakeEngine()
    for name in ("n03", "n04"):
        engine.cut(name)
    label(engine, "n03", "my laptop")
    label(engine, "n04", instance(4))
    engine.node_rows["n04"]["Status"]["Addr"] = address
    assert told(engine, 1).down == (Target(instance(4), "0.0.0.0", "n04"),)  # noqa: S104


def test_ten_inspections_tell_all_of_5000_nodes_each_twice_in_a_row() -> None:
    engine = Big(down=0)
    every = [told(engine, look) for look in range(6, 16)]
    looks = every[::2]
    assert looks == every[1::2]
    assert sorted(look.part for look in looks) == [0, 1, 2, 3, 4]
    assert sum(len(look.ids) for look in looks) == 5000
    for one in engine.nodes():
        (mine,) = (look for look in looks if look.covers(one.id))
        assert mine.lists(one.id)


def test_where_very_many_are_down_some_are_listed_and_the_others_counted() -> None:
    result = inspect.run(Big(down=2000), Arguments(inspection=1), Clock())
    found = decode_result(encode_result(result))
    assert found.listing is not None
    assert len(found.listing.down) + found.left_out == 2000
    assert len(found.listing.down) > 40
    assert result.listing is not None
    assert found.listing.ids == result.listing.ids


def test_people_get_a_row_for_each_node_or_for_those_that_they_name() -> None:
    engine = FakeEngine()
    engine.info = lambda: {"ServerVersion": "20.10.24"}  # type: ignore[method-assign]
    every = inspect.run(engine, Arguments(), Clock()).facts["nodes"]
    assert [row["node"] for row in every] == ["n01", "n02", "n03", "n04"]
    (mine,) = inspect.run(engine, Arguments((Target(instance(2), "10.0.0.2"),)), Clock()).facts["nodes"]
    assert (mine["node"], mine["state"]) == ("n02", "ready")
