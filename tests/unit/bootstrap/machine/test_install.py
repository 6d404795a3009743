"""An engine comes step by step; what is there stays; killed anywhere, the next run goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.errors import AgentError
from bootstrap.machine.facts import InstallFacts, PackageFacts, RunningEngine, System
from bootstrap.machine.install import install
from bootstrap.machine.install_steps import InstallStep, next_install_step, plan
from bootstrap.machine.wanted import Wanted
from chalicelib.protocol.description import StorageDriver, WantedEngine
from tests.unit.bootstrap.support.fake_host import Killed
from tests.unit.bootstrap.support.fake_machine import BARE, DISTRIBUTION, WANTED, FakeMachine, installed

FROM_BARE = (
    InstallStep.SET_SOURCE,
    InstallStep.UPDATE_LISTS,
    InstallStep.WRITE_SETTINGS,
    InstallStep.INSTALL_PACKAGES,
    InstallStep.HOLD_PACKAGES,
    InstallStep.START_ENGINE,
)
UPGRADE = Wanted(WantedEngine("29.1.0"))
MEMBER = RunningEngine("28.5.2", "overlay2", "active", containers=3, kept=9)


def test_a_bare_machine_gets_the_exact_version_in_six_steps() -> None:
    machine = FakeMachine()
    done = install(machine, WANTED)
    assert (done.steps, machine.facts.packages.installed["docker-ce"]) == (FROM_BARE, "5:28.5.2-1~noble")
    assert machine.facts.packages.held == {"docker-ce", "docker-ce-cli"}
    assert str(done).startswith("engine 5:28.5.2-1~noble runs with overlay2; done: set-source, update-lists")


def test_a_second_run_changes_nothing_and_says_so() -> None:
    machine = FakeMachine()
    install(machine, WANTED)
    before = machine.facts
    again = install(machine, WANTED)
    assert (again.steps, machine.facts) == ((), before)
    assert str(again).endswith("nothing was changed")


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("step", range(1, len(FROM_BARE) + 1))
def test_killed_at_any_step_the_next_run_goes_on(step: int, before: bool) -> None:
    machine = FakeMachine(dies_at=step, dies_before=before)
    with pytest.raises(Killed):
        install(machine, WANTED)
    install(machine, WANTED)
    twice = 1 if before else 0
    assert len(machine.steps) == len(FROM_BARE) + twice
    assert install(machine, WANTED).steps == ()


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("step", [1, 2])
def test_an_upgrade_killed_at_any_step_goes_on_and_ends_the_same(step: int, before: bool) -> None:
    machine = FakeMachine(installed(), dies_at=step, dies_before=before)
    with pytest.raises(Killed):
        install(machine, UPGRADE)
    install(machine, UPGRADE)
    assert machine.facts.packages.installed["docker-ce"] == "5:29.1.0-1~noble"
    assert machine.facts.engine == RunningEngine("5:29.1.0-1~noble", "overlay2")


def test_another_version_is_installed_and_the_engine_restarted() -> None:
    machine = FakeMachine(installed())
    assert install(machine, UPGRADE).steps == (InstallStep.INSTALL_PACKAGES, InstallStep.RESTART_ENGINE)


def test_changed_settings_restart_the_engine_once() -> None:
    machine = FakeMachine(installed(settings={"labels": ["a=b"]}))
    assert install(machine, WANTED).steps == (InstallStep.WRITE_SETTINGS, InstallStep.RESTART_ENGINE)
    assert machine.facts.settings["labels"] == ["a=b"]


def test_labels_that_a_join_has_written_change_nothing() -> None:
    facts = installed()
    labelled = replace(facts, settings={**facts.settings, "labels": ["swarmkeeper.cluster=blue"]})
    assert install(FakeMachine(labelled), WANTED).steps == ()


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (replace(installed(), packages=replace(installed().packages, is_broken=True)), InstallStep.REPAIR),
        (installed(is_source_set=False), InstallStep.SET_SOURCE),
        (
            replace(installed(), packages=replace(installed().packages, held=frozenset())),
            InstallStep.HOLD_PACKAGES,
        ),
        (installed(engine=None), InstallStep.START_ENGINE),
        (installed(is_restart_due=True), InstallStep.RESTART_ENGINE),
        (installed(engine=RunningEngine("27.0.1", "overlay2")), InstallStep.RESTART_ENGINE),
        (installed(engine=RunningEngine("28.5.2", "overlayfs")), InstallStep.DONE),
        (installed(engine=MEMBER), InstallStep.DONE),
    ],
)
def test_what_is_missing_then_the_step_that_brings_it(facts: InstallFacts, step: InstallStep) -> None:
    assert next_install_step(facts, WANTED)[0] is step


@pytest.mark.parametrize(
    ("facts", "wanted", "said"),
    [
        (replace(BARE, is_root=False), WANTED, "installing takes root"),
        (
            installed(settings={"live-restore": True}),
            WANTED,
            "daemon.json says live-restore: true, with which",
        ),
        (BARE, Wanted(WantedEngine("28.5.2", live_restore=True)), "live-restore cannot be had"),
        (BARE, Wanted(WantedEngine("28.5.2", settings={"live-restore": True})), "live-restore cannot be had"),
        (installed("5:29.1.0-1~noble"), WANTED, "docker-ce 5:29.1.0-1~noble is newer than the wanted 28.5.2"),
        (installed(), Wanted(WantedEngine("28.5.2", DISTRIBUTION)), "an engine of another source"),
        (
            installed(engine=MEMBER),
            UPGRADE,
            "would stop 3 containers of a node of a swarm: evacuate it first",
        ),
        (installed(engine=MEMBER, settings={}), WANTED, "write-settings would stop 3 containers"),
        (installed(engine=MEMBER, is_restart_due=True), WANTED, "restart-engine would stop 3 containers"),
        (
            installed(engine=RunningEngine("28.5.2", "aufs")),
            WANTED,
            "uses the storage driver aufs, not overlay2 or",
        ),
        (installed(starter="", engine=None), WANTED, "neither systemctl nor service"),
    ],
)
def test_what_cannot_or_must_not_be_done_then_a_line_that_says_why(
    facts: InstallFacts, wanted: Wanted, said: str
) -> None:
    step, why = next_install_step(facts, wanted)
    assert (step, said in why) == (InstallStep.STOP, True), why


def test_another_storage_driver_never_hides_what_the_engine_has() -> None:
    wanted = Wanted(WantedEngine("28.5.2", storage_driver=StorageDriver.OVERLAY2))
    facts = installed(engine=RunningEngine("28.5.2", "overlayfs", kept=4))
    step, why = next_install_step(facts, wanted)
    assert step is InstallStep.STOP
    assert "with another storage driver than overlayfs the engine no longer sees its 4 containers" in why


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        (replace(UPGRADE, may_restart=True), "5:29.1.0-1~noble"),
        (Wanted(WantedEngine("28.5.2"), may_restart=True, may_downgrade=True), "5:28.5.2-1~noble"),
    ],
)
def test_who_allows_it_gets_it(wanted: Wanted, version: str) -> None:
    start = "5:28.5.2-1~noble" if "29" in version else "5:29.1.0-1~noble"
    machine = FakeMachine(replace(installed(start), engine=replace(MEMBER, version=start)))
    install(machine, wanted)
    assert machine.facts.packages.installed["docker-ce"] == version


def test_a_version_that_no_source_has_is_told_with_those_it_has() -> None:
    with pytest.raises(AgentError) as told:
        install(FakeMachine(), Wanted(WantedEngine("27.0.3")))
    assert "the source docker has no docker-ce 27.0.3 for Ubuntu 24.04 LTS; it has 5:29.1.0-1~noble" in str(
        told.value
    )
    assert "(done before: set-source, update-lists)" in str(told.value)


def test_any_version_is_the_newest_where_none_is_there_and_else_stays() -> None:
    wanted = Wanted(WantedEngine("any"))
    machine = FakeMachine()
    install(machine, wanted)
    assert machine.facts.packages.installed["docker-ce"] == "5:29.1.0-1~noble"
    assert install(FakeMachine(installed()), wanted).steps == ()


@pytest.mark.parametrize(
    "step", [InstallStep.SET_SOURCE, InstallStep.INSTALL_PACKAGES, InstallStep.START_ENGINE]
)
def test_a_step_without_effect_is_told_and_not_repeated_for_ever(step: InstallStep) -> None:
    machine = FakeMachine(idle=frozenset({step}))
    with pytest.raises(AgentError, match=f"{step.value} was done and had no effect"):
        install(machine, WANTED)
    assert machine.steps.count(step) == 1


def test_a_step_that_fails_is_the_error() -> None:
    machine = FakeMachine(failing=frozenset({InstallStep.INSTALL_PACKAGES}))
    with pytest.raises(AgentError, match="install-packages: no"):
        install(machine, WANTED)
    assert InstallStep.HOLD_PACKAGES not in machine.steps


def test_a_dry_run_foresees_the_steps_of_a_real_one() -> None:
    foreseen = [step for step, _ in plan(BARE, WANTED)]
    assert foreseen == [*FROM_BARE, InstallStep.DONE]
    assert [step for step, _ in plan(installed(), WANTED)] == [InstallStep.DONE]


def test_without_a_package_manager_it_says_so() -> None:
    with pytest.raises(AgentError, match="neither apt-get nor dnf"):
        next_install_step(InstallFacts(System("alpine"), PackageFacts()), WANTED)
