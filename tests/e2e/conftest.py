"""Labs for tests: shared ones by kind, gone when the session ends, whatever happened in it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.e2e.support import labs
from tests.e2e.support.labs import SharedLabs
from tests.lab import lifecycle, state
from tests.lab.observe import timeline
from tests.lab.state import Lab, LabError
from tests.lab.swarm.engine import NOT_YET

# The files that one process of pytest runs one after the other, in this order, on the labs that they share.
# Those with labs of their own come first: later, the lab that a process shares would be idle beside them.
# Of the four that begin together two have bare labs, as deployments side by side slow all else down.
GROUPS = (
    ("managers",),  # a lab of its own
    ("evacuation", "lab"),  # a bare lab
    ("rebalance", "operator", "hostile_worker"),  # another bare one
    ("members",),  # one of its own
    ("join", "burst"),  # one of its own each
    ("platform_stacks",),  # one of its own
    ("bare_hosts",),  # hosts of its own
    ("network_plugin",),  # one of its own
    ("loop",),  # a deployed lab, as all that follow
    ("incidents", "roles", "hostile_host"),
    ("events",),
    ("calls", "lost_and_found"),
    ("single_deaths",),
)

LINES = 60  # of what happened in a lab are shown of a test that fails


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each worker of xdist a whole group at a time, whatever ``--dist`` says."""

    def _split_scope(self, nodeid: str) -> str:
        name = _name(Path(nodeid.partition("::")[0]))
        return next((group[0] for group in GROUPS if name in group), name)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Distribute by groups."""
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files as the groups do; with `--no-loadscope-reorder` they are also begun in that order."""
    order = [name for group in GROUPS for name in group]
    ranks = {name: rank for rank, name in enumerate(order)}
    items.sort(key=lambda item: ranks.get(_name(item.path), len(order)))


def _name(path: Path) -> str:
    return path.stem.removeprefix("test_")


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
