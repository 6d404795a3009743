"""Labs for tests: up once per module, and gone afterwards whatever happened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import lifecycle
from tests.lab.state import Lab


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[Lab]:
    """One manager and two workers, no AWS."""
    yield from running("labtest", managers=1, workers=2, bare=True)


def running(name: str, managers: int = 3, workers: int = 3, *, bare: bool = False) -> Iterator[Lab]:
    """A lab that is up until whoever iterates is done; one left by a broken-off run goes first."""
    lifecycle.down(name)
    try:
        yield lifecycle.up(name, managers, workers, bare=bare)
    finally:
        lifecycle.down(name)
