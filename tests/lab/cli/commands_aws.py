"""The lab's commands about AWS: events, interruptions, logs, records, the schedule."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from rich.text import Text

from tests.lab import lifecycle, state
from tests.lab.aws import lab_api
from tests.lab.aws.deploy import STAGE
from tests.lab.cli.commands_faults import fault
from tests.lab.cli.output import answer, as_json, console, dumps, named, table
from tests.lab.observe import timeline
from tests.lab.observe.timeline import Line, Source
from tests.lab.state import LabError

TABLE = f"swarmkeeper-{STAGE}"
_COLORS = {
    Source.EVENT: "cyan",
    Source.HANDLER: "green",
    Source.COMMAND: "yellow",
    Source.AGENT: "magenta",
    Source.FAULT: "bold red",
    Source.TROUBLE: "bold red",
}


@click.command("event")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--raw", metavar="FUNCTION", default="", help="Send it to this function as it is, well-formed or not."
)
@named
@as_json
def event_command(*, file: str, raw: str, name: str, as_json: bool) -> None:
    """Deliver an EventBridge event (a file, or - for stdin) through the deployed rules."""
    with click.open_file(file) as source:
        text = source.read()
    lab = state.load(name)
    if raw:
        found = lab_api.ask(lab, "POST", "/_lab/raw", {"function": raw, "payload": text})["functions"]
    else:
        found = lab_api.deliver(lab, _parse(text))
    answer({"functions": found}, "\n".join(found) or "no rule matches: no function ran", as_json=as_json)


@click.command()
@click.argument("host")
@click.argument("transition", type=click.Choice(["launch", "terminate"]))
@named
@as_json
def hook(*, host: str, transition: str, name: str, as_json: bool) -> None:
    """Let Auto Scaling hold a host's launch or termination until its lifecycle action is completed."""
    found = lab_api.ask(state.load(name), "POST", "/_lab/hooks", {"host": host, "transition": transition})
    answer(found, f"{found['hook']} of {found['group']} waits for {found['token']}", as_json=as_json)


@click.command()
@named
@as_json
def hooks(*, name: str, as_json: bool) -> None:
    """Show the lifecycle actions: open ones have no result."""
    table(lab_api.ask(state.load(name), "GET", "/_lab/hooks"), "lifecycle actions", as_json=as_json)


@click.command()
@click.argument("host")
@click.option(
    "--notice", default=lab_api.SPOT_NOTICE_S, show_default=True, help="Seconds until the power goes."
)
@click.option("--no-cut", is_flag=True, help="Warn only: many warnings are never followed by a cut.")
@named
@as_json
def interrupt(*, host: str, notice: float, no_cut: bool, name: str, as_json: bool) -> None:
    """Deliver EC2's Spot interruption warning for a host, and cut its power when the notice is over."""
    lab = state.load(name)
    target, until = lab.host(host), time.monotonic() + notice
    functions = lab_api.warn(lab, target, notice)
    warned = (
        f"warned {target.name} ({target.instance}), {notice:g} s to go: {', '.join(functions) or 'nobody'}"
    )
    if not as_json:
        click.echo(warned)
    if not no_cut:
        time.sleep(max(0.0, until - time.monotonic()))
        lifecycle.kill(name, target.instance)
    found = {"host": target.name, "instance": target.instance, "functions": functions, "cut": not no_cut}
    answer(found, f"{target.name} {'keeps its power' if no_cut else 'has no power'}", as_json=as_json)


@click.command()
@click.option("--follow", is_flag=True, help="Go on as things happen, until Ctrl-C.")
@click.option(
    "--since", type=float, metavar="SECONDS", help="Only what happened in the last so many seconds."
)
@named
@as_json
def logs(*, follow: bool, since: float | None, name: str, as_json: bool) -> None:
    """Show events, handlers, commands and agents in the order of time."""
    lab = state.load(name)
    start = time.time() - since if since is not None else 0.0
    found = timeline.follow(lab, start) if follow else timeline.lines(lab, start)
    try:
        for line in found:
            _print(line, as_json=as_json)
    except KeyboardInterrupt:
        return


@click.command()
@named
@as_json
def records(*, name: str, as_json: bool) -> None:
    """Show the product's table of records."""
    dynamodb = lab_api.connect(state.load(name)).resource("dynamodb").meta.client
    try:
        schema = dynamodb.describe_table(TableName=TABLE)["Table"]["KeySchema"]
        pages = dynamodb.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
        items: list[dict[str, Any]] = [item for page in pages for item in page["Items"]]
    except dynamodb.exceptions.ResourceNotFoundException:
        raise LabError(f"there is no table {TABLE!r}; deploy the app first") from None
    keys = [key["AttributeName"] for key in schema]
    items.sort(key=lambda item: [str(item[key]) for key in keys])
    table(items if as_json else [_shown(item, keys) for item in items], TABLE, as_json=as_json)


@click.command()
@named
@as_json
def tick(*, name: str, as_json: bool) -> None:
    """Fire the deployed schedules now."""
    found = lab_api.ask(state.load(name), "POST", "/_lab/tick")["functions"]
    answer({"functions": found}, "\n".join(found), as_json=as_json)


COMMANDS = [event_command, interrupt, hook, hooks, logs, records, tick, fault]


def _shown(item: dict[str, Any], keys: list[str]) -> dict[str, str]:
    rest = {name: value for name, value in sorted(item.items()) if name not in keys}
    text = "  ".join(
        f"{name}={value if isinstance(value, str) else dumps(value)}" for name, value in rest.items()
    )
    return {**{key: str(item[key]) for key in keys}, "attributes": text}


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise LabError(f"the event is not JSON: {error}") from error


def _print(line: Line, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(line)))
        return
    moment = datetime.fromtimestamp(line.time).astimezone().strftime("%H:%M:%S.%f")[:-3]
    head = Text.assemble((moment, "dim"), " ", (f"{line.source:<8}", _COLORS[line.source]), f"{line.who}  ")
    console().print(head.append(line.text), soft_wrap=True)
