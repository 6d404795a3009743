"""The labs that tests share: one at a time for each process of pytest, up when it is first asked for."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from tests.e2e.support import reset
from tests.lab import lifecycle, state
from tests.lab.aws import mailbox, manual_calls
from tests.lab.machines import programs
from tests.lab.state import Lab
from tests.lab.swarm import engine, services

# Two checkouts may run their tests on one machine at the same time.
CHECKOUT = hashlib.sha256(str(programs.PROJECT).encode()).hexdigest()[:4]
MANAGERS, WORKERS = 3, 3


@dataclass
class SharedLabs:
    """The labs of one process of pytest; one is up at a time, until ``close``."""

    _up: set[str] = field(default_factory=set)

    def deployed(self) -> Lab:
        """Three managers and at least three workers in service, with the app deployed; otherwise empty."""
        return self._ready("deployed", _deploy, reset.deployed)

    def bare(self) -> Lab:
        """Three managers and three workers, without AWS; otherwise empty."""
        return self._ready("bare", _form, reset.bare)

    def close(self) -> None:
        """Take all down."""
        while self._up:
            lifecycle.down(self._up.pop())

    def _ready(self, kind: str, start: Callable[[str], None], clean: Callable[[str], None]) -> Lab:
        """Make the lab as new: clean up what others have left; where that fails, start another one.

        The lab of the other kind goes: its engines, though idle, take processor from all others.
        """
        name = named(kind)
        for other in self._up - {name}:
            self._up.remove(other)
            lifecycle.down(other)
        if name in self._up:
            try:
                clean(name)
            except engine.NOT_YET as error:
                warnings.warn(f"lab {name} is replaced, as it cannot be reset: {error}", stacklevel=1)
                self._up.remove(name)
        if name not in self._up:
            lifecycle.down(name)  # one of a run that was broken off
            self._up.add(name)
            start(name)
            clean(name)
        return living(state.load(name))


def named(what: str) -> str:
    """Name a lab as no other process of pytest does; its next run gives the same name."""
    return f"{what}-{CHECKOUT}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


def left_over() -> list[str]:
    """Name the labs that are up of xdist's workers in this checkout."""
    with state.locked():
        return [name for name in state.taken() if f"-{CHECKOUT}-gw" in name]


def living(lab: Lab) -> Lab:
    """Answer the lab with those of its hosts that have power, managers first: the others are of the past."""
    hosts = sorted((host for host in lab.hosts if host.pid), key=lambda host: host.role)
    return replace(lab, hosts=tuple(hosts))


def running(name: str, managers: int = 3, workers: int = 3, *, bare: bool = False) -> Iterator[Lab]:
    """Keep a lab up until whoever iterates is done; one left by a broken-off run goes first."""
    lifecycle.down(name)
    try:
        yield lifecycle.up(name, managers, workers, bare=bare)
    finally:
        lifecycle.down(name)


def _deploy(name: str) -> None:
    lab = lifecycle.up(name, MANAGERS, WORKERS)
    mailbox.subscribe(lab)
    services.create_network(lab)
    manual_calls.wait_in_service(lab)


def _form(name: str) -> None:
    services.create_network(lifecycle.up(name, MANAGERS, WORKERS, bare=True))
