"""A handler may die between any two effects: ticks alone then lead to the right end."""

from __future__ import annotations

import contextlib
from typing import get_type_hints

import pytest

from chalicelib.adapters import ports
from chalicelib.protocol.messages import AgentTask
from chalicelib.state import settings
from chalicelib.state.instance import InstanceState
from chalicelib.state.lifecycle import NodeState
from tests.unit.chalicelib.support import mortal
from tests.unit.chalicelib.support.fakes import WORKER, WORKER_2, Lab
from tests.unit.chalicelib.support.killer import Killed, Killer
from tests.unit.chalicelib.support.stories import change, end, tick, warn

EFFECTS = {
    "nodes": ("register", "replace"),
    "managers": ("record", "record_breaker"),
    "lease": ("acquire", "request_recheck", "release"),
    "discoveries": ("begin", "finish"),
    "hosts": ("send", "cancel"),
}


def story(lab: Lab) -> None:
    """Tell a warning, its result, the end of the instance, and the result of its removal."""
    warn(lab, time=lab.clock.time)
    end(lab, lab.hosts.sent[-1])
    lab.ec2.turn(WORKER, InstanceState.TERMINATED)
    change(lab, "terminated")
    end(lab, lab.hosts.sent[-1])


def killed_at(at: int, *, after: bool) -> Lab:
    """Tell the story in a known cluster, but its handler dies at one effect, and the rest is lost."""
    lab, killer = Lab(), Killer(at, after)
    tick(lab)
    for part, names in EFFECTS.items():
        for name in names:
            target = getattr(lab, part)
            setattr(target, name, killer.wrap(getattr(target, name)))
    with contextlib.suppress(Killed):
        story(lab)
    assert killer.dead == (at <= TOTAL), "the story has another number of effects: set TOTAL to it"
    killer.dead, killer.at = False, 0
    return lab


TOTAL = 20


def test_the_story_ends_well_without_a_crash() -> None:
    assert killed_at(TOTAL + 1, after=False).node().state is NodeState.GONE


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, TOTAL + 1))
def test_a_crash_at_any_effect_is_repaired_by_ticks(at: int, *, after: bool) -> None:
    lab = killed_at(at, after=after)
    lab.ec2.turn(WORKER, InstanceState.TERMINATED)
    for _ in range(6):
        tick(lab)
    assert lab.node().state is NodeState.GONE
    assert lab.node(WORKER_2).state is NodeState.IN_SERVICE
    assert not lab.nodes.list_open("blue", float("inf"))
    assert lab.hosts.sent[-1].task is AgentTask.LEAVE


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, TOTAL + 1))
def test_after_the_intent_a_crash_leaves_a_node_evacuated_inside_the_notice(at: int, *, after: bool) -> None:
    lab = killed_at(at, after=after)
    if lab.ec2.instances[WORKER].state is InstanceState.TERMINATED:
        return  # it died later in the story
    if lab.node().state is NodeState.IN_SERVICE:
        assert (at, after) == (1, False), (
            "only a crash before the very first effect loses the warning to a retry"
        )
        return
    if lab.node().state is NodeState.EVACUATING:
        began = lab.node().since
        tick(lab)
        end(lab, lab.hosts.sent[-1])
        assert lab.node().since - began <= 70
    assert lab.node().state is NodeState.EVACUATED


READS = {
    "nodes": {"find_owner", "get", "list_all", "list_open"},
    "clusters": {"read"},
    "managers": {"list_ids", "list_hosts", "get_breaker"},
    "settings": {"get"},
    "incidents": {"list_all", "get"},
    "jobs": {"list_all"},
    "discoveries": {"latest", "look_up"},
    "hosts": {"find_reachable", "fetch_answer"},
    "ec2": {"discover"},
    "autoscaling": {"list_open"},
    "clock": {"now", "sleep"},
}

COMPOSED = {"nodes": {"replace_all"}}  # in memory of single replacements, so a handler dies between them, too


def test_handlers_are_killed_at_every_effect_of_every_port() -> None:
    for name, port in get_type_hints(ports.World, vars(ports) | vars(settings)).items():
        if name in ("timeouts", "deployment", "holder"):  # values, no ports
            continue
        methods = {method for method in vars(port) if not method.startswith("_")}
        effects = {*EFFECTS.get(name, ()), *mortal.EFFECTS.get(name, ())}
        assert effects | READS.get(name, set()) | COMPOSED.get(name, set()) == methods, name
