"""How commands of the lab answer: a sentence or a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tests.lab.machines import engines

named = click.option("--name", default="lab", show_default=True, help="Which lab.")
engine_option = click.option(
    "--engine",
    type=click.Choice(engines.NAMES),
    envvar=engines.VARIABLE,
    default=engines.DEFAULT,
    show_default=True,
    help=f"What the hosts run; also from the environment: {engines.VARIABLE}.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Answer with JSON on stdout.")


def answer(found: Any, sentence: str, *, as_json: bool) -> None:
    """Print the sentence, or what it tells of as JSON."""
    click.echo(dumps(found) if as_json else sentence)


def table(rows: list[dict[str, Any]], title: str, *, as_json: bool) -> None:
    """Print rows as a table with a column for each key that occurs, or as JSON."""
    if as_json:
        click.echo(dumps(rows))
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    found = Table(*columns, title=title, title_justify="left")
    for row in rows:
        found.add_row(*(_cell(row.get(column, "")) for column in columns))
    console().print(found if rows else f"{title}: none", highlight=False)


def console() -> Console:
    """Where to print for people; a pipe has no width of its own."""
    found = Console()
    return found if found.is_terminal else Console(width=200)


def dumps(found: Any) -> str:
    """JSON, also of what DynamoDB answers."""
    return json.dumps(found, default=_plain)


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def _plain(value: Any) -> Any:
    convert: dict[type, Callable[[Any], Any]] = {
        Decimal: lambda number: int(number) if number == int(number) else float(number),
        set: sorted,
    }
    if type(value) in convert:
        return convert[type(value)](value)
    return str(value)
