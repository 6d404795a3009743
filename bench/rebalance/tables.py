"""The rebalance bench as one table, with what was asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from bench.evacuate.targets import Target
from bench.rebalance.runs import Measured, Way
from bench.storm.tables import targets as targets_table


def targets(found: Sequence[Measured]) -> tuple[Target, ...]:
    """List what is asked of a surge in each situation."""
    return tuple(target for one in found if one.way is Way.SURGE for target in _asked(one))


def _asked(one: Measured) -> Iterator[Target]:
    where = f"surge, {one.situation.value}"
    least, dip = one.minimum, one.wanted - one.fewest
    yield Target(f"{where}: tasks restarted", str(least), str(one.restarted), one.restarted == least)
    yield Target(f"{where}: tasks missing at worst", "0", str(dip), dip == 0)
    failed = one.failed == 0 and one.sent > 0
    yield Target(f"{where}: requests failed", "0", f"{one.failed} of {one.sent}", failed)
    yield Target(f"{where}: spread", "at most 1", str(one.spread), one.spread <= 1)


def tables(found: Sequence[Measured]) -> Iterator[Table]:
    """Make the comparison, then the targets."""
    yield comparison(found)
    yield targets_table(targets(found), "What is asked of surge")


def comparison(found: Sequence[Measured]) -> Table:
    """One row for each situation and way."""
    table = Table(
        title="A service of nine tasks is spread evenly again, under load",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name in ("situation", "way"):
        table.add_column(name)
    for name in ("restarted", "needed", "fewest running", "requests failed", "spread", "seconds"):
        table.add_column(name, justify="right")
    last = ""
    for one in found:
        table.add_row(
            "" if one.situation.value == last else one.situation.value,
            one.way.value,
            str(one.restarted),
            str(one.minimum),
            f"{one.fewest} of {one.wanted}",
            f"{one.failed} of {one.sent:,}",
            str(one.spread),
            f"{one.seconds:.1f}",
        )
        last = one.situation.value
    return table
