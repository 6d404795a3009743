"""What is done next about the plugin, given what stands on the host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.engine.networking.plugin import Plugin
from bootstrap.engine.node import Membership
from bootstrap.network.plugin_steps import (
    START_S,
    PluginFacts,
    PluginStep,
    Progress,
    WantedPlugin,
    next_plugin_step,
)
from bootstrap.network.router_status import read_status
from tests.unit.bootstrap.network.support import samples

RANGE = "10.32.0.0/12"
THREE = ("10.231.77.1", "10.231.77.2", "10.231.77.3")
WANTED = WantedPlugin("name/net-plugin:2.8.1", RANGE, is_whole=True)
PLUGIN = Plugin("id", "name/net-plugin:2.8.1", is_enabled=True)
MEMBER = Membership("active", "n1", is_manager=True, managers=frozenset(THREE))
HEALTHY = PluginFacts(MEMBER, THREE[0], PLUGIN, None, samples.manager_status(), THREE)
FRESH, LATE = Progress(), Progress(waited=START_S + 1)
UNTARGETED = read_status(samples.UNTARGETED, "")


def step(
    facts: PluginFacts, wanted: WantedPlugin = WANTED, progress: Progress = FRESH
) -> tuple[PluginStep, str]:
    return next_plugin_step(facts, wanted, progress)


def test_a_plugin_that_works_is_left_alone() -> None:
    assert step(HEALTHY, replace(WANTED, peers=3)) == (
        PluginStep.DONE,
        "3 peers, 2 connections established, range 10.32.0.0/12",
    )


def test_a_host_in_no_swarm_gets_no_plugin() -> None:
    facts = PluginFacts(Membership("inactive"), "")
    found, why = step(facts)
    assert (found, "join first" in why) == (PluginStep.STOP, True)


def test_a_host_waits_until_the_managers_have_formed() -> None:
    facts = PluginFacts(replace(MEMBER, managers=frozenset(THREE[:1])), THREE[0])
    assert step(facts, replace(WANTED, managers=THREE)) == (
        PluginStep.WAIT,
        "the managers have not formed: 10.231.77.2, 10.231.77.3 is not among them",
    )
    assert step(facts)[0] is PluginStep.INSTALL


def test_another_tag_of_the_plugin_is_for_people_to_remove() -> None:
    facts = PluginFacts(MEMBER, THREE[0], older=Plugin("id", "name/net-plugin:2.1.3", is_enabled=True))
    assert step(facts)[0] is PluginStep.STOP


@pytest.mark.parametrize("installs", [0, 1])
def test_a_plugin_that_is_listed_and_not_enabled_is_removed(installs: int) -> None:
    facts = replace(HEALTHY, plugin=replace(PLUGIN, is_enabled=False), status=None, started_with=None)
    assert step(facts, progress=Progress(installs)) == (PluginStep.REMOVE, "it is listed and not enabled")


def test_what_two_installations_did_not_help_is_told_with_where_to_look() -> None:
    facts = replace(HEALTHY, plugin=replace(PLUGIN, is_enabled=False))
    found, why = step(facts, progress=Progress(installs=2))
    assert found is PluginStep.STOP
    assert "min-api-version" in why
    assert step(replace(HEALTHY, plugin=None), progress=Progress(installs=2))[0] is PluginStep.STOP


def test_a_router_started_before_the_managers_formed_comes_anew() -> None:
    facts = replace(HEALTHY, status=UNTARGETED, started_with=())
    assert step(facts) == (
        PluginStep.REMOVE,
        "its router was started without the managers' addresses (Targets: 0)",
    )


def test_a_left_over_sentinel_hides_the_addresses_and_comes_anew() -> None:
    assert step(replace(HEALTHY, status=UNTARGETED))[0] is PluginStep.REMOVE


def test_a_router_that_was_restarted_goes_on_with_the_addresses_it_kept() -> None:
    assert step(replace(HEALTHY, started_with=()))[0] is PluginStep.DONE
    assert step(replace(HEALTHY, started_with=None))[0] is PluginStep.DONE


def test_a_router_that_has_lost_a_manager_is_waited_for_and_then_comes_anew() -> None:
    page = samples.MANAGER.replace("2 established, 1 failed", "1 established, 2 failed")
    status = read_status(page, f"{samples.OURSELF}\n{samples.SECOND}\n{samples.LOST}")
    facts = replace(HEALTHY, status=status, started_with=THREE[:2])
    why = "its router neither was started with 10.231.77.3 nor is connected"
    assert step(facts) == (PluginStep.WAIT, why)
    assert step(facts, progress=LATE) == (PluginStep.REMOVE, why)


def test_a_router_that_does_not_answer_is_waited_for_and_then_comes_anew() -> None:
    facts = replace(HEALTHY, status=None)
    assert step(facts) == (PluginStep.WAIT, "its status page does not answer")
    assert step(facts, progress=LATE)[0] is PluginStep.REMOVE


def test_a_range_that_is_another_is_not_changed_behind_anybodys_back() -> None:
    assert step(HEALTHY, replace(WANTED, range="10.48.0.0/12"))[0] is PluginStep.STOP


def test_only_who_verifies_waits_for_all_peers() -> None:
    wanted = replace(WANTED, peers=4)
    assert step(HEALTHY, wanted) == (
        PluginStep.WAIT,
        "it knows 3 of 4 peers; 2 of 3 connections are established",
    )
    assert step(HEALTHY, replace(wanted, is_whole=False))[0] is PluginStep.DONE
