"""Events reach the functions of the rules that match, and faults strike them on the way."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from tests.lab.aws import events
from tests.lab.endpoint.delivery import EventBus
from tests.lab.faults.armed_faults import Fault, Faults, Kind
from tests.lab.observe.journal import Journal
from tests.lab.state import Host, LabError

HOST = Host("a", "worker", "i-0123456789abcdef0", "172.31.0.14", "us-east-1b")
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
PATTERNS = {
    "warned": {"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]},
    "everything": {"source": [{"prefix": "aws."}]},
    "ended": {"detail": {"state": [{"anything-but": ["pending", "running"]}]}},
}


@dataclass
class FakeEventBridge:
    """Rules of its own; matching by moto, a second opinion on ministack's."""

    rules: dict[str, dict[str, Any]]
    put: list[dict[str, Any]] = field(default_factory=list)
    listings: int = 0

    def get_paginator(self, name: str) -> "FakePaginator":
        """Pages of one item each."""
        self.listings += name == "list_rules"
        return FakePaginator(self, name)

    def test_event_pattern(self, *, EventPattern: str, Event: str) -> Mapping[str, bool]:  # noqa: N803
        """Whether the pattern matches."""
        return {"Result": matches(EventPattern, json.loads(Event))}

    def put_events(self, *, Entries: list[dict[str, Any]]) -> Mapping[str, int]:  # noqa: N803
        """Take the entries."""
        self.put += Entries
        return {"FailedEntryCount": 0}


@dataclass
class FakePaginator:
    """Pages of rules or of targets."""

    bridge: FakeEventBridge
    name: str

    def paginate(self, Rule: str = "") -> Iterator[dict[str, Any]]:  # noqa: N803
        """One item a page."""
        if self.name == "list_rules":
            yield from ({"Rules": [{"State": "ENABLED", **row}]} for row in self.bridge.rules.values())
        else:
            yield {"Targets": [self.bridge.rules[Rule].get("Target", {"Arn": ARN + Rule})]}


@dataclass
class FakeFunctions:
    """Remembers what was invoked."""

    invoked: list[tuple[str, Any]] = field(default_factory=list)

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> None:  # noqa: N803
        """Invoke asynchronously."""
        assert InvocationType == "Event"
        self.invoked.append((FunctionName.removeprefix(ARN), json.loads(Payload)))


def matches(pattern: str, event: Any) -> bool:
    return bool(EventPattern.load(pattern).matches_event(event))


@pytest.fixture
def bus(tmp_path: Path) -> EventBus:
    rules = {
        name: {"Name": name, "Arn": f"rule/{name}", "EventPattern": json.dumps(pattern)}
        for name, pattern in PATTERNS.items()
    }
    rules["tick"] = {"Name": "tick", "Arn": "rule/tick", "ScheduleExpression": "rate(1 minute)"}
    return EventBus(FakeEventBridge(rules), FakeFunctions(), Faults(), Journal(tmp_path / "journal"))


def test_an_event_goes_to_every_function_whose_rule_matches(bus: EventBus) -> None:
    warning = events.interruption_warning(HOST, 0.0)
    assert bus.deliver(warning) == {"functions": ["warned", "everything"], "fault": ""}
    assert bus.functions.invoked == [("warned", warning), ("everything", warning)]
    running = events.instance_state(HOST, "running", 0.0)
    assert bus.deliver(running)["functions"] == ["everything"]
    assert bus.events.listings == 1


def test_rules_that_changed_are_read_again(bus: EventBus) -> None:
    bus.events.rules["warned"]["State"] = "DISABLED"
    bus.deliver(events.interruption_warning(HOST, 0.0))
    bus.events.rules["everything"]["State"] = "DISABLED"
    bus.forget_rules()
    assert bus.deliver(events.interruption_warning(HOST, 0.0))["functions"] == []
    assert len(bus.functions.invoked) == 1


def test_a_malformed_event_reaches_nobody_unless_it_is_sent_raw(bus: EventBus) -> None:
    with pytest.raises(LabError):
        bus.deliver({"detail": {}})
    assert bus.functions.invoked == []
    bus.deliver_raw("warned", '{"detail": {}}')
    assert bus.functions.invoked == [("warned", {"detail": {}})]


@pytest.mark.parametrize(("kind", "times"), [(Kind.DROP, 0), (Kind.DOUBLE, 2)])
def test_an_event_can_be_lost_or_come_twice(bus: EventBus, kind: Kind, times: int) -> None:
    bus.faults.arm(Fault(kind, "EC2 Spot Instance Interruption Warning"))
    assert bus.deliver(events.interruption_warning(HOST, 0.0))["fault"] == kind
    names = [name for name, _ in bus.functions.invoked]
    assert names.count("warned") == times


def test_an_event_can_come_late(bus: EventBus) -> None:
    bus.faults.arm(Fault(Kind.DELAY, seconds=2))
    bus.deliver(events.interruption_warning(HOST, 0.0))
    assert bus.functions.invoked == []
    until = time.monotonic() + 60
    while len(bus.functions.invoked) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert [name for name, _ in bus.functions.invoked] == ["warned", "everything"]


def test_a_tick_fires_the_schedules_with_the_event_of_a_schedule(bus: EventBus) -> None:
    assert bus.tick()["functions"] == ["tick"]
    ((_, event),) = bus.functions.invoked
    assert (event["detail-type"], event["source"], event["detail"]) == ("Scheduled Event", "aws.events", {})
    assert event["resources"] == ["rule/tick"]


def test_a_source_of_ones_own_is_put_on_the_bus(bus: EventBus) -> None:
    bus.deliver(events.envelope("drill", "Fire Drill", {"a": 1}, [], 0.0))
    assert [entry["DetailType"] for entry in bus.events.put] == ["Fire Drill"]
    assert bus.functions.invoked == []


def test_a_target_that_the_lab_cannot_serve_is_said_so(bus: EventBus) -> None:
    bus.events.rules["warned"]["Target"] = {"Arn": "arn:aws:sqs:us-east-1:123456789012:queue"}
    with pytest.raises(LabError, match="rule warned targets arn:aws:sqs"):
        bus.deliver(events.interruption_warning(HOST, 0.0))
