"""The way of one Spot warning from app.py to SendCommand stays short enough to be read in one sitting.

Counted are the functions that run in between, each once. Not counted is what a reader need not open: values
and their methods (state/, actions, Batch), wire formats (protocol/, events/parsing.py), and logging.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import app
from chalicelib import routing
from chalicelib.adapters import run_command
from chalicelib.adapters.run_command import Agent, SsmHosts
from tests.unit.chalicelib.support.fakes import START, WORKER, Lab
from tests.unit.chalicelib.support.samples import sample
from tests.unit.support.pages import code, page, rows

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).parents[3]
MAX_FUNCTIONS, MAX_MODULES = 34, 11  # as it is: whoever adds a step for every reader gives a reason here
SENT_BY = "chalicelib/adapters/run_command.py"
NOT_OPENED = (
    "chalicelib/state/",
    "chalicelib/actions.py",
    "chalicelib/protocol/",
    "chalicelib/events/parsing.py",
    "chalicelib/observability.py",
)
VALUES = ("Batch.",)


class SentError(BaseException):
    """The command is out: the way ends here."""


class Ssm:
    """Run Command, up to SendCommand."""

    def send_command(self, **_: Any) -> None:
        raise SentError


class S3:
    """The agent's bucket."""

    def generate_presigned_url(self, *_: Any, **__: Any) -> str:
        return "https://bucket.example/agent.pyz"


def walk(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """List the functions on the way by their modules, both in the order in which they run first."""
    monkeypatch.setattr(run_command, "published", lambda: Agent("bucket", "agent-0.pyz", "0" * 64))
    hosts: Any = SsmHosts(Ssm(), S3())  # type: ignore[arg-type]
    world = Lab().world(hosts=hosts)
    monkeypatch.setattr(routing, "connected", lambda: world)
    found: dict[str, list[str]] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        path, name = Path(frame.f_code.co_filename), frame.f_code.co_qualname
        if event != "call" or not path.is_relative_to(ROOT) or "<" in name:
            return
        module = str(path.relative_to(ROOT))
        ours = module == "app.py" or module.startswith("chalicelib/")
        if ours and not module.startswith(NOT_OPENED) and not name.startswith(VALUES):
            functions = found.setdefault(module, [])
            functions += [] if name in functions else [name]

    handler: Any = app.on_spot_interruption_warning
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        with pytest.raises(SentError):
            handler(sample("spot_interruption_warning", START, instance_id=WORKER), None)
    finally:
        sys.setprofile(before)
    return found


def test_one_spot_warning_passes_few_functions_in_few_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    found = walk(monkeypatch)
    modules = list(found)
    assert (modules[0], modules[-1]) == ("app.py", SENT_BY)
    assert len(modules) <= MAX_MODULES, modules
    assert sum(map(len, found.values())) <= MAX_FUNCTIONS, found


def test_the_page_that_walks_the_way_lists_exactly_its_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        module: [name.rpartition(".")[2] for name in names] for module, names in walk(monkeypatch).items()
    }
    text = page("docs/architecture.md").section("One Spot warning, file by file")
    assert list_shown(text) == found
    assert f"{sum(map(len, found.values()))} functions in {len(found)} modules" in text


def list_shown(text: str) -> dict[str, list[str]]:
    """List the functions of the page's table by their files, up to the file that sends the command."""
    shown: dict[str, list[str]] = {}
    for row in rows(text):
        (file,) = code(row[1])
        if names := [name for name in code(row[2]) if name.lower() == name]:  # no classes
            shown.setdefault(file, []).extend(names)
        if file == SENT_BY:
            break
    return shown
