"""The timeline for people: event, decision, command, result, each as one short line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chalicelib.protocol.codec import decode_result
from chalicelib.protocol.messages import Result
from chalicelib.protocol.strict_json import ProtocolError
from tests.lab.aws import lab_api
from tests.lab.observe import timeline
from tests.lab.observe.timeline import Line, Source
from tests.lab.state import Lab

QUIET = frozenset({"Tick", "InstancesDiscovered"})  # of these only what leads to something is told
NODE_ID = re.compile(r" \([a-z0-9]{25}\)")
INSTANCE = re.compile(r"i-[0-9a-f]{8,17}")
_STEP = re.compile(r"(?P<status>\w+)(?:, exit \d+)?: (?P<task>\S+)")


class Kind(StrEnum):
    """What a line tells of."""

    LAB = "lab"
    EVENT = "event"
    DECISION = "decision"
    ACTION = "action"
    COMMAND = "command"
    AGENT = "agent"
    RESULT = "result"
    TROUBLE = "trouble"


@dataclass(frozen=True)
class Beat:
    """One thing that happened; ``who`` did it or is concerned."""

    time: float
    kind: Kind
    who: str
    text: str


@dataclass
class Story:
    """Follows a lab. Beats are in the order in which they became known, which is nearly that of time."""

    lab: Lab
    since: float
    beats: list[Beat] = field(default_factory=list)
    _seen: set[Line] = field(default_factory=set)
    _told: dict[tuple[str, str], int] = field(default_factory=dict)

    def tell(self, text: str) -> None:
        """Add what the lab itself does."""
        self.beats.append(Beat(time.time(), Kind.LAB, "lab", text))

    def poll(self) -> list[Beat]:
        """Look for what is new; answers it."""
        if not self.lab.endpoint:
            return []
        names = {host.instance: host.name for host in self.lab.hosts}
        fresh = [line for line in timeline.lines(self.lab, self.since) if line not in self._seen]
        self._seen.update(fresh)
        found = [beat for line in fresh if (beat := beat_of(line))]
        found += self._agents(lab_api.commands(self.lab))
        named = [Beat(b.time, b.kind, _named(b.who, names), _named(b.text, names)) for b in found]
        self.beats += sorted(named, key=lambda beat: beat.time)
        return named

    def _agents(self, rows: Iterable[Mapping[str, Any]]) -> list[Beat]:
        """Collect what agents said since the last poll, whose time is all that is known of theirs."""
        found = []
        for row in rows:
            for stream in ("stderr", "stdout"):
                lines = row[stream].splitlines()
                key = (f"{row['order']['command']}-{stream}", row["instance"])
                fresh = lines[self._told.get(key, 0) :]
                self._told[key] = len(lines)
                moment = row["ended"] or time.time()
                found += [
                    _agent(min(moment, time.time()), row["name"] or row["instance"], text) for text in fresh
                ]
        return found


def in_order(beats: Iterable[Beat]) -> list[Beat]:
    """Sort the beats by time."""
    return sorted(beats, key=lambda beat: beat.time)


def beat_of(line: Line) -> Beat | None:
    """Shorten a line of the lab's timeline; None for what tells nothing."""
    match line.source:
        case Source.EVENT:
            return _event(line)
        case Source.HANDLER:
            return _handler(line)
        case Source.COMMAND:
            return _command(line)
        case Source.AGENT:
            return None  # told as they speak, not all at their end
        case Source.FAULT | Source.TROUBLE:
            return Beat(line.time, Kind.TROUBLE, line.who, line.text)


def _event(line: Line) -> Beat | None:
    if line.text.endswith("no function"):
        return None
    about, _, functions = line.text.rpartition(" -> ")
    return Beat(line.time, Kind.EVENT, about or "-", f"{line.who} → {_short(functions)}")


def _handler(line: Line) -> Beat | None:
    try:
        said = json.loads(line.text)
    except ValueError:
        bad = "Traceback" in line.text or "Task timed out" in line.text
        return Beat(line.time, Kind.TROUBLE, _short(line.who), line.text) if bad else None
    if not isinstance(said, dict) or "message" not in said:
        return None  # a metric
    return _said(line, said)


def _said(line: Line, said: Mapping[str, Any]) -> Beat | None:
    who, text = _short(line.who), str(said["message"])
    if said.get("level") in ("WARNING", "ERROR", "CRITICAL"):
        return Beat(line.time, Kind.TROUBLE, who, text)
    if "actions" in said:
        if said.get("event") in QUIET and not said["actions"]:
            return None
        return Beat(
            line.time, Kind.DECISION, who, f"{text} → {', '.join(said['actions']) or 'nothing to do'}"
        )
    if said.get("action") and text != said.get("outcome"):
        return Beat(line.time, Kind.ACTION, who, f"{said['action']}: {text}")
    return None


def _command(line: Line) -> Beat | None:
    step = _STEP.match(line.text)
    if step is None or step["status"] in ("Pending", "Delayed"):
        return None
    told = {"InProgress": "starts", "Success": "succeeded"}.get(step["status"], step["status"])
    return Beat(line.time, Kind.COMMAND, line.who, f"Run Command: {step['task']} {told}")


def _agent(moment: float, host: str, text: str) -> Beat:
    if text.startswith("{"):
        with suppress(ProtocolError):  # what is no result is shown as it is
            return Beat(moment, Kind.RESULT, host, result_in_short(decode_result(text)))
    return Beat(moment, Kind.AGENT, host, text)


def result_in_short(result: Result) -> str:
    """Say what became of nodes and services."""
    nodes = [f"{one.instance} {one.fate.value} after {one.seconds:.1f} s" for one in result.nodes]
    services = [f"{one.service} {one.tasks} {one.way.value}" for one in result.services]
    told = f"{', '.join(nodes)}{': ' if services else ''}{', '.join(services)}"
    return f"{result.task.value}: {result.error or told}"


def _short(functions: str) -> str:
    """Strip application and stage from function names."""
    return ", ".join(name.split("-", 2)[-1] for name in functions.split(", "))


def _named(text: str, names: Mapping[str, str]) -> str:
    """Put host names for instance ids, and drop the ids that Swarm gives."""
    return NODE_ID.sub("", INSTANCE.sub(lambda found: names.get(found[0], found[0]), text))
