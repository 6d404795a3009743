"""Three ways to spread a service evenly, in three situations, under the same load.

Ours with surge, ours with rolling, and what users do: ``docker service update --force``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console

from bench.options import named, reporting
from bench.rebalance.runs import Measured, Situation, Way, prepared, run
from bench.rebalance.tables import tables, targets
from tests.lab import lifecycle
from tests.lab.demo.lifetime import report_errors
from tests.lab.machines import programs
from tests.lab.state import LabError
from tests.lab.swarm.agent import install

MISSED = 1


@click.command()
@named("bench")
@reporting("rebalance.json")
def main(*, name: str, directory: Path, as_json: bool) -> None:
    """Measure a rebalance against a forced update.

    Exit status: 0 every target met, 1 one missed, 2 the bench could not run, 130 after Ctrl-C.
    """
    console = Console(stderr=True)
    with report_errors(console):
        found = measure(name, console)
    data = {
        "targets": [asdict(target) for target in targets(found)],
        "runs": [asdict(one) for one in found],
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "rebalance.json").write_text(json.dumps(data, indent=1))
    if as_json:
        click.echo(json.dumps(data))
    else:
        out = Console()
        (out if out.is_terminal else Console(width=150)).print(*tables(found))
    sys.exit(0 if all(target.met for target in targets(found)) else MISSED)


def measure(name: str, console: Console) -> tuple[Measured, ...]:
    """Every way in every situation, one after the other on one lab that is taken down afterwards."""
    if programs.is_alive(name):
        raise LabError(f"lab {name!r} is up already; take it down: python -m tests.lab down --name {name}")
    found = []
    try:
        lab = lifecycle.up(name, managers=1, workers=4, bare=True)
        with TemporaryDirectory() as place:
            install(lab, Path(place) / "agent.pyz")
            prepared(lab)
            for situation in Situation:
                for way in Way:
                    console.print(f"{situation.value}: {way.value}")
                    found.append(run(lab, situation, way, Path(place)))
    finally:
        lifecycle.down(name)
    return tuple(found)


if __name__ == "__main__":
    main(prog_name="python -m bench.rebalance.__main__")
