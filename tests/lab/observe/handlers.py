"""What the handlers wrote to CloudWatch Logs, one run after the other, with their times and memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.lab.aws import lab_api
from tests.lab.state import Lab

_GROUP = "/aws/lambda/"
_REPORT = re.compile(r"REPORT RequestId: (\S+)\tDuration: (\d+) ms")


@dataclass(frozen=True)
class Line:
    """One line of a handler; ``time`` is the line's own where it names one, else the end of the run."""

    time: float
    text: str


@dataclass(frozen=True)
class Run:
    """One run of one handler; it includes the start of its process where that was cold."""

    function: str
    request: str
    began: float
    ended: float
    lines: tuple[Line, ...]

    @property
    def cold(self) -> bool:
        """Whether a handler that logs with Powertools said that this was a cold start."""
        return any('"cold_start":true' in line.text.replace(" ", "") for line in self.lines)


def runs(lab: Lab, since: float = 0.0, functions: Iterable[str] = ()) -> list[Run]:
    """Find every run that ended since that time (seconds since the epoch), in the order of their beginnings.

    ``functions``: only those of these, by default of all; to read the logs of all takes long.
    """
    logs = lab_api.connect(lab).client("logs")
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=_GROUP)
    wanted = {f"{_GROUP}{function}" for function in functions}
    names = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    read = [name for name in names if not wanted or name in wanted]
    found = [run for name in read for run in parse(name, _streams(logs, name, since))]
    return sorted(found, key=lambda run: run.began)


def functions_saying(lab: Lab, words: str, since: float) -> list[str]:
    """Name the functions of the runs that logged these words."""
    return [run.function for run in runs(lab, since) if any(words in line.text for line in run.lines)]


def _streams(logs: Any, group: str, since: float) -> Iterable[list[dict[str, Any]]]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=int(since * 1000))
    streams: dict[str, list[dict[str, Any]]] = {}
    for page in pages:
        for event in page["events"]:
            streams.setdefault(event["logStreamName"], []).append(event)
    return streams.values()


def parse(group: str, streams: Iterable[list[dict[str, Any]]]) -> Iterator[Run]:
    """Read the runs in a function's log streams, each of which ministack writes at the end of one run."""
    for events in streams:
        report = _REPORT.match(events[-1]["message"])
        if report is None:
            continue
        ended = events[-1]["timestamp"] / 1000
        lines = tuple(Line(_time(event["message"], ended), event["message"]) for event in events[1:-2])
        began = ended - int(report[2]) / 1000
        yield Run(group.removeprefix(_GROUP), report[1], began, ended, lines)


def _time(text: str, otherwise: float) -> float:
    """Read the time at which a JSON line (Powertools writes ``timestamp``) says it was written."""
    try:
        written = json.loads(text)["timestamp"]
        return datetime.fromisoformat(written.replace(",", ".")).astimezone().timestamp()
    except (ValueError, KeyError, TypeError, AttributeError):
        return otherwise
