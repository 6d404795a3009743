"""The discovery brings the records in line with EC2 and sends nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.actions import Notify, Plan, RecordManagers, RecordOwners, Register, ReplaceRecord
from chalicelib.events import InstancesDiscovered
from chalicelib.rules import decide
from chalicelib.state.instance import DiscoveredInstance, InstanceState, Role
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support.fakes import (
    MANAGERS,
    START,
    a_cluster,
    a_discovered_instance,
    a_node,
    instance,
)

SEEN = [a_discovered_instance(name, role=Role.MANAGER) for name in MANAGERS]
KNOWN = [a_node(instance=name, role=Role.MANAGER) for name in MANAGERS]


def discovery(*instances: DiscoveredInstance) -> InstancesDiscovered:
    return InstancesDiscovered(START, (*SEEN, *instances))


def moved(node: object, *instances: DiscoveredInstance) -> object:
    """Return the node after the discovery; None for no change."""
    plan = decide(discovery(*instances), a_cluster(*KNOWN, node))  # type: ignore[arg-type]
    moves = [action for action in plan.actions if isinstance(action, ReplaceRecord)]
    assert len(plan.actions) == len(moves)
    return moves[0].after if moves else None


def test_what_is_in_line_stays() -> None:
    plan = decide(discovery(a_discovered_instance()), a_cluster(*KNOWN, a_node()))
    assert plan == Plan("4 instances seen: 0 new, 0 changed, 3 managers")


def test_new_running_instances_are_registered_to_join() -> None:
    plan = decide(discovery(a_discovered_instance()), a_cluster(*KNOWN))
    fresh = a_node(state=NodeState.JOINING, since=START - 3600, due=START, reason="seen by the discovery")
    assert plan == Plan("4 instances seen: 1 new, 0 changed, 3 managers", (Register((fresh,)),))


@pytest.mark.parametrize("state", ["stopping", "shutting-down", "stopped", "terminated"])
def test_new_instances_that_end_already_are_known_but_never_join(state: str) -> None:
    (register,) = decide(
        discovery(a_discovered_instance(state=InstanceState(state))), a_cluster(*KNOWN)
    ).actions
    assert isinstance(register, Register)
    (node,) = register.nodes
    assert (node.state, node.due, node.reason) == (NodeState.GONE, None, f"was {state} before it was seen")


def test_the_fleets_of_new_instances_are_noted() -> None:
    plan = decide(discovery(a_discovered_instance(fleet="fleet-12345678")), a_cluster(*KNOWN))
    homes, register = plan.actions
    assert homes == RecordOwners(("fleet-12345678",))
    assert isinstance(register, Register), "a crash in between leaves them new"


def test_a_hurried_discovery_registers_new_instances_and_leaves_known_ones_alone() -> None:
    new, lost = a_discovered_instance(fleet="fleet-12345678"), a_node(instance=instance(99))
    plan = decide(replace(discovery(new), hurried=True), a_cluster(*KNOWN, lost, managers=()))
    kinds = [type(action) for action in plan.actions]
    assert kinds == [RecordOwners, Register, RecordManagers]
    assert ReplaceRecord in map(type, decide(discovery(new), a_cluster(*KNOWN, lost)).actions)


def test_what_began_after_the_census_looked_stays() -> None:
    node = a_node(state=NodeState.JOINING, since=START + 1, launched=START + 1)
    assert moved(node, a_discovered_instance(state=InstanceState.STOPPED)) is None


def test_the_managers_are_those_that_run() -> None:
    gone = replace(SEEN[0], state=InstanceState.TERMINATED)
    plan = decide(InstancesDiscovered(START, (gone, *SEEN[1:])), a_cluster(*KNOWN))
    assert RecordManagers(MANAGERS[1:]) in plan.actions


@pytest.mark.parametrize(
    ("before", "state", "after"),
    [
        (NodeState.IN_SERVICE, "shutting-down", NodeState.EVACUATING),
        (NodeState.IN_SERVICE, "terminated", NodeState.LEAVING),
        (NodeState.EVACUATING, "terminated", NodeState.LEAVING),
        (NodeState.EVACUATED, "stopped", NodeState.LEAVING),
        (NodeState.EVACUATED, "shutting-down", None),
        (NodeState.LEAVING, "terminated", None),
        (NodeState.GONE, "terminated", None),
    ],
)
def test_a_missed_change_of_state_is_made_up_for(
    before: NodeState, state: str, after: NodeState | None
) -> None:
    node = moved(a_node(state=before), a_discovered_instance(state=InstanceState(state)))
    assert getattr(node, "state", None) is after
    assert getattr(node, "due", None) == (START if after else None)


@pytest.mark.parametrize(("launched", "after"), [(START - 3600, NodeState.LEAVING), (START - 299, None)])
def test_an_instance_that_is_not_listed_leaves_unless_it_is_brand_new(
    launched: float, after: NodeState | None
) -> None:
    assert getattr(moved(a_node(launched=launched)), "state", None) is after


@pytest.mark.parametrize("state", list(NodeState))
def test_an_instance_that_was_started_again_joins_again(state: NodeState) -> None:
    node = a_node(state=state, since=START - 60, node="abc", command="c", due=START, expires=START)
    after = moved(node, a_discovered_instance(launched=START - 10, address="10.0.0.99"))
    expected = a_node(version=2, since=START - 10, launched=START - 10, address="10.0.0.99")
    expected = replace(expected, state=NodeState.JOINING, due=START)
    assert after == replace(expected, reason="the instance was started again")


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (a_node(state=NodeState.LEAVING, fate="alive"), "the instance and its node live after all"),
        (a_node(state=NodeState.GONE, since=START - 301), "EC2 still lists it as running"),
        (a_node(state=NodeState.GONE, since=START - 299), None),
        (a_node(state=NodeState.LEAVING), None),
        (a_node(state=NodeState.EVACUATED, since=START - 899, announced=True), None),
        (a_node(state=NodeState.EVACUATED, since=START - 901, announced=True), "the instance was spared"),
        (a_node(state=NodeState.EVACUATED, since=START - 9e6), None),
        (a_node(state=NodeState.EVACUATED, since=START - 901, due=START + 9, back=START + 9), None),
        (a_node(state=NodeState.EVACUATING), None),
    ],
)
def test_a_running_instance_comes_back_only_if_its_end_was_a_mistake(
    node: object, reason: str | None
) -> None:
    assert getattr(moved(node, a_discovered_instance()), "reason", None) == reason


def test_a_changed_role_or_address_is_taken_over() -> None:
    after = moved(a_node(), a_discovered_instance(address="10.0.0.99"))
    assert after == a_node(version=2, address="10.0.0.99")


@pytest.mark.parametrize(
    ("state", "role", "shown", "only_tagged"),
    [
        (NodeState.IN_SERVICE, Role.WORKER, Role.MANAGER, True),
        (NodeState.IN_SERVICE, Role.MANAGER, Role.WORKER, False),
        (NodeState.JOINING, Role.WORKER, Role.MANAGER, False),  # it will join as one
    ],
)
def test_a_worker_of_the_swarm_that_is_tagged_as_manager_is_one_by_its_tag_only(
    state: NodeState, role: Role, shown: Role, *, only_tagged: bool
) -> None:
    plan = decide(
        discovery(a_discovered_instance(role=shown)), a_cluster(*KNOWN, a_node(state=state, role=role))
    )
    (change,) = (step for step in plan.actions if isinstance(step, ReplaceRecord))
    assert (change.after.role, change.after.only_tagged) == (shown, only_tagged)
    entered = change.after if state is NodeState.JOINING else None
    joined = entered or change.after.enter(NodeState.JOINING, since=START, reason="it joins in its role")
    assert not joined.only_tagged


def test_a_record_without_zone_type_and_lifecycle_gets_them_once() -> None:
    """As those of version 0.1 are; what EC2 does not show for once is not forgotten."""
    shown = {"zone": "us-east-1b", "kind": "c5.large", "lifecycle": "spot"}
    full = a_node(version=2, zone="us-east-1b", kind="c5.large", lifecycle="spot")
    assert moved(a_node(), a_discovered_instance(**shown)) == full
    assert moved(full, a_discovered_instance(**shown)) is None
    assert moved(full, a_discovered_instance(zone="us-east-1b")) is None


def test_a_new_record_has_what_becomes_labels_of_its_node() -> None:
    fresh = a_discovered_instance(zone="us-east-1b", kind="c5.large", lifecycle="spot")
    (register,) = decide(discovery(fresh), a_cluster(*KNOWN)).actions
    assert isinstance(register, Register)
    target = register.nodes[0].described_target
    shown = (target.role, target.zone, target.kind, target.lifecycle)
    assert shown == ("worker", "us-east-1b", "c5.large", "spot")


def test_two_records_with_one_node_id_are_told_and_the_younger_joins_again() -> None:
    """Reported: a host was booted from an image of a running node, and its warning drained the original."""
    older, younger = a_node(node="abc"), a_node(instance=instance(11), node="abc", launched=START - 60)
    shown = [a_discovered_instance(), a_discovered_instance(instance(11), launched=START - 60)]
    plan = decide(discovery(*shown), a_cluster(*KNOWN, older, younger))
    change, message = plan.actions
    assert isinstance(change, ReplaceRecord)
    assert (change.before, change.after.state, change.after.node) == (younger, NodeState.JOINING, "")
    assert isinstance(message, Notify)
    assert message.incident.what == f"{older.instance} and {younger.instance} both say that they are node abc"


@pytest.mark.parametrize("state", [NodeState.JOINING, NodeState.ACTIVATING])
@pytest.mark.parametrize("known", [NodeState.IN_SERVICE, NodeState.EVACUATING, NodeState.RETURNING])
def test_an_older_worker_that_names_a_managers_node_changes_no_manager(
    state: NodeState, known: NodeState
) -> None:
    """Found by a review: the manager in service, the younger one, was sent to join again."""
    manager = replace(KNOWN[0], node="m1", state=known, deadline=START + 60)
    liar = a_node(state=state, node="m1", launched=START - 9000, due=START, since=START - 60)
    seen = discovery(a_discovered_instance(launched=START - 9000))
    plan = decide(seen, a_cluster(manager, *KNOWN[1:], liar))
    change, message = plan.actions
    assert isinstance(change, ReplaceRecord)
    assert change.before == liar
    assert (change.after.state, change.after.node, change.after.claimed) == (state, "", "m1")
    assert change.after.target.node == "m1", "the managers are asked whose it is; only then it leaves"
    assert isinstance(message, Notify)
    assert message.incident.instance == liar.instance


def test_a_liar_that_is_evacuated_loses_the_node_id_for_good() -> None:
    manager, liar = replace(KNOWN[0], node="m1"), a_node(state=NodeState.EVACUATED, node="m1", launched=0)
    change, _ = decide(
        discovery(a_discovered_instance(launched=0)), a_cluster(manager, *KNOWN[1:], liar)
    ).actions
    assert isinstance(change, ReplaceRecord)
    assert (change.after.instance, change.after.state) == (liar.instance, NodeState.EVACUATED)
    assert (change.after.node, change.after.target.node) == ("", "")


@pytest.mark.parametrize(
    ("manager", "worker"),
    [({"since": START - 900}, {"since": START - 60}), ({}, {"launched": START - 9000})],
    ids=["activated before", "launched after"],
)
def test_of_two_in_service_the_manager_keeps_its_node(
    manager: dict[str, float], worker: dict[str, float]
) -> None:
    one, other = replace(KNOWN[0], node="m1", **manager), a_node(node="m1", **worker)  # type: ignore[arg-type]
    shown = a_discovered_instance(launched=other.launched)
    change, _ = decide(discovery(shown), a_cluster(one, *KNOWN[1:], other)).actions
    assert isinstance(change, ReplaceRecord)
    assert (change.before, change.after.state) == (other, NodeState.JOINING)


def test_of_two_workers_in_service_the_last_one_activated_keeps_the_node() -> None:
    """An activation refuses what managers call another's, so the last one tells what they call it now."""
    first = a_node(node="abc", launched=START - 9000, since=START - 8000)
    last = a_node(instance=instance(11), node="abc", launched=START - 900, since=START - 800)
    shown = [a_discovered_instance(one.instance, launched=one.launched) for one in (first, last)]
    change, _ = decide(discovery(*shown), a_cluster(*KNOWN, first, last)).actions
    assert isinstance(change, ReplaceRecord)
    assert change.before == first


def test_of_two_that_are_both_on_their_way_in_an_activation_tells() -> None:
    pair = [a_node(instance=instance(n), state=NodeState.ACTIVATING, node="abc") for n in (11, 12)]
    shown = [a_discovered_instance(one.instance) for one in pair]
    plan = decide(discovery(*shown), a_cluster(*KNOWN, *pair))
    assert [type(action) for action in plan.actions] == [Notify]


def test_twins_are_told_apart_also_while_others_change() -> None:
    manager, liar = replace(KNOWN[0], node="m1"), a_node(state=NodeState.ACTIVATING, node="m1", launched=0)
    moving = a_node(instance=instance(11))
    shown = (a_discovered_instance(launched=0), a_discovered_instance(instance(11), address="10.0.0.99"))
    plan = decide(discovery(*shown), a_cluster(manager, *KNOWN[1:], liar, moving))
    changed = [action.before.instance for action in plan.actions if isinstance(action, ReplaceRecord)]
    assert sorted(changed) == sorted([liar.instance, moving.instance])
