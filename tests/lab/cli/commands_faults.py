"""The lab's commands that make things go wrong on purpose."""

from __future__ import annotations

from typing import Any

import click

from tests.lab import state
from tests.lab.aws import lab_api
from tests.lab.cli.output import answer, as_json, named, table
from tests.lab.faults import control
from tests.lab.faults.armed_faults import Kind
from tests.lab.faults.aws_errors import REFUSALS

_type = click.option("--type", "match", default="", metavar="DETAIL-TYPE", help="Only events of this type.")
_count = click.option("--count", default=1, show_default=True, help="How many times; -1 for always.")


@click.group()
def fault() -> None:
    """Make things go wrong: events, AWS calls, handlers, a host's SSM agent."""


@fault.command("list")
@named
@as_json
def list_command(*, name: str, as_json: bool) -> None:
    """Show the faults that are armed."""
    rows = control.list_armed(state.load(name))
    table(rows, "armed faults", as_json=as_json)


@fault.command()
@click.argument("kind", type=click.Choice(list(Kind)), required=False)
@named
@as_json
def clear(*, kind: str | None, name: str, as_json: bool) -> None:
    """Disarm all faults, or all of one kind."""
    _clear(name, {"kind": kind or ""}, as_json=as_json)


@fault.command()
@_type
@_count
@named
@as_json
def drop(*, match: str, count: int, name: str, as_json: bool) -> None:
    """Lose the next events."""
    _arm(name, {"kind": Kind.DROP, "match": match, "left": count}, as_json=as_json)


@fault.command()
@click.argument("seconds", type=float)
@_type
@_count
@named
@as_json
def delay(*, seconds: float, match: str, count: int, name: str, as_json: bool) -> None:
    """Deliver the next events so many seconds late."""
    _arm(name, {"kind": Kind.DELAY, "seconds": seconds, "match": match, "left": count}, as_json=as_json)


@fault.command()
@_type
@_count
@named
@as_json
def double(*, match: str, count: int, name: str, as_json: bool) -> None:
    """Deliver the next events twice."""
    _arm(name, {"kind": Kind.DOUBLE, "match": match, "left": count}, as_json=as_json)


@fault.command()
@click.argument("action", default="ssm:SendCommand")
@click.option("--error", type=click.Choice(list(REFUSALS)), default="throttling", show_default=True)
@_count
@named
@as_json
def refuse(*, action: str, error: str, count: int, name: str, as_json: bool) -> None:
    """Refuse the next calls of an AWS action (default ssm:SendCommand)."""
    _arm(name, {"kind": Kind.REFUSE, "match": action, "error": error, "left": count}, as_json=as_json)


@fault.command("kill-handler")
@click.argument("when", type=click.Choice(["before", "after"]))
@click.argument("action")
@click.option("--nth", default=1, show_default=True, help="At which call of that action.")
@named
@as_json
def kill_handler(*, when: str, action: str, nth: int, name: str, as_json: bool) -> None:
    """Kill a handler just before or just after an effect, such as dynamodb:UpdateItem."""
    _arm(name, {"kind": f"kill-{when}", "match": action, "skip": nth - 1}, as_json=as_json)


@fault.command()
@click.argument("host")
@named
@as_json
def freeze(*, host: str, name: str, as_json: bool) -> None:
    """Freeze a host's SSM agent: commands stay pending, results are not reported."""
    _arm(name, _on_host(Kind.FREEZE, name, host), as_json=as_json)


@fault.command()
@click.argument("host")
@named
@as_json
def pause(*, host: str, name: str, as_json: bool) -> None:
    """Stop the processes of the commands that run on a host at this moment."""
    _arm(name, _on_host(Kind.PAUSE, name, host), as_json=as_json)


@fault.command()
@click.argument("host")
@named
@as_json
def thaw(*, host: str, name: str, as_json: bool) -> None:
    """Undo freeze and pause."""
    _clear(name, {"match": state.load(name).host(host).instance}, as_json=as_json)


@fault.command()
@click.argument("seconds", type=float)
@named
@as_json
def registration(*, seconds: float, name: str, as_json: bool) -> None:
    """Let a host's SSM agent register so many seconds after the host's launch."""
    found = lab_api.ask(state.load(name), "PUT", "/_lab/settings", {"registration": seconds})
    answer(found, f"hosts register {seconds:g} s after their launch", as_json=as_json)


def _on_host(kind: Kind, name: str, host: str) -> dict[str, Any]:
    return {"kind": kind, "match": state.load(name).host(host).instance, "left": -1}


def _arm(name: str, row: dict[str, Any], *, as_json: bool) -> None:
    armed = control.arm(state.load(name), **row)
    answer(armed, f"armed: {armed['kind']} {armed['match'] or 'anything'}", as_json=as_json)


def _clear(name: str, row: dict[str, str], *, as_json: bool) -> None:
    gone = control.disarm(state.load(name), **row)
    answer(gone, f"disarmed {len(gone)}", as_json=as_json)
