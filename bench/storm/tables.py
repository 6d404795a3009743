"""The storm bench as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table

from bench.evacuate.tables import titled
from bench.evacuate.targets import Target
from bench.storm.facts import Facts, Rate
from bench.storm.sight import Seen

CAVEAT = """\
Not Lambda itself: ministack starts a process for each event, too slow for this machine. The same handlers run
in {processes} processes with {threads} threads each, {calls} calls of each at once; of those of a warning and
its guard as many as are reserved. They run against ministack's
DynamoDB, throttled as a partition of AWS's (1,000 write and 3,000 read units a second), and the lab's Run
Command and EC2, all on {cores} cores: seconds are those of this machine, calls are the product's.
Hosts are simulated: an evacuation takes {least:g} to {most:g} s and {each:g} s more for each node.
For scale: the leading Kubernetes peer published 50 at once with a P99 of 52 s tuned, 154 s untuned."""


def scale(found: Sequence[Facts], caption: str) -> Table:
    """One column for each storm."""
    table = titled("Storms within 10 s in a cluster of 5,000 simulated nodes", caption)
    table.add_column("")
    for one in found:
        table.add_column(f"{one.size:,}", justify="right")
    for name, show in ROWS:
        table.add_row(name, *(show(one) for one in found))
    return table


def lab(seen: Seen) -> Iterator[Table]:
    """Show what the storm on the lab cost, and what it did to each service."""
    counted = ", ".join(f"{number} {task}" for task, number in seen.commands.items())
    table = titled("Six of twelve workers are warned within 2 s", f"Run Command commands: {counted}")
    for name in ("service", "fewest", "tasks replaced", "updates", "requests failed"):
        table.add_column(name, justify="left" if name == "service" else "right")
    for row in seen.services:
        failed = f"{row.failed:,} of {row.sent:,}" if row.sent else "-"
        fewest = f"{row.fewest} of {row.wanted}"
        table.add_row(row.service, fewest, str(row.started), str(row.updates), failed)
    yield table


def targets(found: Sequence[Target], title: str) -> Table:
    """Each target, met or missed."""
    table = titled(title)
    for name in ("target", "asked", "measured", ""):
        table.add_column(name)
    for one in found:
        table.add_row(
            one.name, one.asked, one.measured, "[green]met[/]" if one.met else "[bold red]missed[/]"
        )
    return table


def _rate(get: Callable[[Facts], Rate], form: str) -> Callable[[Facts], str]:
    return lambda one: form.format(get(one))


def _seconds(get: Callable[[Facts], float]) -> Callable[[Facts], str]:
    return lambda one: f"{get(one):.1f} s"


ROWS: tuple[tuple[str, Callable[[Facts], str]], ...] = (
    ("events: warnings, twice, foreign", lambda f: f"{f.size:,} + {f.duplicates} + {f.foreign}"),
    ("nodes lost", lambda f: str(f.lost)),
    ("SSM calls a second: most, mean", _rate(lambda f: f.ssm, "{0.most}, {0.mean}")),
    ("EC2 calls a second: most, mean", _rate(lambda f: f.ec2, "{0.most}, {0.mean}")),
    ("commands (taken back)", lambda f: f"{f.sends} ({f.withdrawn})"),
    ("nodes in a command: mean, most", lambda f: f"{f.targets:g}, {f.fullest}"),
    ("DynamoDB calls", _rate(lambda f: f.database, "{0.total:,}")),
    ("DynamoDB calls a second: most, mean", _rate(lambda f: f.database, "{0.most:,}, {0.mean:g}")),
    ("of them writes a second: most, mean", _rate(lambda f: f.writes, "{0.most:,}, {0.mean:g}")),
    ("DynamoDB calls for each event", lambda f: f"{f.calls_an_event:.1f}"),
    ("DynamoDB calls refused and repeated", lambda f: f"{f.refused:,}"),
    ("emulated table at work beyond the storm", _seconds(lambda f: f.emulator)),
    ("last command started", _seconds(lambda f: f.last_command)),
    ("last record evacuated", _seconds(lambda f: f.last_evacuated)),
    ("warning to safe: median", _seconds(lambda f: f.safe_median)),
    ("warning to safe: P99", _seconds(lambda f: f.safe_p99)),
    ("longest run of a handler", _seconds(lambda f: f.slowest)),
    ("runs that failed and are tried again", lambda f: str(f.failures)),
    ("  by error", lambda f: ", ".join(f"{n} {name}" for name, n in f.errors.items()) or "-"),
)
