"""Installs the wanted engine, step by step; killed anywhere, the next run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bootstrap.errors import AgentError
from bootstrap.log import say
from bootstrap.machine.facts import InstallFacts
from bootstrap.machine.install_steps import InstallStep, next_install_step
from bootstrap.machine.wanted import Wanted


class Changeable(Protocol):
    """A machine that can be read and changed."""

    def read(self, wanted: Wanted) -> InstallFacts:
        """Read what the next step hangs on."""

    def perform(self, step: InstallStep, facts: InstallFacts, wanted: Wanted) -> None:
        """Do a step. Raises AgentError."""


@dataclass(frozen=True)
class Installed:
    """How it ended: the steps that it took, () where all was as wanted, and what runs now."""

    steps: tuple[InstallStep, ...]
    version: str
    storage_driver: str

    def __str__(self) -> str:
        what = f"engine {self.version} runs with {self.storage_driver}"
        took = ", ".join(step.value for step in self.steps)
        return f"{what}; {f'done: {took}' if took else 'nothing was changed'}"


def install(machine: Changeable, wanted: Wanted) -> Installed:
    """Take one step after the other until all is as wanted. Raises AgentError, with what was left how."""
    done: list[InstallStep] = []
    while True:
        facts = machine.read(wanted)
        step, why = next_install_step(facts, wanted, done)
        if step is InstallStep.STOP:
            raise AgentError(f"{why}{_so_far(done)}")
        if step is InstallStep.DONE:
            engine = facts.engine
            return Installed(
                tuple(done), engine.version if engine else "", engine.storage_driver if engine else ""
            )
        say(f"{step.value}: {why}")
        machine.perform(step, facts, wanted)
        done.append(step)


def _so_far(done: list[InstallStep]) -> str:
    return f" (done before: {', '.join(step.value for step in done)})" if done else ""
