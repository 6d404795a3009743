"""The evacuation bench as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Table

from bench.evacuate.second_host import Again
from bench.evacuate.targets import Target, targets
from tests.lab.demo.findings.facts import Facts
from tests.lab.demo.findings.time_split import Handler, Split
from tests.lab.demo.observation import Method

NAMES = {
    Method.OURS: "Swarmkeeper",
    Method.DRAIN: "plain drain",
    Method.NOTHING: "nothing (power cut)",
}
STEPS = (
    ("event to handler", "handler"),
    ("start of the handler's process", "awake"),
    ("handler decides and records", "sent"),
    ("SendCommand to agent", "agent"),
    ("agent to safe", "safe"),
    ("safe to the agent's answer", "answered"),
)


@dataclass(frozen=True)
class Measured:
    """The three ways, and the second evacuation of ours."""

    ways: Mapping[Method, Facts]
    again: Again


def tables(found: Measured) -> Iterator[Table]:
    """Print the comparison, then where our time went, then the handlers."""
    yield comparison(found.ways)
    yield splitting(found.ways[Method.OURS].split, found.again.split)
    yield functions(found.again.handlers)


def comparison(found: Mapping[Method, Facts]) -> Table:
    """One row for each thing measured, one column for each way, and our target."""
    table = titled("A Spot host is taken away from under load")
    table.add_column("")
    for method in found:
        table.add_column(NAMES[method], justify="right")
    table.add_column("target for Swarmkeeper")
    table.add_column("")
    met = {target.name: target for target in targets(found)}
    _row(table, "requests failed", [f"{one.failed:,} of {one.sent:,}" for one in found.values()], met)
    _row(table, "tasks missing at worst", [str(one.dip) for one in found.values()], met)
    for service in [row.service for row in found[Method.OURS].services]:
        _row(table, f"  fewest of {service}", [_fewest(one, service) for one in found.values()], met)
    _row(table, "without a replica of single", [f"{one.outage:.1f} s" for one in found.values()], met)
    _row(table, "time to safe", [_seconds(one.safe) for one in found.values()], met)
    _row(table, "tasks replaced", [f"{one.replaced} (node held {one.stood})" for one in found.values()], met)
    return table


def splitting(cold: Split | None, warm: Split | None) -> Table:
    """Each step between event and safety, first with handlers that must start, then with warm ones."""
    table = titled("Where our time goes (after the event, and the step itself)")
    for name in ("", "first host, cold", "", "second host, warm", ""):
        table.add_column(name, justify="right" if table.columns else "left")
    for name, field in STEPS:
        cells = [cell for split in (cold, warm) for cell in _step(split, field)]
        table.add_row(name, *cells)
    return table


def functions(handlers: tuple[Handler, ...]) -> Table:
    """Show times and memory of each handler."""
    caption = (
        "times: REPORT lines, cold with the start of the process, a warning's with the time that it "
        "stays with its evacuation; memory: the process's peak resident size"
    )
    table = titled("Handlers", caption)
    for name in ("function", "runs", "cold (median)", "warm (median)", "peak memory"):
        table.add_column(name, justify="left" if name == "function" else "right")
    for one in handlers:
        memory = f"{one.memory:.0f} MiB" if one.memory else "-"
        table.add_row(one.function, str(one.runs), _seconds(one.cold), _seconds(one.warm), memory)
    return table


def _step(split: Split | None, field: str) -> tuple[str, str]:
    """When the step was over, and how long it took, as far as it was seen."""
    moment: float | None = getattr(split, field, None)
    if moment is None:
        return "-", "-"
    names = [name for _, name in STEPS]
    earlier = [getattr(split, name) for name in names[: names.index(field)]]
    return f"{moment:.2f} s", f"{moment - max([0.0, *(one for one in earlier if one is not None)]):.2f} s"


def _row(table: Table, name: str, cells: list[str], met: Mapping[str, Target]) -> None:
    target = met.get(name)
    if target is None:
        table.add_row(name, *cells, "", "", style="dim")
        return
    table.add_row(name, *cells, target.asked, "[green]met[/]" if target.met else "[bold red]missed[/]")


def _fewest(one: Facts, service: str) -> str:
    row = next(row for row in one.services if row.service == service)
    return f"{row.fewest} of {row.wanted}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def titled(title: str, caption: str = "") -> Table:
    """Make an empty table as all benches show theirs."""
    return Table(
        title=title,
        caption=caption or None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
