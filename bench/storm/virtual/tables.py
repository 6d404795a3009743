"""Storms in virtual time as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

from rich.table import Table

from bench.evacuate.tables import titled
from bench.storm.virtual.limits import Limits
from bench.storm.virtual.storm import GUARD, VirtualStorm

CAVEAT = """\
The handlers' own code in virtual time, and AWS as bench/storm/virtual/limits.py says: {limits}."""


def storms(found: Sequence[VirtualStorm], limits: Limits) -> Table:
    """One column for each storm."""
    told = ", ".join(f"{field.name} {getattr(limits, field.name):g}" for field in fields(limits))
    table = titled("Storms within 10 s in virtual time", CAVEAT.format(limits=told))
    table.add_column("")
    for one in found:
        table.add_column(f"{one.size:,} of {one.nodes:,}, {one.reserved} reserved", justify="right")
    for name, show in ROWS:
        table.add_row(name, *(show(one) for one in found))
    return table


ROWS: tuple[tuple[str, Callable[[VirtualStorm], str]], ...] = (
    ("events", lambda one: f"{one.events:,}"),
    ("nodes lost", lambda one: str(one.lost)),
    ("told safe after the notice", lambda one: str(one.late)),
    ("SendCommand calls", lambda one: str(one.commands)),
    ("last command started", lambda one: f"{one.last_command:.1f} s"),
    ("last record evacuated, in steps of 5 s", lambda one: f"{one.last_evacuated:.0f} s"),
    ("warning to safe: median", lambda one: f"{one.safe_median:.1f} s"),
    ("warning to safe: P99", lambda one: f"{one.safe_p99:.1f} s"),
    ("DynamoDB calls", lambda one: f"{sum(one.calls.values()):,}"),
    ("DynamoDB calls for each event", lambda one: f"{one.calls_an_event:.1f}"),
    (
        "  those of the guards",
        lambda one: f"{one.callers.get(GUARD, 0) / one.events:.2f}",
    ),
    ("write units of the partition, most in a second", lambda one: f"{one.most_writes:,}"),
    ("DynamoDB calls refused and repeated", lambda one: f"{one.refused:,}"),
    ("Lambda executions at once", lambda one: f"{one.executions:,}"),
    ("Lambda cold starts", lambda one: f"{one.cold_starts:,}"),
    ("longest run of a handler", lambda one: f"{one.slowest:.1f} s"),
    ("longest run of a guard", lambda one: f"{one.longest_guard:.1f} s"),
    ("runs that failed", lambda one: ", ".join(f"{n} {name}" for name, n in one.failures.items()) or "-"),
    ("what binds first", lambda one: one.bound),
)
