"""Plans rebalances of growing swarms, and counts what forced updates would restart instead."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table

from bench.options import reporting
from bench.plan_swarm import grown
from bench.storm_tables import targets as targets_table
from bench.targets import Target
from bootstrap.planning.spread import Spread, chosen, plan

MISSED = 1
SIZES = (50, 500, 5_000)  # nodes
SECONDS = 2.0
MEMORY = 500  # MB
CAPTION = """\
Ten tasks for each node, a third of the services opted in and packed on few nodes; then 4 % empty nodes
joined. Seconds are those of plan() alone: it waits for nothing, so on an idle machine elapsed and processor
time are the same. Memory is the process's peak, with the swarm's tasks in it."""


@dataclass(frozen=True)
class Planned:
    """What one plan took and came to; ``forced`` is how many tasks forced updates would restart instead."""

    nodes: int
    tasks: int
    services: int
    chosen: int
    seconds: float  # elapsed
    busy: float  # of the processor, in seconds
    peak: float  # in MiB
    moves: int
    forced: int
    even: int  # services that end within 1, or as the rules allow
    uneven: int  # services that only a forced update could spread further


@click.command()
@reporting("plan.json")
def main(*, directory: Path, as_json: bool) -> None:
    """Measure how long it takes to plan a rebalance, and how few tasks it moves.

    Exit status: 0 every target met, 1 one missed.
    """
    found = [measured(size) for size in SIZES]
    asked = targets(found[-1])
    report = {"plans": [asdict(one) for one in found], "targets": [asdict(one) for one in asked]}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.json").write_text(json.dumps(report, indent=1))
    if as_json:
        click.echo(json.dumps(report))
    out = Console(stderr=as_json)
    wide = out if out.is_terminal else Console(stderr=as_json, width=150)
    wide.print(table(found), targets_table(asked, "Planning"))
    sys.exit(0 if all(target.met for target in asked) else MISSED)


def measured(size: int) -> Planned:
    """Plan a swarm of that many nodes."""
    swarm = grown(size)
    services = chosen(swarm)
    start, begun = time.perf_counter(), time.process_time()
    spreads = plan(swarm, services)
    busy, seconds = time.process_time() - begun, time.perf_counter() - start
    uneven = sum("rolling would be needed" in spread.reason for spread in spreads)
    return Planned(
        nodes=len(swarm.nodes),
        tasks=len(swarm.tasks),
        services=len(swarm.services),
        chosen=len(services),
        seconds=round(seconds, 3),
        busy=round(busy, 3),
        peak=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        moves=_moves(spreads),
        forced=sum(service.replicas for service in services),
        even=len(services) - uneven,
        uneven=uneven,
    )


def targets(largest: Planned) -> tuple[Target, ...]:
    """The targets for the largest swarm."""
    megabytes = largest.peak * 1024**2 / 1e6
    return (
        Target(
            "processor time to plan", f"under {SECONDS:g} s", f"{largest.busy:.2f} s", largest.busy < SECONDS
        ),
        Target("peak memory", f"under {MEMORY} MB", f"{megabytes:.0f} MB", megabytes < MEMORY),
        Target(
            "moves against a forced update",
            "fewer",
            f"{largest.moves:,} of {largest.forced:,}",
            0 < largest.moves < largest.forced,
        ),
    )


def table(found: Sequence[Planned]) -> Table:
    """One row for each swarm."""
    shown = Table(title="Planning a rebalance", caption=CAPTION, box=box.SIMPLE_HEAD)
    shown.title_justify = shown.caption_justify = "left"
    for name in (
        "nodes",
        "tasks",
        "services",
        "opted in",
        "seconds",
        "processor s",
        "peak MiB",
        "moves",
        "--force restarts",
        "even",
        "need rolling",
    ):
        shown.add_column(name, justify="right")
    for one in found:
        counts = (one.nodes, one.tasks, one.services, one.chosen)
        ends = (one.moves, one.forced, one.even, one.uneven)
        shown.add_row(
            *(f"{number:,}" for number in counts),
            f"{one.seconds:.2f}",
            f"{one.busy:.2f}",
            f"{one.peak:.0f}",
            *(f"{number:,}" for number in ends),
        )
    return shown


def _moves(spreads: Sequence[Spread]) -> int:
    return sum(spread.moves for spread in spreads)


if __name__ == "__main__":
    main(prog_name="python -m bench.plan")
