"""Which services get more tasks first, and how many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from bootstrap.engine.service import Service
from bootstrap.evacuation.add_first import MAX_STARTS, starts
from bootstrap.evacuation.scene import Scene
from bootstrap.evacuation.ways import Leave
from bootstrap.specs.surge import surge_of
from tests.unit.bootstrap.support.swarms import Counts, Machine, service, snapshot

NOW = 1_000_000.0


def added(
    counts: Mapping[str, Counts], notice: float = 120.0, nodes: int = 2, **wishes: int
) -> list[tuple[str, int]]:
    """Plan the first poll for services that stand so; node d is going."""
    machines = {
        "d": Machine(evacuation_deadline=f"{NOW + notice:.0f}"),
        **{f"n{number}": Machine() for number in range(nodes)},
    }
    services = [_paced(service(name, sum(on.values())), wishes) for name, on in counts.items()]
    seen = snapshot(machines, services, counts)
    scene = Scene(seen, NOW, frozenset(task.id for task in seen.tasks))
    ways = {one.id: (Leave.ADD_FIRST, "") for one in services}
    return [(one.service.name, _raised(one.spec) - one.service.replicas) for one in starts(scene, ways)]


def _paced(one: Service, wishes: dict[str, int]) -> Service:
    return replace(one, spec={**one.spec, "UpdateConfig": wishes} if wishes else one.spec)


def _raised(spec: dict[str, object]) -> int:
    surge = surge_of(Service("", 1, spec, ""))
    assert surge
    return surge.raised


def test_an_even_service_moves_all_at_once() -> None:
    assert added({"web": {"d": 2, "n0": 2, "n1": 2}}) == [("web", 2)]


@pytest.mark.parametrize(("notice", "wave"), [(120.0, 3), (60.0, 6), (30.0, 12)])
def test_an_uneven_service_moves_in_as_many_waves_as_fit_into_half_of_the_time(
    notice: float, wave: int
) -> None:
    assert added({"web": {"d": 12}}, notice) == [("web", wave)]


@pytest.mark.parametrize(("delay", "at_once"), [(1, 2), (60, 6)])
def test_a_services_own_pace_is_kept_where_it_fits_into_half_of_the_time(delay: int, at_once: int) -> None:
    even = {"web": {"d": 6, "n0": 6, "n1": 6}}
    assert added(even, Delay=delay * 10**9, Parallelism=2) == [("web", at_once)]


def test_single_replicas_come_first_then_those_that_would_lose_most() -> None:
    counts = {"big": {"d": 3, "n0": 3}, "one": {"d": 1}, "third": {"d": 1, "n0": 1, "n1": 1}}
    assert [name for name, _ in added(counts)] == ["one", "big", "third"]


def test_no_more_tasks_start_at_a_time_than_the_nodes_can_bear() -> None:
    many: dict[str, Counts] = {f"s{number:03}": {"d": 1} for number in range(300)}
    assert len(added(many)) == 20
    assert len(added(many, nodes=100)) == MAX_STARTS
