"""What every bench can be told on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]


def reporting(file: str) -> Callable[[Command], Command]:
    """Add the options ``--report``, passed as ``directory``, and ``--json``, as ``as_json``, of a bench."""
    report = click.option(
        "--report",
        "directory",
        default="bench-report",
        show_default=True,
        type=click.Path(file_okay=False, path_type=Path),
        help=f"Where {file} goes.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout instead of tables.")
    return lambda command: report(as_json(command))


def named(lab: str) -> Callable[[Command], Command]:
    """Add the option ``--name`` to a bench that starts labs."""
    return click.option("--name", default=lab, show_default=True, help="The lab's name.")
