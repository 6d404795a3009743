"""Each step changes the machine as it says; one that fails says what it left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine, EngineError
from bootstrap.errors import AgentError
from bootstrap.host.docker_daemon import Daemon
from bootstrap.machine.install_steps import InstallStep
from bootstrap.machine.machine import LEFT, Machine
from bootstrap.machine.packages import Apt
from bootstrap.machine.programs import Said
from bootstrap.machine.service import Service
from tests.unit.bootstrap.machine.support.programs import Programs
from tests.unit.bootstrap.support.fake_machine import WANTED, installed


class Starting(Engine):
    """An engine that answers after so many questions."""

    def __init__(self, questions: int = 0) -> None:
        self.questions = questions

    def info(self) -> Mapping[str, Any]:
        self.questions -= 1
        if self.questions >= 0:
            raise EngineError("not yet")
        return {"ServerVersion": "28.5.2", "Driver": "overlay2"}

    def renew(self) -> None:
        pass


def make(root: Path, engine: Engine, programs: Programs) -> Machine:
    (root / "usr/sbin").mkdir(parents=True)
    (root / "usr/sbin/service").write_text("")
    daemon = Daemon(root / "daemon.json", root / "docker.pid")
    return Machine(
        engine, programs.clock, programs.apt(root), Service(programs, root), daemon, root / "run/restart-due"
    )


def test_settings_are_merged_and_a_running_engine_is_noted_for_a_restart(tmp_path: Path) -> None:
    machine = make(tmp_path, Starting(), Programs())
    facts = installed(settings={"labels": ["a=b"]})
    machine.perform(InstallStep.WRITE_SETTINGS, facts, WANTED)
    written = json.loads((tmp_path / "daemon.json").read_text())
    assert (written["labels"], written["log-driver"]) == (["a=b"], "json-file")
    assert machine.read(WANTED).is_restart_due
    machine.perform(InstallStep.RESTART_ENGINE, facts, WANTED)
    assert not machine.read(WANTED).is_restart_due


def test_an_engine_that_is_not_there_yet_needs_no_restart(tmp_path: Path) -> None:
    machine = make(tmp_path, Starting(), Programs())
    machine.perform(InstallStep.WRITE_SETTINGS, installed(engine=None), WANTED)
    assert not machine.read(WANTED).is_restart_due


def test_a_started_engine_is_waited_for(tmp_path: Path) -> None:
    programs = Programs()
    make(tmp_path, Starting(3), programs).perform(InstallStep.START_ENGINE, installed(engine=None), WANTED)
    assert ("service", "docker", "start") in programs.calls


def test_an_engine_that_never_answers_is_told_with_what_was_left(tmp_path: Path) -> None:
    machine = make(tmp_path, Starting(10_000), Programs())
    with pytest.raises(AgentError) as told:
        machine.perform(InstallStep.START_ENGINE, installed(engine=None), WANTED)
    assert str(told.value) == (
        "start-engine: the engine does not answer 60 s after it was started; "
        "all is installed, no engine runs; run install again to go on"
    )


def test_each_step_that_can_fail_says_what_it_leaves() -> None:
    assert set(LEFT) == set(InstallStep) - {InstallStep.DONE, InstallStep.STOP}


@pytest.mark.parametrize(
    ("step", "calls"),
    [
        (InstallStep.REPAIR, ["dpkg --configure", "apt-get install"]),
        (InstallStep.UPDATE_LISTS, ["apt-get -q"]),
        (InstallStep.INSTALL_PACKAGES, ["apt-get install"]),
        (InstallStep.HOLD_PACKAGES, ["apt-mark hold"]),
    ],
)
def test_step_then_the_programs_that_it_starts(tmp_path: Path, step: InstallStep, calls: list[str]) -> None:
    programs = Programs()
    make(tmp_path, Starting(), programs).perform(step, installed(), WANTED)
    assert [" ".join(words[:2]) for words in programs.calls] == calls


def test_without_a_package_manager_nothing_is_done(tmp_path: Path) -> None:
    machine = Machine(Starting(), Clock(), None, Service(Programs(), tmp_path))
    with pytest.raises(AgentError, match="neither apt-get nor dnf"):
        machine.perform(InstallStep.REPAIR, installed(), WANTED)


def test_a_failure_of_apt_says_what_was_left(tmp_path: Path) -> None:
    programs = Programs({"apt-get install": [Said(100, err="E: broken")]})
    machine = make(tmp_path, Starting(), programs)
    assert isinstance(machine.packages, Apt)
    with pytest.raises(
        AgentError, match="E: broken; the settings are written, some packages may be there; run"
    ):
        machine.perform(InstallStep.INSTALL_PACKAGES, installed(), WANTED)
