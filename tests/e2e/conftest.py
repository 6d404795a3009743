"""Labs for tests: up once per module, and gone afterwards whatever happened."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.lab import lifecycle, state
from tests.lab.observe import timeline
from tests.lab.state import Lab
from tests.lab.swarm.engine import NOT_YET

# Files that take minutes come first: begun last, they would run alone in the end.
LONGEST = ("managers", "calls", "loop", "events", "incidents", "join", "evacuation", "rebalance", "operator")

LINES = 60  # of what happened in a lab are shown of a test that fails


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files by their length; with `--no-loadscope-reorder` they are also begun in that order."""
    ranks = {f"test_{name}.py": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(LONGEST)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure tells what happened in the lab meanwhile: it is gone when somebody reads of it."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if call.when == "call" and report.failed and isinstance(lab, Lab) and lab.endpoint:
        report.sections.append(("the lab meanwhile", _meanwhile(lab.name, call.start)))
    return report


def _meanwhile(name: str, since: float) -> str:
    try:
        return "\n".join(timeline.brief(timeline.lines(state.load(name), since), since)[-LINES:])
    except NOT_YET as error:
        return f"it does not tell: {error}"


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
