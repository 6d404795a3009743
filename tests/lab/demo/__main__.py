"""The product's main job, played for real on one machine: ``python -m tests.lab.demo``."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.lab import state
from tests.lab.aws import lab_api
from tests.lab.cli.output import engine_option
from tests.lab.demo import encore
from tests.lab.demo.findings import guarantees
from tests.lab.demo.findings.facts import Facts, facts
from tests.lab.demo.findings.steps import story_of
from tests.lab.demo.lifetime import lab_of_our_own, report_errors
from tests.lab.demo.live import Stage
from tests.lab.demo.observation import Method
from tests.lab.demo.report import pages
from tests.lab.demo.report.story import Story
from tests.lab.demo.scenario import Scenario
from tests.lab.state import LabError

NOT_HELD = 1
POLL_S = 1.0  # seconds between two looks at logs and commands; more often would disturb what is measured
TALK = """\
The lab is up. Talk to it:
  python -m tests.lab status --name {name}
  python -m tests.lab logs --name {name}
  python -m tests.lab records --name {name}
  python -m tests.lab docker {host} --name {name} -- service ps web
  python -m tests.lab interrupt {worker} --name {name}
  python -m tests.lab down --name {name}"""


@click.command()
@click.option(
    "--notice",
    default=lab_api.SPOT_NOTICE_S,
    show_default=True,
    type=click.FloatRange(5, lab_api.SPOT_NOTICE_S),
)
@click.option("--keep", is_flag=True, help="Leave the lab up and say how to talk to it.")
@engine_option
@click.option("--name", default="demo", show_default=True, help="The lab's name.")
@click.option(
    "--report",
    "directory",
    default="demo-report",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where index.html and report.json go.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def main(  # noqa: PLR0913 one for each option
    *, notice: float, keep: bool, engine: str, name: str, directory: Path, as_json: bool
) -> None:
    """Interrupt a Spot host under load and see that nobody notices.

    Exit status: 0 every guarantee held, 1 one did not, 2 the demo could not run, 130 after Ctrl-C.
    """
    console = Console(stderr=True)
    stage = Stage(console, f"Swarmkeeper demo, lab {name}")
    with report_errors(console), stage.up():
        found = play(stage, name, notice, directory, keep=keep, engine=engine)
    _conclude(found, directory, console, as_json=as_json)
    if keep:
        _say_how_to_talk(name, console)
    sys.exit(0 if guarantees.held(found) else NOT_HELD)


def play(stage: Stage, name: str, notice: float, directory: Path, **lab_options: Any) -> Facts:
    """Play the whole story, the report included; answers what was measured."""
    with lab_of_our_own(name, stage.say, fleet=True, **lab_options) as lab:
        story = Story(lab, time.time())
        scenario = Scenario(lab, Method.OURS, notice, stage.say)
        stage.follow(scenario, story)
        with _following(story, stage):
            scenario.prepare()
            seen = scenario.run()
            act = encore.play(lab, stage.say)
        stage.tell(story.poll())
        stage.say("writing the report")
        found = replace(facts(seen), encore=act)
        pages.write(directory, seen, found, story.beats)
        return found


@contextmanager
def _following(story: Story, stage: Stage) -> Iterator[None]:
    """While it lasts, the story is told as it happens."""
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=(story, stage, over.wait), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _follow(story: Story, stage: Stage, over: Callable[[float], bool]) -> None:
    while not over(POLL_S):
        try:
            stage.tell(story.poll())
        except LabError as error:
            story.tell(f"cannot look: {error}")


def verdict(found: Facts) -> Table:
    """Every guarantee, what was measured, whether it held."""
    held = guarantees.held(found)
    title = "[bold green]every guarantee held[/]" if held else "[bold red]a guarantee did not hold[/]"
    title += f", engine {escape(found.engine)}" if found.engine else ""
    table = Table(
        "guarantee", "wanted", "measured", "", box=box.SIMPLE_HEAD, title=title, title_justify="left"
    )
    for check in guarantees.checks(found):
        mark = "[green]✓ held[/]" if check.held else "[bold red]✗ not held[/]"
        table.add_row(check.name, f"[dim]{escape(check.wanted)}[/]", escape(check.measured), mark)
    return table


def steps(found: Facts) -> Table:
    """Tabulate the whole story with its times."""
    table = Table("step", "after the event", "what it came to", box=box.SIMPLE_HEAD)
    for step in story_of(found):
        when = "never" if step.seconds is None else f"{step.seconds:.1f} s"
        table.add_row(step.name, when, escape(step.told))
    return table


def moves(found: Facts) -> Table:
    """Tabulate what moved where."""
    table = Table("task", "from", "to", "way", "after", box=box.SIMPLE_HEAD)
    for move in found.moves:
        task = f"{move.service}.{move.slot}"
        table.add_row(task, move.origin, move.target, move.way, f"{move.seconds:.1f} s")
    return table


def _conclude(found: Facts, directory: Path, console: Console, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(json.loads((directory / "report.json").read_text())))
        return
    out = Console()
    wide = out if out.is_terminal else Console(width=130)
    wide.print(verdict(found), steps(found), moves(found))
    console.print(f"report: {directory / 'index.html'}", highlight=False)


def _say_how_to_talk(name: str, console: Console) -> None:
    lab = state.load(name)
    manager = next(host.name for host in lab.hosts if host.role == "manager")
    worker = next(host.name for host in lab.hosts if host.role == "worker" and host.pid)
    console.print(TALK.format(name=name, host=manager, worker=worker), highlight=False)


if __name__ == "__main__":
    main(prog_name="python -m tests.lab.demo")
