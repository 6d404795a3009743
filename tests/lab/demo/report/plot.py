"""Draws what ran and what was answered over time, as SVG."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.lab.demo.findings.facts import Facts, course
from tests.lab.demo.observation import Observation
from tests.lab.swarm.services import ANSWERING

GOOD, BAD, DOOMED, WANTED, MARK = "#2f7d5b", "#c8372d", "#e0a526", "#8a8f98", "#4a5160"
WIDTH, ROW = 11.0, 0.95  # inches


@dataclass(frozen=True)
class Mark:
    """A moment worth a line, in seconds from the event."""

    seconds: float
    name: str
    color: str


def draw(seen: Observation, facts: Facts, begin: float, end: float, salt: str) -> str:
    """Draw running tasks against wanted, then requests a second, between two moments."""
    names = sorted(seen.replicated, key=lambda name: (name not in ANSWERING, name))
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif", "font.size": 9.5}
    with mpl.rc_context(style):
        heights = [1.0] * len(names) + [1.7]
        figure = Figure(figsize=(WIDTH, ROW * sum(heights) + 0.7), layout="constrained")
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        for name, axis in zip(names, axes, strict=False):
            _tasks(axis, seen, name)
        _requests(axes[-1], seen)
        for axis in axes:
            _mark(axis, marks(facts), begin, end, named=axis is axes[0])
        axes[-1].set_xlim(begin, end)
        axes[-1].set_xlabel("seconds from the event")
        return _svg(figure)


def marks(facts: Facts) -> list[Mark]:
    """List the moments that a reader looks for."""
    moments = facts.moments
    found = [Mark(0.0, "event", "#b8860b")]
    if facts.safe is not None:
        found.append(Mark(facts.safe, "safe", GOOD))
    late = (
        (moments.cut, "power cut", BAD),
        (moments.down, "Down", MARK),
        (moments.removed, "removed", MARK),
        (moments.joined, "replacement in service", MARK),
        (moments.balanced, "rebalanced", GOOD),
    )
    return found + [Mark(time - moments.event, name, color) for time, name, color in late if time]


def per_second(seen: Observation) -> list[tuple[int, int, int]]:
    """Good and failed requests by the second (from the event) in which they began."""
    good: Counter[int] = Counter()
    failed: Counter[int] = Counter()
    for answer in seen.answers:
        second = int((answer.time - seen.moments.event) // 1)
        (good if answer.ok else failed)[second] += 1
    seconds = sorted(good.keys() | failed.keys())
    return [(second, good[second], failed[second]) for second in seconds]


def _tasks(axis: Axes, seen: Observation, service: str) -> None:
    """Tasks on the doomed host stand on top of those elsewhere."""
    rows = course(seen, service)
    times, counts, there = zip(*rows, strict=True)
    elsewhere = [count - doomed for count, doomed in zip(counts, there, strict=True)]
    wanted = seen.listings[0].wanted[service] or 0
    axis.fill_between(times, 0, elsewhere, step="post", color=GOOD, alpha=0.22, linewidth=0)
    axis.fill_between(times, elsewhere, counts, step="post", color=DOOMED, alpha=0.45, linewidth=0)
    axis.step(times, counts, where="post", color=GOOD, linewidth=1.8, zorder=3)
    for (begin, count, _), (end, _, _) in pairwise(rows):
        if count < wanted:
            axis.fill_between([begin, end], count, wanted, color=BAD, alpha=0.5, linewidth=0)
    axis.axhline(wanted, color=WANTED, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
    axis.set_ylim(0, max(*counts, wanted) * 1.25)
    axis.set_yticks(sorted({0, wanted}))
    _name(axis, service)


def _requests(axis: Axes, seen: Observation) -> None:
    rows = per_second(seen)[1:-1]  # the first and the last second are not whole ones
    seconds = [second + 0.5 for second, _, _ in rows]
    good, failed = [row[1] for row in rows], [row[2] for row in rows]
    axis.bar(seconds, good, width=0.86, color=GOOD, alpha=0.55, linewidth=0, label="answered")
    axis.bar(seconds, failed, width=0.86, bottom=good, color=BAD, linewidth=0, label="failed")
    axis.set_ylim(0, max(map(sum, zip(good, failed, strict=True)), default=1) * 1.3)
    axis.legend(loc="upper right", ncols=2, fontsize=8.5, borderaxespad=0.1, edgecolor="none", framealpha=0.9)
    _name(axis, "requests/s")


def _name(axis: Axes, name: str) -> None:
    axis.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=8)
    axis.spines[["top", "right"]].set_visible(b=False)
    axis.spines[["left", "bottom"]].set_color("#c5c9d0")
    axis.tick_params(colors=MARK, length=3)


def _mark(axis: Axes, found: list[Mark], begin: float, end: float, *, named: bool) -> None:
    free: list[float] = []  # where each line of labels is free from
    for mark in sorted(found, key=lambda mark: mark.seconds):
        if not begin <= mark.seconds <= end:
            continue
        axis.axvline(mark.seconds, color=mark.color, linewidth=1.1, zorder=1)
        if named:
            label = f"{mark.name} {mark.seconds:.1f} s" if mark.seconds else mark.name
            width = len(label) * 0.0085 * (end - begin)
            left = min(mark.seconds, end - width)
            level = next((n for n, edge in enumerate(free) if edge <= left), len(free))
            free[level : level + 1] = [left + width]
            _label(axis, label, left, level, mark.color)


def _label(axis: Axes, text: str, left: float, level: int, color: str) -> None:
    axis.annotate(
        text,
        (left, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3 + 11 * level),
        textcoords="offset points",
        color=color,
        fontsize=8.5,
    )


def _svg(figure: Figure) -> str:
    """Cut from the picture what only a file of its own needs."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None}, transparent=True)
    text = out.getvalue()
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", text[text.index("<svg") :], count=1)
