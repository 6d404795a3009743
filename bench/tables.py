"""The evacuation bench as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich import box
from rich.table import Table

from bench.targets import Target, targets
from tests.lab.facts import Facts
from tests.lab.observation import Method

NAMES = {
    Method.OURS: "Swarmkeeper",
    Method.DRAIN: "plain drain",
    Method.NOTHING: "nothing (power cut)",
}


def tables(found: Mapping[Method, Facts]) -> Iterator[Table]:
    """The comparison, then where our time went, then the handlers."""
    yield comparison(found)
    yield splitting(found[Method.OURS])
    yield functions(found[Method.OURS])


def comparison(found: Mapping[Method, Facts]) -> Table:
    """One row for each thing measured, one column for each way, and our target."""
    table = _table("A Spot host is taken away from under load")
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


def splitting(ours: Facts) -> Table:
    """Each step between event and safety."""
    table = _table("Where our time goes")
    table.add_column("")
    table.add_column("after the event", justify="right")
    table.add_column("took", justify="right")
    before = 0.0
    for name, moment in _steps(ours):
        took = "-" if moment is None else f"{moment - before:.2f} s"
        table.add_row(name, "-" if moment is None else f"{moment:.2f} s", took)
        before = before if moment is None else moment
    return table


def functions(ours: Facts) -> Table:
    """Times and memory of each handler."""
    caption = "times are from REPORT lines, cold with the process's start; memory is its peak resident size"
    table = _table("Handlers", caption)
    for name in ("function", "runs", "cold", "warm (median)", "peak memory"):
        table.add_column(name, justify="left" if name == "function" else "right")
    for one in ours.handlers:
        memory = f"{one.memory:.0f} MiB" if one.memory else "-"
        table.add_row(one.function, str(one.runs), _seconds(one.cold), _seconds(one.warm), memory)
    return table


def _steps(ours: Facts) -> list[tuple[str, float | None]]:
    split = ours.split
    if split is None:
        return []
    return [
        ("event to handler", split.handler),
        ("cold start of the handler", split.awake),
        ("handler decides and records", split.sent),
        ("SendCommand to agent", split.agent),
        ("agent to safe", split.safe),
        ("safe to the agent's answer", split.answered),
    ]


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


def _table(title: str, caption: str = "") -> Table:
    return Table(
        title=title,
        caption=caption or None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
