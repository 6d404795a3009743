"""What the demo shows while it runs: a screen that changes, or plain lines where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tests.lab.demo.report.cluster_map import LEGEND, Scene, cluster_map
from tests.lab.demo.report.story import Beat, Kind, Story, in_order
from tests.lab.demo.request_counter import Tail
from tests.lab.demo.scenario import Scenario

COLORS = {
    Kind.LAB: "bold",
    Kind.EVENT: "yellow",
    Kind.DECISION: "magenta",
    Kind.ACTION: "magenta",
    Kind.COMMAND: "blue",
    Kind.AGENT: "cyan",
    Kind.RESULT: "green",
    Kind.TROUBLE: "bold red",
}
OTHER_LINES = 21  # lines of the screen that are not the timeline's
STRIP_S = 40  # of the requests' strip


@dataclass
class Stage:
    """Where everything of a demo is told. ``steps`` are what was said, and when (monotonic seconds)."""

    console: Console
    title: str
    began: float = field(default_factory=time.monotonic)
    steps: list[tuple[float, str]] = field(default_factory=list)
    scenario: Scenario | None = None
    story: Story | None = None
    tail: Tail | None = None

    def say(self, text: str) -> None:
        """Tell what happens now."""
        self.steps.append((time.monotonic() - self.began, text))
        if self.story:
            self.story.tell(text)
        if not self.console.is_terminal:
            self.console.print(f"[dim]{self.steps[-1][0]:6.1f} s[/] {text}", highlight=False, soft_wrap=True)

    def tell(self, beats: list[Beat]) -> None:
        """Tell what was learnt of the lab; a screen finds it by itself."""
        if not self.console.is_terminal:
            for beat in in_order(beats):
                self.console.print(
                    Text("         ").append(self._line(beat)), highlight=False, soft_wrap=True
                )

    def follow(self, scenario: Scenario, story: Story) -> None:
        """Show this from now on."""
        self.scenario, self.story, self.tail = scenario, story, Tail(scenario.requests)

    @contextmanager
    def up(self) -> Iterator[None]:
        """While it lasts, the screen follows what happens."""
        if not self.console.is_terminal:
            yield
            return
        with Live(self, console=self.console, refresh_per_second=4, vertical_overflow="crop"):
            yield

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the screen as it is now."""
        if self.scenario is None or self.scenario.watch is None:
            yield Panel(self._steps(), title=self.title, border_style="dim", title_align="left")
            return
        room = max(4, console.size.height - OTHER_LINES)
        parts: list[RenderableType] = [
            self._head(),
            cluster_map(self._scene(self.scenario)),
            Text.from_markup(LEGEND, style="dim"),
        ]
        parts += [Text(""), self._requests(), Text("")]
        yield Panel(
            Group(*parts, self._timeline(room)), title=self.title, border_style="dim", title_align="left"
        )

    def _steps(self) -> Table:
        table = Table.grid(padding=(0, 1))
        shown = self.steps[-max(4, self.console.size.height - 4) :]
        for moment, text in shown:
            mark = Spinner("dots", style="cyan") if (moment, text) == shown[-1] else Text("✓", "green")
            table.add_row(mark, Text(f"{moment:5.1f} s", "dim"), text)
        return table

    def _head(self) -> Table:
        """Draw the step that is under way, and how much of the notice is over."""
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(ratio=1, no_wrap=True)
        table.add_column(width=34)
        table.add_column(width=26, justify="right", no_wrap=True)
        text = self.steps[-1][1] if self.steps else ""
        table.add_row(Spinner("dots", style="cyan"), Text(text, "bold"), *self._countdown())
        return table

    def _countdown(self) -> tuple[ProgressBar | Text, Text]:
        scenario = self.scenario
        if scenario is None or not scenario.moments.event:
            return Text(""), Text("before the event", "dim")
        if scenario.moments.cut:
            return Text(""), Text(f"{time.time() - scenario.moments.cut:.0f} s after the power cut", "red")
        over = time.time() - scenario.moments.event
        bar = ProgressBar(total=scenario.notice, completed=over, width=34)
        return bar, Text(f"power cut in {max(0.0, scenario.notice - over):.0f} s", "yellow")

    def _scene(self, scenario: Scenario) -> Scene:
        watch = scenario.watch
        if watch is None:
            raise ValueError("nothing is watched yet")
        sample = watch.samples[-1] if watch.samples else None
        ends = (watch.listings[0], watch.listings[-1], sample)
        return Scene(*ends, scenario.doomed, scenario.moments, time.time(), scenario.notice)

    def _requests(self) -> Table:
        table = Table.grid(padding=(0, 2))
        if self.tail is None:
            return table
        self.tail.look()
        for service in self.tail.services():
            good, bad = self.tail.counts[service, True], self.tail.counts[service, False]
            failed = Text(f"{bad:,} failed", "bold red" if bad else "green")
            table.add_row(Text(service, "bold"), f"{good + bad:,} sent", failed, self._strip(service))
        return table

    def _strip(self, service: str) -> Text:
        """Draw the last seconds, one block each: green where all requests were answered."""
        seconds = self.tail.seconds.get(service, {}) if self.tail else {}
        return Text("").join(
            Text("■", "green" if seconds[second] else "bold red") for second in sorted(seconds)[-STRIP_S:]
        )

    def _timeline(self, room: int) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(justify="right", no_wrap=True, min_width=9)
        table.add_column(no_wrap=True, min_width=8)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for beat in in_order(self.story.beats if self.story else [])[-room:]:
            color = COLORS[beat.kind]
            about = Text.assemble((beat.who, "dim"), "  ", beat.text)
            table.add_row(Text(self._moment(beat), "dim"), Text(beat.kind, color), about)
        return table

    def _line(self, beat: Beat) -> Text:
        kind = (f"{beat.kind:<9}", COLORS[beat.kind])
        return Text.assemble((self._moment(beat), "dim"), " ", kind, (f"{beat.who}  ", "dim"), beat.text)

    def _moment(self, beat: Beat) -> str:
        event = self.scenario.moments.event if self.scenario else 0.0
        return f"{beat.time - event:+7.1f} s" if event else "        -"
