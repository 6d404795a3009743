"""Many Spot hosts are warned at once: six on the lab, a thousand at scale, thousands in virtual time."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench.evacuate.targets import Target
from bench.options import named, reporting
from bench.storm import cloud, facts, lab, plan, scale, tables, worker
from bench.storm.virtual import storm as virtual
from bench.storm.virtual import tables as virtual_tables
from bench.storm.virtual.limits import Limits
from tests.lab.demo.lifetime import report_errors
from tests.lab.demo.live import Stage

MISSED = 1


@click.command()
@click.option("--part", default="all", show_default=True, type=click.Choice(["a", "b", "c", "all"]))
@named("storm")
@reporting("storm.json")
def main(*, part: str, name: str, directory: Path, as_json: bool) -> None:
    """Measure (a) a storm on the lab, (b) growing storms with thousands of nodes, (c) in virtual time.

    Exit status: 0 every target met, 1 one missed, 2 the bench could not run, 130 after Ctrl-C.
    """
    console = Console(stderr=True)
    stage = Stage(console, f"Storm bench, lab {name}")
    out = Console()
    wide = Console(file=sys.stderr, width=150) if as_json else out if out.is_terminal else Console(width=150)
    met: list[Target] = []
    with report_errors(console), stage.up():
        report = _measure(part, name, stage, wide, met)
    _keep(report, directory / "storm.json")
    if as_json:
        click.echo(json.dumps(report))
    sys.exit(0 if all(target.met for target in met) else MISSED)


def _keep(report: dict[str, Any], file: Path) -> None:
    """Beside what another run has found of the other part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(known | report, indent=1))


def _measure(part: str, name: str, stage: Stage, out: Console, met: list[Target]) -> dict[str, Any]:
    """Both parts or one; each is printed as soon as it is over."""
    report: dict[str, Any] = {}
    if part in ("a", "all"):
        seen = lab.measure(name, stage.say)
        asked = lab.targets(seen)
        out.print(*tables.lab(seen), tables.targets(asked, "On the lab"))
        report["lab"] = {**asdict(seen), "targets": [asdict(one) for one in asked]}
        met += asked
    if part in ("b", "all"):
        found = [facts.facts(storm) for storm in scale.measure(name, stage.say)]
        asked = facts.targets(found)
        caption = _caveat()
        out.print(tables.scale(found, caption), tables.targets(asked, "At scale"))
        report["scale"] = {
            "storms": [asdict(one) for one in found],
            "targets": [asdict(one) for one in asked],
            "note": caption,
        }
        met += asked
    if part in ("c", "all"):
        storms = [_run_virtual(*storm, stage) for storm in virtual.STORMS]
        asked = virtual.targets(storms)
        out.print(virtual_tables.storms(storms, Limits()), tables.targets(asked, "In virtual time"))
        report["virtual"] = {
            "storms": [asdict(one) for one in storms],
            "targets": [asdict(one) for one in asked],
            "limits": asdict(Limits()),
        }
        met += asked
    return report


def _run_virtual(size: int, nodes: int, reserved: int, stage: Stage) -> virtual.VirtualStorm:
    stage.say(
        f"{size:,} interruptions of {nodes:,} nodes within {plan.WINDOW:.0f} s, {reserved} reserved runs, "
        "in virtual time"
    )
    return virtual.run(size, nodes, Limits(reserved=reserved))


def _caveat() -> str:
    return tables.CAVEAT.format(
        processes=scale.PROCESSES,
        threads=scale.THREADS,
        calls=worker.CALLS,
        cores=os.cpu_count(),
        least=cloud.LEAST,
        most=cloud.MOST,
        each=cloud.EACH,
    )


if __name__ == "__main__":
    main(prog_name="python -m bench.storm.__main__")
