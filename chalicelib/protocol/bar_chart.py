"""A rebalance as a picture for people: tasks per node, before and after, as bars of text; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chalicelib.protocol.messages import Balance, SpreadReport

WIDTH = 100  # columns at most
ROWS = 20  # nodes of one service
BAR = 24  # columns of a bar
SERVICES = 20  # pictures of services; the others get their line only


def picture(reports: Sequence[SpreadReport], *, planned: bool) -> list[str]:
    """Draw one line per service, and one row per node where tasks are moved."""
    moved = [one for one in reports if one.balance is not Balance.BALANCED and one.moves][:SERVICES]
    lines: list[str] = []
    for report in reports:
        lines += _headline(report)
        if report in moved:
            lines += _rows(report.before, report.plan if planned else report.after, planned=planned)
    return lines


def _headline(report: SpreadReport) -> Iterator[str]:
    moves = f", {report.moves} moves ({report.mode.value})" if report.moves else ""
    reason = f": {report.reason}" if report.reason else ""
    yield _cut(f"{report.service}: {report.balance.value}{moves}{reason}")
    yield from (_cut(f"  warning: {text}") for text in report.warnings)


def _rows(before: Mapping[str, int], then: Mapping[str, int], *, planned: bool) -> Iterator[str]:
    hosts = sorted({*before, *then}, key=lambda host: (-_change(host, before, then), host))
    shown, others = sorted(hosts[:ROWS]), hosts[ROWS:]
    most = max([1, *before.values(), *then.values()])
    wide = min(36, max([4, *map(len, shown)]))
    yield f"  {'node':{wide}}  {'before':{BAR + 6}}  {'plan' if planned else 'after'}"
    for host in shown:
        bars = (f"{_bar(counts.get(host, 0), most):{BAR + 6}}" for counts in (before, then))
        yield f"  {host[:wide]:{wide}}  {'  '.join(bars)}".rstrip()
    if others:
        sums = (sum(counts.get(host, 0) for host in others) for counts in (before, then))
        yield "  and {} other nodes with {} tasks before, {} then".format(len(others), *sums)


def _change(host: str, before: Mapping[str, int], then: Mapping[str, int]) -> int:
    return abs(then.get(host, 0) - before.get(host, 0))


def _bar(count: int, most: int) -> str:
    """Draw a bar as long as the count, or in proportion where the longest would not fit."""
    length = count if most <= BAR else round(count * BAR / most)
    return f"{'#' * max(length, min(count, 1))} {count}".lstrip()


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
