"""A service's spec is marked, moved and restored so that nothing of it is lost."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from bootstrap.engine.service import EXCLUSION_LABEL, Service
from bootstrap.specs.exclusion import Pace, exclude_nodes, excluded_nodes, restore_spec
from tests.unit.bootstrap.specs.support.specs import NODES, PLACEMENTS, SPECS


def service(spec: dict[str, Any]) -> Service:
    return Service("s1", 1, spec, "")


@given(SPECS, PLACEMENTS)
def test_every_spec_ends_as_it_was(spec: dict[str, Any], placement: dict[str, Any]) -> None:
    spec = {**spec, "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}, "Placement": placement}}
    moving = service(exclude_nodes(service(spec), NODES, "start-first", Pace()))
    again = service(exclude_nodes(moving, [*NODES, "node-c"], "stop-first", Pace(1, 5)))
    assert restore_spec(moving) == spec
    assert restore_spec(again) == spec


@given(SPECS)
def test_a_placement_is_never_taken_away_since_that_crashes_managers(spec: dict[str, Any]) -> None:
    spec = {**spec, "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}}}
    moving = service(exclude_nodes(service(spec), NODES, "start-first", Pace()))
    assert restore_spec(moving) == {**spec, "TaskTemplate": {**spec["TaskTemplate"], "Placement": {}}}


def test_a_shifted_spec_keeps_away_from_the_nodes_and_starts_first() -> None:
    moving = service(exclude_nodes(service({"Name": "web"}), NODES, "start-first", Pace(2, 7)))
    assert moving.placement == {"Constraints": ["node.id != node-a", "node.id != node-b"]}
    assert moving.update_config == {
        "Parallelism": 2,
        "Delay": 7,
        "Order": "start-first",
        "FailureAction": "continue",
    }
    assert excluded_nodes(moving) == {"node-a", "node-b"}


def test_an_update_config_that_a_user_changed_meanwhile_is_the_users() -> None:
    moving = exclude_nodes(
        service({"Name": "web", "UpdateConfig": {"Delay": 3}}), NODES, "start-first", Pace()
    )
    moving["UpdateConfig"] = {**moving["UpdateConfig"], "Parallelism": 4}
    assert restore_spec(service(moving))["UpdateConfig"]["Parallelism"] == 4


def test_a_service_that_was_not_shifted_is_left_alone() -> None:
    assert restore_spec(service({"Name": "web"})) == {"Name": "web"}
    assert excluded_nodes(service({"Name": "web"})) == frozenset()


def test_a_users_own_constraint_equal_to_ours_stays() -> None:
    spec = {"Name": "web", "TaskTemplate": {"Placement": {"Constraints": ["node.id!=node-a"]}}}
    assert restore_spec(service(exclude_nodes(service(spec), NODES, "start-first", Pace()))) == spec


def test_constraints_as_version_0_1_wrote_them_are_taken_away() -> None:
    mark = '{"nodes":["a"],"ours":{"Order":"start-first"},"labels":true,"constraints":true}'
    rules = ["node.role==worker", "node.id!=a"]
    spec = {"Labels": {EXCLUSION_LABEL: mark}, "TaskTemplate": {"Placement": {"Constraints": rules}}}
    assert restore_spec(service(spec))["TaskTemplate"]["Placement"] == {"Constraints": rules[:1]}
