"""Labs for tests: up once per module, and gone afterwards whatever happened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import lifecycle
from tests.lab.state import Lab

# Files that take minutes come first: begun last, they would run alone in the end.
LONGEST = ("managers", "calls", "loop", "events", "incidents", "join", "evacuation", "rebalance", "operator")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files by their length; with `--no-loadscope-reorder` they are also begun in that order."""
    ranks = {f"test_{name}.py": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(LONGEST)))


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
