"""Plans rebalances of growing swarms, and counts what forced updates would restart instead."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table

from bench.evacuate.targets import Target
from bench.options import reporting
from bench.plan.engine import through_engine
from bench.plan.swarm import grown
from bench.storm.tables import targets as targets_table
from bootstrap.engine.snapshot import Snapshot
from bootstrap.planning.plan import choose_services, plan_services

MISSED = 1
SIZES = (50, 500, 5_000)  # nodes
LIMIT = 100  # moves, where they are limited
SECONDS = 2.0
MEMORY = 500  # MB
CAPTION = """\
Ten tasks for each node, a third of the services opted in and packed on few nodes; then 4 % empty nodes
joined. Seconds are those of planning alone: it waits for nothing, so on an idle machine elapsed and processor
time are the same. Read from JSON: by an agent's own code, in a process of its own, from an engine whose rows
are as long as real ones; only there the peak is an agent's own."""


@dataclass(frozen=True)
class Planned:
    """What one plan took and came to; ``forced`` is how many tasks forced updates would restart instead."""

    what: str
    nodes: int
    tasks: int
    services: int
    chosen: int
    seconds: float  # elapsed
    busy: float  # of the processor, in seconds
    peak: float  # in MiB
    moves: int
    forced: int
    uneven: int  # services that only a forced update could spread further


@click.command()
@reporting("plan.json")
def main(*, directory: Path, as_json: bool) -> None:
    """Measure how long it takes to plan a rebalance, and how few tasks it moves.

    Exit status: 0 every target met, 1 one missed.
    """
    largest = grown(SIZES[-1])
    found = [measured(grown(size)) for size in SIZES[:-1]]
    found += [measured(largest), measured(largest, LIMIT), read(largest)]
    asked = targets(*found[-3:])
    report = {"plans": [asdict(one) for one in found], "targets": [asdict(one) for one in asked]}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.json").write_text(json.dumps(report, indent=1))
    if as_json:
        click.echo(json.dumps(report))
    out = Console(stderr=as_json)
    wide = out if out.is_terminal else Console(stderr=as_json, width=150)
    wide.print(table(found), targets_table(asked, "Planning"))
    sys.exit(0 if all(target.met for target in asked) else MISSED)


def measured(swarm: Snapshot, most: int = 0) -> Planned:
    """Plan a swarm, with so many moves at most (0: any number)."""
    services = choose_services(swarm)
    start, begun = time.perf_counter(), time.process_time()
    spreads = plan_services(swarm, services, most)
    busy, seconds = time.process_time() - begun, time.perf_counter() - start
    return Planned(
        what=f"max_moves={most}" if most else "plan",
        nodes=len(swarm.nodes),
        tasks=len(swarm.tasks),
        services=len(swarm.services),
        chosen=len(services),
        seconds=round(seconds, 3),
        busy=round(busy, 3),
        peak=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        moves=sum(plan.moves for plan in spreads),
        forced=sum(service.replicas for service in services),
        uneven=sum("rolling" in plan.reason for plan in spreads),
    )


def read(swarm: Snapshot) -> Planned:
    """Read the same from an engine first; it comes to the same plan, or something was misread."""
    took, same = through_engine(swarm), measured(swarm)
    if took["moves"] != same.moves:
        raise SystemExit(f"of {same.moves} moves {took['moves']} are planned after reading: misread")
    return replace(
        same,
        what="read from JSON, plan",
        seconds=round(took["seconds"], 3),
        busy=round(took["busy"], 3),
        peak=round(took["peak"], 1),
    )


def targets(full: Planned, limited: Planned, parsed: Planned) -> tuple[Target, ...]:
    """Set the targets for the largest swarm: planned, with few moves, and with its JSON read before."""
    megabytes = max(one.peak for one in (full, limited, parsed)) * 1024**2 / 1e6
    return (
        _fast("processor time to plan", full.busy),
        _fast("elapsed to plan", full.seconds),
        _fast(f"processor time, {limited.what}", limited.busy),
        Target("peak memory, JSON read", f"under {MEMORY} MB", f"{megabytes:.0f} MB", megabytes < MEMORY),
        Target(f"moves with {limited.what}", f"{LIMIT}", f"{limited.moves}", limited.moves == LIMIT),
        Target(
            "moves against a forced update",
            "fewer",
            f"{full.moves:,} of {full.forced:,}",
            0 < full.moves < full.forced,
        ),
    )


def _fast(name: str, seconds: float) -> Target:
    return Target(name, f"under {SECONDS:g} s", f"{seconds:.2f} s", seconds < SECONDS)


def table(found: Sequence[Planned]) -> Table:
    """Draw one row for each swarm."""
    shown = Table(title="Planning a rebalance", caption=CAPTION, box=box.SIMPLE_HEAD)
    shown.title_justify = shown.caption_justify = "left"
    for name in (
        "",
        "nodes",
        "tasks",
        "services",
        "opted in",
        "seconds",
        "processor s",
        "peak MiB",
        "moves",
        "--force restarts",
        "need rolling",
    ):
        shown.add_column(name, justify="right")
    for one in found:
        counts = (one.nodes, one.tasks, one.services, one.chosen)
        ends = (one.moves, one.forced, one.uneven)
        shown.add_row(
            one.what,
            *(f"{number:,}" for number in counts),
            f"{one.seconds:.2f}",
            f"{one.busy:.2f}",
            f"{one.peak:.0f}",
            *(f"{number:,}" for number in ends),
        )
    return shown


if __name__ == "__main__":
    main(prog_name="python -m bench.plan.__main__")
