"""Three ways for a Spot host to end, under the same load: ours, the plain drain, nothing.

Each has a fresh lab. Were the app deployed, its handlers would hear of the end in the other two ways
too and help; so those run on labs without AWS.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from bench.evacuate.second_host import again
from bench.evacuate.tables import NAMES, Measured, tables
from bench.evacuate.targets import targets
from bench.options import named, reporting
from tests.lab import state
from tests.lab.aws import lab_api
from tests.lab.demo.findings.facts import Facts, facts
from tests.lab.demo.lifetime import lab_of_our_own, report_errors
from tests.lab.demo.live import Stage
from tests.lab.demo.observation import Method
from tests.lab.demo.scenario import Scenario

MISSED = 1


@click.command()
@click.option("--notice", default=30.0, show_default=True, type=click.FloatRange(15, lab_api.SPOT_NOTICE_S))
@named("bench")
@reporting("evacuate.json")
def main(*, notice: float, name: str, directory: Path, as_json: bool) -> None:
    """Measure an evacuation against the plain drain and against doing nothing.

    Exit status: 0 every target met, 1 one missed, 2 the bench could not run, 130 after Ctrl-C.
    """
    console = Console(stderr=True)
    stage = Stage(console, f"Evacuation bench, lab {name}")
    with report_errors(console), stage.up():
        found = measure(stage, name, notice)
    _conclude(found, directory, as_json=as_json)
    sys.exit(0 if all(target.met for target in targets(found.ways)) else MISSED)


def measure(stage: Stage, name: str, notice: float) -> Measured:
    """All three ways, each on a lab of its own, and a second evacuation where the first has warmed all up."""
    found: dict[Method, Facts] = {}
    for method in Method:
        stage.say(f"{NAMES[method]}: a fresh lab")
        with lab_of_our_own(name, stage.say, bare=method is not Method.OURS) as lab:
            scenario = Scenario(lab, method, notice, stage.say)
            scenario.prepare()
            found[method] = facts(scenario.run())
            if method is Method.OURS:
                second = again(state.load(name), stage.say)
    return Measured(found, second)


def _conclude(found: Measured, directory: Path, *, as_json: bool) -> None:
    data = {
        "targets": [asdict(target) for target in targets(found.ways)],
        "ways": {method.value: asdict(one) for method, one in found.ways.items()},
        "again": asdict(found.again),
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "evacuate.json").write_text(json.dumps(data, indent=1))
    if as_json:
        click.echo(json.dumps(data))
        return
    out = Console()
    wide = out if out.is_terminal else Console(width=150)
    wide.print(*tables(found))


if __name__ == "__main__":
    main(prog_name="python -m bench.evacuate.__main__")
