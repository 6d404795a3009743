"""A machine in memory that an engine can be installed on; each step works, or dies when it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bootstrap.errors import AgentError
from bootstrap.machine.facts import InstallFacts, PackageFacts, RunningEngine, System
from bootstrap.machine.install_steps import InstallStep, predict
from bootstrap.machine.wanted import Wanted
from chalicelib.protocol.description import Packages, PackageSource, SourceKind, WantedEngine
from tests.unit.bootstrap.support.fake_host import Killed

NOBLE = System("ubuntu", "24.04", "noble", "Ubuntu 24.04 LTS", ("debian",), "x86_64")
OFFERED = {
    "docker-ce": ("5:29.1.0-1~noble", "5:28.5.2-1~noble"),
    "docker-ce-cli": ("5:29.1.0-1~noble", "5:28.5.2-1~noble"),
}
BARE = InstallFacts(NOBLE, PackageFacts("apt"))
WANTED = Wanted(WantedEngine("28.5.2"))
DISTRIBUTION = PackageSource(SourceKind.DISTRIBUTION, Packages.DISTRIBUTION)


def installed(version: str = "5:28.5.2-1~noble", **more: object) -> InstallFacts:
    """Build the facts of a machine that has the engine and is as described."""
    packages = {"docker-ce": version, "docker-ce-cli": version, "containerd.io": "1.7.28-1"}
    there = PackageFacts("apt", packages, frozenset(packages), OFFERED)
    engine = RunningEngine(version.partition(":")[2].partition("-")[0], "overlay2")
    settings = WANTED.settings_for(there)
    facts = InstallFacts(NOBLE, there, settings, is_source_set=True, engine=engine)
    return replace(facts, **more)  # type: ignore[arg-type]


@dataclass
class FakeMachine:
    """Takes each step as predicted; ``dies_at``: the number of the step at which the agent's process dies."""

    facts: InstallFacts = BARE
    dies_at: int = 0
    dies_before: bool = False
    idle: frozenset[InstallStep] = frozenset()  # steps without an effect
    failing: frozenset[InstallStep] = frozenset()
    steps: list[InstallStep] = field(default_factory=list)

    def read(self, wanted: Wanted) -> InstallFacts:  # noqa: ARG002 - as a machine
        return self.facts

    def perform(self, step: InstallStep, facts: InstallFacts, wanted: Wanted) -> None:
        assert facts == self.facts
        self.steps.append(step)
        dies = len(self.steps) == self.dies_at
        if dies and self.dies_before:
            raise Killed
        if step in self.failing:
            raise AgentError(f"{step.value}: no")
        if step not in self.idle:
            self.facts = self._after(step, wanted)
        if dies:
            raise Killed

    def _after(self, step: InstallStep, wanted: Wanted) -> InstallFacts:
        after = predict(step, self.facts, wanted)
        if step is InstallStep.UPDATE_LISTS:
            return replace(after, packages=replace(after.packages, listed=OFFERED))
        return after
