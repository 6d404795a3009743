"""What a test that fails shows of its lab: decisions and deeds, not metrics or events nobody heard."""

from __future__ import annotations

import json

from tests.lab.observe.timeline import Line, Source, brief

WARNED = "swarmkeeper-lab-on_spot_interruption_warning"


def test_a_failure_shows_messages_without_metrics_and_events_that_nobody_heard() -> None:
    found = [
        Line(101.0, Source.EVENT, "EC2 Command Status-change Notification", "Success -> no function"),
        Line(101.5, Source.HANDLER, WARNED, json.dumps({"message": "nodes sent: 1", "level": "INFO"})),
        Line(102.0, Source.HANDLER, WARNED, json.dumps({"_aws": {"Timestamp": 1}, "CommandsSent": [1.0]})),
        Line(103.0, Source.HANDLER, WARNED, "{broken"),
        Line(104.25, Source.AGENT, "ip-172-31-0-11", "x" * 500),
    ]
    assert [line.split(maxsplit=3) for line in brief(found, 100.0)] == [
        ["1.5", "handler", "on_spot_interruption_warning", "nodes sent: 1"],
        ["3.0", "handler", "on_spot_interruption_warning", "{broken"],
        ["4.2", "agent", "ip-172-31-0-11", "x" * 160],
    ]
