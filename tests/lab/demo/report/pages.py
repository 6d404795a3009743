"""What the demo leaves to read: index.html for people, report.json for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tests.lab.demo.findings import guarantees
from tests.lab.demo.findings.facts import Facts, course
from tests.lab.demo.findings.steps import story_of
from tests.lab.demo.observation import Observation
from tests.lab.demo.report import plot
from tests.lab.demo.report.story import Beat, in_order

TEMPLATE = Path(__file__).with_name("report.html.j2")
ZOOM = (-2.0, 4.0)  # seconds shown before the event and after safety in the close-up


def write(directory: Path, seen: Observation, facts: Facts, beats: list[Beat]) -> Path:
    """Write both files; answers the page."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(as_data(seen, facts, beats), indent=1))
    page = directory / "index.html"
    page.write_text(as_page(seen, facts, beats))
    return page


def as_data(seen: Observation, facts: Facts, beats: list[Beat]) -> dict[str, Any]:
    """Build the whole report; ``running``, ``requests_per_second`` and ``timeline`` count from the event."""
    event = facts.moments.event
    return {
        "held": guarantees.held(facts),
        "guarantees": [asdict(check) for check in guarantees.checks(facts)],
        "facts": asdict(facts),
        "story": [asdict(step) for step in story_of(facts)],
        "running": {name: course(seen, name) for name in sorted(seen.replicated)},
        "requests_per_second": plot.per_second(seen),
        "timeline": [{**asdict(beat), "time": round(beat.time - event, 3)} for beat in in_order(beats)],
    }


def as_page(seen: Observation, facts: Facts, beats: list[Beat]) -> str:
    """Render the page, with everything that it shows inside."""
    begin, end = facts.moments.began - facts.moments.event, facts.moments.ended - facts.moments.event
    close = min(end, (facts.safe if facts.safe is not None else 20.0) + ZOOM[1])
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE.name).render(
        facts=facts,
        hosts=len(seen.listings[0].nodes),
        checks=guarantees.checks(facts),
        held=guarantees.held(facts),
        steps=_steps(facts),
        story=story_of(facts),
        # The SVG is our own drawing of our own numbers.
        whole=Markup(plot.draw(seen, facts, begin, end, "whole")),  # noqa: S704
        close=Markup(plot.draw(seen, facts, ZOOM[0], close, "close")),  # noqa: S704
        beats=[(beat.time - facts.moments.event, beat) for beat in in_order(beats)],
        when=datetime.fromtimestamp(facts.moments.event, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    )


def _steps(facts: Facts) -> list[tuple[str, float, float]]:
    """List the split of our time: each step with its beginning and its length, as far as it was seen."""
    if facts.split is None:
        return []
    split = facts.split
    names = (
        "event to handler",
        "start of the handler's process",
        "handler decides and records",
        "SendCommand to agent",
        "agent to safe",
    )
    ends = (split.handler, split.awake, split.sent, split.agent, split.safe)
    found, begin = [], 0.0
    for name, end in zip(names, ends, strict=True):
        if end is not None:
            found.append((name, begin, max(0.0, end - begin)))
            begin = end
    return found
