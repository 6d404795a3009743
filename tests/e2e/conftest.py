"""Labs for tests: shared ones by kind, gone when the session ends, whatever happened in it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.support import labs
from tests.e2e.support.labs import SharedLabs
from tests.lab import lifecycle, state
from tests.lab.observe import timeline
from tests.lab.state import Lab, LabError
from tests.lab.swarm.engine import NOT_YET

# The files that one process of pytest runs one after the other, in this order, on the labs that they share.
# Those that take longest are begun first: begun last, they would run alone in the end.
GROUPS = (
    ("events", "incidents", "roles"),  # one deployed lab
    ("loop", "calls", "lost_and_found"),  # another
    ("managers", "lab"),  # one of its own, then a bare one
    ("join", "evacuation", "burst"),  # the same, and one of its own
    ("rebalance", "operator"),  # another bare one
)

LINES = 60  # of what happened in a lab are shown of a test that fails


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name each test's group for `--dist loadgroup`; with `--no-loadscope-reorder` that is the order, too."""
    files = [f"test_{name}.py" for group in GROUPS for name in group]
    groups = {f"test_{name}.py": group[0] for group in GROUPS for name in group}
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.xdist_group(groups.get(item.path.name, item.path.name)))
    ranks = {item: files.index(item.path.name) for item in ours if item.path.name in files}
    items.sort(key=lambda item: ranks.get(item, len(files)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what happened in the lab meanwhile: it is gone when somebody reads of it."""
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


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Take down what workers of xdist have left that were ended and could not do so themselves."""
    if hasattr(session.config, "workerinput") or not getattr(session.config.option, "tx", None):
        return
    for name in labs.left_over():
        with suppress(LabError):  # somebody else is taking it down
            lifecycle.down(name)


@pytest.fixture(scope="session")
def shared_labs() -> Iterator[SharedLabs]:
    """Share the labs of this process of pytest."""
    found = SharedLabs()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def deployed(shared_labs: SharedLabs) -> Lab:
    """Three managers and three workers in service, with the app deployed, as if new."""
    return shared_labs.deployed()


@pytest.fixture(scope="module")
def bare(shared_labs: SharedLabs) -> Lab:
    """Three managers and three workers without AWS, as if new."""
    return shared_labs.bare()


@pytest.fixture(scope="session")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the agent is, once it was built."""
    return tmp_path_factory.mktemp("agent") / "agent.pyz"
