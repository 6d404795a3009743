"""Everything that happened in a lab, in the order of time: events, handlers, commands, agents, faults."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.lab.aws import lab_api
from tests.lab.aws.deploy import STAGE
from tests.lab.observe import handlers, journal
from tests.lab.state import Lab

_APP = f"swarmkeeper-{STAGE}-"


class Source(StrEnum):
    """Where a line of the timeline comes from."""

    EVENT = "event"
    HANDLER = "handler"
    COMMAND = "command"
    AGENT = "agent"
    FAULT = "fault"
    TROUBLE = "trouble"


@dataclass(frozen=True)
class Line:
    """One thing that happened; ``who`` is a function, a host or the kind of an event."""

    time: float
    source: Source
    who: str
    text: str


def lines(lab: Lab, since: float = 0.0) -> list[Line]:
    """All that happened since that time (seconds since the epoch), oldest first."""
    hosts = {host.instance: host.name for host in lab.hosts}
    found = [line for entry in journal.read(lab, since) for line in _journal_lines(entry, hosts)]
    found += [line for run in handlers.runs(lab, since) for line in _handler_lines(run)]
    found += [line for row in lab_api.commands(lab) if row["ended"] >= since for line in _agent_lines(row)]
    return sorted(found, key=lambda line: line.time)


def follow(lab: Lab, since: float, poll: float = 0.5) -> Iterator[Line]:
    """Yield what has happened, then what happens from now on; never ends."""
    seen: set[Line] = set()
    while True:
        fresh = [line for line in lines(lab, since) if line not in seen]
        seen.update(fresh)
        yield from fresh
        # A handler's lines come out when it ends, which is 15 minutes after its start at the latest.
        since = max(since, time.time() - 1000)
        time.sleep(poll)


def brief(found: list[Line], since: float) -> list[str]:
    """One short text for each line that says what was decided or done, in seconds since that time."""
    return [
        f"{line.time - since:7.1f}  {line.source.value:7}  {line.who.removeprefix(_APP):.28}  {text:.160}"
        for line in found
        if (text := _said(line)) and not text.endswith("-> no function")
    ]


def _said(line: Line) -> str:
    """Read the message of a line by Powertools, "" of a metric; any other line stays as it is."""
    if line.source is not Source.HANDLER or not line.text.startswith("{"):
        return line.text
    try:
        return str(json.loads(line.text).get("message", ""))
    except ValueError:
        return line.text


def _journal_lines(entry: journal.Entry, hosts: dict[str, str]) -> Iterator[Line]:
    match entry:
        case journal.Delivery(moment, event, functions, fault):
            yield Line(moment, Source.EVENT, event["detail-type"], _delivered(event, functions, fault))
        case journal.CommandChange(moment, command, instance, _, details, comment, code):
            ended = f", exit {code}" if code >= 0 else ""
            text = f"{details}{ended}: {comment or 'command'} ({command[:8]})"
            yield Line(moment, Source.COMMAND, hosts.get(instance, instance), text)
        case journal.Call(moment, action, who, _, _, _, _, fault) if fault:
            yield Line(moment, Source.FAULT, who, f"{fault}: {action}")
        case journal.Trouble(moment, message):
            yield Line(moment, Source.TROUBLE, "lab", message)


def _delivered(event: dict[str, Any], functions: tuple[str, ...], fault: str) -> str:
    detail = event["detail"]
    about = [
        str(detail[key]) for key in ("instance-id", "state", "status", "instance-action") if key in detail
    ]
    reached = ", ".join(functions) or "no function"
    return f"{' '.join(about)} -> {reached}{f' [{fault}]' if fault else ''}".strip()


def _handler_lines(run: handlers.Run) -> Iterator[Line]:
    yield Line(run.began, Source.HANDLER, run.function, "began")
    for line in run.lines:
        yield Line(line.time, Source.HANDLER, run.function, line.text)
    yield Line(run.ended, Source.HANDLER, run.function, f"ended after {run.ended - run.began:.3f} s")


def _agent_lines(row: dict[str, Any]) -> Iterator[Line]:
    for stream in ("stderr", "stdout"):
        for text in row[stream].splitlines():
            yield Line(row["ended"], Source.AGENT, row["name"] or row["instance"], text)
