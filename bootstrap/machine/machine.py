"""This machine as an installation sees and changes it: packages, settings, the engine's service."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.errors import AgentError
from bootstrap.host.docker_daemon import Daemon
from bootstrap.host.settings_merge import merge
from bootstrap.machine.facts import InstallFacts, PackageFacts
from bootstrap.machine.install_steps import InstallStep
from bootstrap.machine.packages import PackageManager, find_manager
from bootstrap.machine.probe import read_engine, read_system
from bootstrap.machine.programs import run_program
from bootstrap.machine.service import Service
from bootstrap.machine.wanted import Wanted, to_hold

RESTART_DUE = Path("/run/swarmkeeper/engine-restart-due")  # gone with a boot, which restarts the engine too
START_TIMEOUT_S = 60.0  # for an engine to answer once its service was started
POLL_S = 0.5
LEFT = {  # what a step that failed leaves
    InstallStep.REPAIR: "the packages are as they were",
    InstallStep.SET_SOURCE: "nothing was installed",
    InstallStep.UPDATE_LISTS: "nothing was installed",
    InstallStep.WRITE_SETTINGS: "the settings are as they were, no package was changed",
    InstallStep.INSTALL_PACKAGES: "the settings are written, some packages may be there",
    InstallStep.HOLD_PACKAGES: "the packages are installed, and may be upgraded by others",
    InstallStep.RESTART_ENGINE: "all is installed, the engine may run with its old settings or not at all",
    InstallStep.START_ENGINE: "all is installed, no engine runs",
}


@dataclass(frozen=True)
class Machine:
    """The machine that the agent runs on. Every method raises AgentError."""

    engine: Engine
    clock: Clock
    packages: PackageManager | None
    service: Service
    daemon: Daemon = field(default_factory=Daemon)
    restart_due: Path = RESTART_DUE

    def read(self, wanted: Wanted) -> InstallFacts:
        """Read what the next step hangs on."""
        system = read_system()
        manager = self.packages
        return InstallFacts(
            system=system,
            packages=manager.read() if manager else PackageFacts(),
            settings=self.daemon.read(),
            is_source_set=bool(manager and manager.is_source_set(wanted.engine.source, system)),
            is_restart_due=self.restart_due.exists(),
            engine=read_engine(self.engine),
            starter=self.service.starter,
            is_root=os.geteuid() == 0,
        )

    def perform(self, step: InstallStep, facts: InstallFacts, wanted: Wanted) -> None:
        """Do a step; what it leaves where it fails is part of the error."""
        try:
            self._perform(step, facts, wanted)
        except (AgentError, OSError) as error:
            raise AgentError(f"{step.value}: {error}; {LEFT[step]}; run install again to go on") from None

    def _perform(self, step: InstallStep, facts: InstallFacts, wanted: Wanted) -> None:
        manager = self.packages
        if manager is None:
            raise AgentError("this host has neither apt-get nor dnf")
        chosen = wanted.choose_packages(facts.packages)
        orders: dict[InstallStep, Callable[[], None]] = {
            InstallStep.REPAIR: manager.repair,
            InstallStep.SET_SOURCE: lambda: manager.set_source(wanted.engine.source, facts.system),
            InstallStep.UPDATE_LISTS: manager.update_lists,
            InstallStep.WRITE_SETTINGS: lambda: self._write_settings(facts, wanted),
            InstallStep.INSTALL_PACKAGES: lambda: manager.install(chosen),
            InstallStep.HOLD_PACKAGES: lambda: manager.hold(to_hold(facts.packages, chosen)),
            InstallStep.RESTART_ENGINE: lambda: self._start(self.service.restart),
            InstallStep.START_ENGINE: lambda: self._start(self.service.start),
        }
        orders[step]()

    def _write_settings(self, facts: InstallFacts, wanted: Wanted) -> None:
        """Note first that the engine has to be restarted: who dies in between leaves that to the next run."""
        if facts.engine:
            self.restart_due.parent.mkdir(parents=True, exist_ok=True)
            self.restart_due.touch()
        self.daemon.write(merge(facts.settings, wanted.settings_for(facts.packages)))

    def _start(self, order: Callable[[], None]) -> None:
        order()
        until = self.clock.now() + START_TIMEOUT_S
        self.engine.renew()
        while read_engine(self.engine) is None:
            if self.clock.now() > until:
                raise AgentError(f"the engine does not answer {START_TIMEOUT_S:g} s after it was started")
            self.clock.sleep(POLL_S)
        self.restart_due.unlink(missing_ok=True)


def this_machine(engine: Engine, clock: Clock) -> Machine:
    """Make the machine that this process runs on."""
    return Machine(engine, clock, find_manager(run_program, clock), Service(run_program))
