"""A lab that lives as long as the work in it, also where that ends by Ctrl-C or by an error."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape

from tests.lab import lifecycle
from tests.lab.lifecycle import Say
from tests.lab.machines import preflight, programs
from tests.lab.state import Lab, LabError

SIGNALS = tuple(one for one in signal.Signals if one.name in ("SIGINT", "SIGTERM", "SIGHUP"))
CANNOT_RUN = 2  # exit status


@contextmanager
def lab_of_our_own(name: str, say: Say, *, keep: bool = False, **shape: Any) -> Iterator[Lab]:
    """Start a lab that is taken down afterwards, come what may; kept only where all went well.

    ``shape`` is what lifecycle.up takes.

    A lab of that name that is up already is somebody's: it stays untouched, and LabError says so.
    """
    preflight.check_caller()
    if programs.is_alive(name):
        raise LabError(f"lab {name!r} is up already; take it down: python -m tests.lab down --name {name}")
    try:
        yield lifecycle.up(name, **shape, say=say)
    except BaseException:
        _take_down(name, say)
        raise
    if not keep:
        _take_down(name, say)


def _take_down(name: str, say: Say) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    lifecycle.down(name, say)


@contextmanager
def end_on_signal() -> Iterator[None]:
    """Obey the first signal to end; ignore the next ones while the lab is taken down."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    before = {each: signal.signal(each, end) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def report_errors(console: Console) -> Iterator[None]:
    """End the program where the work cannot go on: one line and status 2, or 130 after Ctrl-C."""
    try:
        with end_on_signal():
            yield
    except LabError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(CANNOT_RUN)
    except KeyboardInterrupt:
        console.print("interrupted; nothing of the lab is left")
        sys.exit(128 + signal.SIGINT)
