"""Services of many shapes leave a node while somebody changes each of them: three ways, the same cases.

Ours, a start-first update with a constraint (what a careful person does by hand), and the plain drain.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench.evacuate.tables import titled
from bench.options import named, reporting
from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.specs.exclusion import Pace, exclude_nodes
from bootstrap.tasks import evacuate
from chalicelib.protocol.messages import Arguments, Target
from tests.lab.demo.lifetime import lab_of_our_own, report_errors
from tests.lab.demo.live import Stage
from tests.lab.state import Host, Lab
from tests.lab.swarm import disturbances, engine, formation, services
from tests.lab.swarm.disturbances import SHAPES, UNEVEN, Change, Cost

NOTICE_S = 110.0
MISSED = 1
Way = Callable[[Lab, Host], None]


@dataclass(frozen=True)
class Sum:
    """What one way cost all services of a kind together."""

    way: str
    kind: str
    services: int
    dipped: int
    without: int
    below_s: float
    started: int
    wrong_specs: int


def by_us(lab: Lab, doomed: Host) -> None:
    """Run the agent's evacuation, in this process, at a manager's socket."""
    target = Target(doomed.instance, doomed.address, formation.node_of(lab, doomed).id)
    evacuate.run(_engine(lab), Arguments((target,), time.time() + NOTICE_S), Clock())


def by_update(lab: Lab, doomed: Host) -> None:
    """Update each service that has tasks there, start-first; drain the node once all have left."""
    node = formation.node_of(lab, doomed).id
    engine.change_node(lab, node, lambda _: {"Availability": "pause"})
    api = _engine(lab)
    there = {task.service for task in api.tasks(node=[node]) if task.is_wanted}
    for service in api.services():
        if service.id in there and service.is_replicated:
            api.update_service(service, exclude_nodes(service, [node], "start-first", Pace()))
    until = time.monotonic() + NOTICE_S
    while time.monotonic() < until and any(task.is_wanted for task in api.tasks(node=[node])):
        time.sleep(0.25)
    by_drain(lab, doomed)


def by_drain(lab: Lab, doomed: Host) -> None:
    """Drain the node."""
    node = formation.node_of(lab, doomed).id
    engine.change_node(lab, node, lambda _: {"Availability": "drain"})


WAYS: dict[str, Way] = {"Swarmkeeper": by_us, "start-first update": by_update, "plain drain": by_drain}


def _engine(lab: Lab) -> Engine:
    manager = next(host for host in lab.hosts if host.role == "manager" and host.pid)
    return Engine(f"unix://{manager.socket}")


def play_round(lab: Lab, way: Way, seed: int, changes: tuple[Change, ...] = tuple(Change)) -> list[Cost]:
    """Play one round with the cases of this seed, and tidy up."""
    rng = random.Random(seed)  # noqa: S311 - a repeatable game
    shapes = (*rng.sample(SHAPES, 5), *rng.sample(UNEVEN, 2))
    workers = [host for host in lab.hosts if host.role == "worker" and host.pid]
    first, second, third = rng.sample(workers, 3)
    cases = disturbances.draw_cases(rng, shapes, changes)
    try:
        disturbances.deploy(lab, cases, (first, second, third), rng)
        return disturbances.play(lab, cases, first, lambda: way(lab, first))
    finally:
        disturbances.remove(lab, cases)
        disturbances.heal(lab, first)


def add_up(way: str, costs: list[Cost]) -> list[Sum]:
    """Add up what the even services and the uneven ones have cost."""
    return [
        Sum(
            way,
            kind,
            len(found),
            sum(cost.missing > 0 for cost in found),
            sum(cost.fewest == 0 for cost in found),
            round(sum(cost.below_s for cost in found), 1),
            sum(cost.started for cost in found),
            sum(bool(cost.wrong) for cost in found),
        )
        for kind, shapes in (("even", SHAPES), ("uneven", UNEVEN))
        for found in [[cost for cost in costs if cost.case.shape in shapes]]
    ]


def table(sums: list[Sum]) -> Table:
    """Tabulate the sums."""
    found = titled("Services leave a node while somebody changes them")
    for name in (
        "way",
        "services",
        "how many",
        "dipped",
        "without a task",
        "below, in all",
        "tasks started",
        "specs wrong",
    ):
        found.add_column(name, justify="right" if len(found.columns) > 1 else "left")
    for row in sums:
        numbers = (row.services, row.dipped, row.without, f"{row.below_s} s", row.started, row.wrong_specs)
        found.add_row(row.way, row.kind, *map(str, numbers))
    return found


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=1, show_default=True)
@named("bench")
@reporting("disturbed.json")
def main(*, rounds: int, seed: int, name: str, directory: Path, as_json: bool) -> None:
    """Measure what changes by somebody else cost in the middle of an evacuation.

    Exit status: 0 no even service of ours dipped and every spec is right, 1 otherwise, 2 the bench could not
    run, 130 after Ctrl-C.
    """
    console = Console(stderr=True)
    stage = Stage(console, f"Evacuation bench with changes, lab {name}")
    sums: list[Sum] = []
    with report_errors(console), stage.up(), lab_of_our_own(name, stage.say, bare=True) as lab:
        services.create_network(lab)
        for way, empty in WAYS.items():
            costs: list[Cost] = []
            for number in range(rounds):
                stage.say(f"{way}: round {number + 1} of {rounds}")
                costs += play_round(lab, empty, seed + number)
            sums += add_up(way, costs)
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(row) for row in sums], indent=1)
    (directory / "disturbed.json").write_text(text)
    click.echo(text) if as_json else Console(width=150).print(table(sums))
    ours = [row for row in sums if row.way == "Swarmkeeper"]
    is_met = not any(row.wrong_specs or (row.kind == "even" and row.dipped) for row in ours)
    sys.exit(0 if is_met else MISSED)


if __name__ == "__main__":
    main(prog_name="python -m bench.evacuate.disturbed")
