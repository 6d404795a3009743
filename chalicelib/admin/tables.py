"""A rebalance for people: a table of services, and a picture of tasks per host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from chalicelib.protocol.bar_chart import picture
from chalicelib.protocol.messages import Balance, Result, SpreadReport

HEAD = ("service", "became", "mode", "moves", "restarted", "before", "plan", "after", "reason")
MAX_HOSTS = 12  # hosts of a service that are shown each


def show_result(result: Result) -> dict[str, Any]:
    """Show a rebalance's result: ``services`` for programs, ``table`` and ``picture`` as lines of text."""
    warnings = [
        text for row in result.spreads for text in (f"{row.service}: {warning}" for warning in row.warnings)
    ]
    planned = any(row.balance is Balance.PLANNED for row in result.spreads)
    return {
        "services": [asdict(row) for row in result.spreads],
        "table": [*_table([HEAD, *map(_cells, result.spreads)]), *warnings],
        "picture": picture(result.spreads, planned=planned),
        "left_out": result.left_out,
    }


def summarize(result: Result) -> str:
    """Summarize what is done and what is not, in one line."""
    names: dict[Balance, list[str]] = {}
    for row in result.spreads:
        names.setdefault(row.balance, []).append(row.service + (f" ({row.reason})" if row.reason else ""))
    return "; ".join(f"{balance.value}: {', '.join(found)}" for balance, found in names.items())


def _cells(row: SpreadReport) -> Sequence[str]:
    hosts = sorted({*row.before, *row.plan, *row.after})
    spreads = (_spread(tasks, hosts) for tasks in (row.before, row.plan, row.after))
    return (
        row.service,
        row.balance.value,
        row.mode.value,
        str(row.moves),
        str(row.restarted),
        *spreads,
        row.reason,
    )


def _spread(tasks: Mapping[str, int], hosts: Sequence[str]) -> str:
    """List tasks by host, in the order of the hosts' names: ``5/4/0``; of very many hosts only the range."""
    numbers = [tasks.get(host, 0) for host in hosts]
    if not tasks:
        return "-"
    return (
        "/".join(map(str, numbers))
        if len(hosts) <= MAX_HOSTS
        else f"{min(numbers)}-{max(numbers)} on {len(hosts)}"
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
