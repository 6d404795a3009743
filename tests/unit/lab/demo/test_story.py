"""The timeline in short lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.protocol.messages import AgentTask, Fate, NodeReport, Result, ServiceReport, Way
from tests.lab.demo.report.story import Beat, Kind, beat_of, result_in_short
from tests.lab.observe.timeline import Line, Source

HANDLER = "swarmkeeper-lab-on_command_finished"


def said(**fields: Any) -> Line:
    """Make a structured log line of a handler."""
    return Line(1.0, Source.HANDLER, HANDLER, json.dumps({"level": "INFO", **fields}))


TOLD = [
    (
        Line(1.0, Source.EVENT, "EC2 Spot Instance Interruption Warning", "i-1 terminate -> a-lab-on_x"),
        Beat(1.0, Kind.EVENT, "i-1 terminate", "EC2 Spot Instance Interruption Warning → on_x"),
    ),
    (
        said(message="it ends", event="SpotInterruptionWarning", actions=["ReplaceRecord", "Dispatch"]),
        Beat(1.0, Kind.DECISION, "on_command_finished", "it ends → ReplaceRecord, Dispatch"),
    ),
    (
        said(message="already evacuating", event="SpotInterruptionWarning", actions=[]),
        Beat(1.0, Kind.DECISION, "on_command_finished", "already evacuating → nothing to do"),
    ),
    (
        said(message="1 nodes sent", action="Dispatch", outcome="done"),
        Beat(1.0, Kind.ACTION, "on_command_finished", "Dispatch: 1 nodes sent"),
    ),
    (
        said(message="no manager answers", level="WARNING"),
        Beat(1.0, Kind.TROUBLE, "on_command_finished", "no manager answers"),
    ),
    (
        Line(1.0, Source.COMMAND, "ten", "InProgress: evacuate demo (0b1c2d3e)"),
        Beat(1.0, Kind.COMMAND, "ten", "Run Command: evacuate starts"),
    ),
    (
        Line(1.0, Source.COMMAND, "ten", "Failed, exit 69: evacuate demo (0b1c2d3e)"),
        Beat(1.0, Kind.COMMAND, "ten", "Run Command: evacuate Failed"),
    ),
    (
        Line(1.0, Source.HANDLER, HANDLER, "Task timed out after 60 seconds"),
        Beat(1.0, Kind.TROUBLE, "on_command_finished", "Task timed out after 60 seconds"),
    ),
]


@pytest.mark.parametrize(("line", "beat"), TOLD)
def test_what_matters_is_told(line: Line, beat: Beat) -> None:
    assert beat_of(line) == beat


QUIET = [
    Line(1.0, Source.EVENT, "EC2 Command Status-change Notification", "Success -> no function"),
    Line(1.0, Source.COMMAND, "ten", "Pending: evacuate demo (0b1c2d3e)"),
    Line(1.0, Source.HANDLER, HANDLER, "began"),
    Line(1.0, Source.HANDLER, HANDLER, '{"_aws": {"Timestamp": 1}, "cluster": ["demo"]}'),
    said(message="nothing is due", event="Tick", actions=[]),
    said(message="done", action="RecordHostHealth", outcome="done"),
]


@pytest.mark.parametrize("line", QUIET)
def test_what_tells_nothing_is_left_out(line: Line) -> None:
    assert beat_of(line) is None


def test_a_result_is_told_in_one_line() -> None:
    nodes = (NodeReport("i-0123456789abcdef0", "d", Fate.SAFE, seconds=6.26),)
    services = (ServiceReport("web", 2, Way.START_FIRST, 6.0), ServiceReport("agents", 1, Way.GLOBAL, 6.2))
    told = result_in_short(Result(AgentTask.EVACUATE, True, nodes, services))
    assert told == "evacuate: i-0123456789abcdef0 safe after 6.3 s: web 2 start-first, agents 1 global"
    assert result_in_short(Result(AgentTask.LEAVE, False, error="no leader")) == "leave: no leader"
