"""Does what EventBridge does with an event: match it against the deployed rules, invoke their functions."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.lab.aws import events
from tests.lab.faults.armed_faults import Fault, Faults, Kind
from tests.lab.observe.journal import Delivery, Journal, Trouble
from tests.lab.state import LabError


@dataclass(frozen=True)
class Rule:
    """One enabled rule. ``functions`` are the ARNs of its targets; it has a pattern, a schedule, or both."""

    name: str
    arn: str
    pattern: str
    schedule: str
    functions: tuple[str, ...]


@dataclass
class EventBus:
    """The default bus of the ministack that ``events`` and ``functions`` (boto3 clients) speak to."""

    events: Any
    functions: Any
    faults: Faults
    journal: Journal
    _rules: tuple[Rule, ...] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forget_rules(self) -> None:
        """Something has changed the rules: read them again for the next event."""
        self._rules = None

    def await_function(self, name: str) -> None:
        """Wait until a function that was just created can be invoked."""
        self.functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})

    def rules(self) -> tuple[Rule, ...]:
        """List the enabled rules; LabError where one has a target that the lab cannot serve faithfully."""
        with self._lock:
            if self._rules is None:
                self._rules = tuple(self._read_rules())
            return self._rules

    def deliver(self, event: events.Event) -> dict[str, Any]:
        """Send an event to every function whose rule matches; answers their names and what fault struck."""
        events.check(event)
        matched = [rule for rule in self.rules() if rule.pattern and self._matches(rule, event)]
        fault = self.faults.strike({Kind.DROP, Kind.DELAY, Kind.DOUBLE}, event["detail-type"])
        arns = tuple(dict.fromkeys(arn for rule in matched for arn in rule.functions))
        return self._send(event, arns, fault)

    def tick(self) -> dict[str, Any]:
        """Fire every rule that has a schedule, now; LabError where none is deployed."""
        rules = [rule for rule in self.rules() if rule.schedule]
        if not rules:
            raise LabError("no rule with a schedule is deployed")
        sent = [self._send(events.scheduled(rule.arn, time.time()), rule.functions, None) for rule in rules]
        return {"functions": [name for answer in sent for name in answer["functions"]], "fault": ""}

    def deliver_raw(self, function: str, payload: str) -> dict[str, Any]:
        """Send anything at all, as it is, to one function: for input that EventBridge would never send."""
        self._invoke(function, payload.encode())
        return {"functions": [function], "fault": "raw"}

    def deliver_later(self, event: events.Event) -> None:
        """Deliver without anyone waiting; what goes wrong is kept in the journal."""
        threading.Thread(target=self._deliver_or_note, args=(event,), daemon=True).start()

    def _deliver_or_note(self, event: events.Event) -> None:
        try:
            self.deliver(event)
        except Exception as error:  # noqa: BLE001  a thread has no caller: the journal is where somebody will see it
            self.journal.write(Trouble(time.time(), f"{event['detail-type']} was not delivered: {error}"))

    def _send(self, event: events.Event, arns: tuple[str, ...], fault: Fault | None) -> dict[str, Any]:
        kind = fault.kind if fault else None
        if fault and kind is Kind.DELAY:
            timer = threading.Timer(fault.seconds, self._invoke_all, (event, arns, "delay"))
            timer.daemon = True
            timer.start()
        elif kind is Kind.DROP:
            self.journal.write(Delivery(time.time(), event, (), "drop"))
        else:
            self._invoke_all(event, arns, kind or "")
            if kind is Kind.DOUBLE:
                self._invoke_all(event, arns, kind)
        names = () if kind is Kind.DROP else tuple(map(_name, arns))
        return {"functions": list(names), "fault": kind or ""}

    def _invoke_all(self, event: events.Event, arns: tuple[str, ...], fault: str) -> None:
        self.journal.write(Delivery(time.time(), event, tuple(map(_name, arns)), fault))
        if not event["source"].startswith("aws."):
            self._put(event)
            return
        for arn in arns:
            self._invoke(arn, json.dumps(event).encode())

    def _put(self, event: events.Event) -> None:
        """Put an event onto the bus itself, which takes only what is not AWS's own."""
        entry = {"Source": event["source"], "DetailType": event["detail-type"], "Time": event["time"]}
        detail = json.dumps(event["detail"])
        answer = self.events.put_events(
            Entries=[{**entry, "Resources": event["resources"], "Detail": detail}]
        )
        if answer["FailedEntryCount"]:
            raise LabError(f"the bus refused the event: {answer['Entries'][0].get('ErrorMessage')}")

    def _invoke(self, function: str, payload: bytes) -> None:
        self.functions.invoke(FunctionName=function, InvocationType="Event", Payload=payload)

    def _matches(self, rule: Rule, event: events.Event) -> bool:
        if _names_another(rule.pattern, event):
            return False
        answer = self.events.test_event_pattern(EventPattern=rule.pattern, Event=json.dumps(event))
        return bool(answer["Result"])

    def _read_rules(self) -> list[Rule]:
        pages = self.events.get_paginator("list_rules").paginate()
        rows = [row for page in pages for row in page["Rules"] if row["State"] == "ENABLED"]
        return [self._rule(row) for row in rows]

    def _rule(self, row: dict[str, Any]) -> Rule:
        pages = self.events.get_paginator("list_targets_by_rule").paginate(Rule=row["Name"])
        targets = [target for page in pages for target in page["Targets"]]
        functions = tuple(_function_arn(row["Name"], target) for target in targets)
        schedule = row.get("ScheduleExpression", "")
        return Rule(row["Name"], row["Arn"], row.get("EventPattern", ""), schedule, functions)


def _names_another(pattern: str, event: events.Event) -> bool:
    """Tell what is plain without asking ministack: the pattern lists other sources or detail types."""
    wanted = json.loads(pattern)
    lists = [(wanted.get(key), event[key]) for key in ("source", "detail-type")]
    return any(
        names and all(isinstance(name, str) for name in names) and value not in names
        for names, value in lists
    )


def _function_arn(rule: str, target: dict[str, Any]) -> str:
    arn: str = target["Arn"]
    if ":lambda:" not in arn or any(key.startswith("Input") for key in target):
        raise LabError(f"rule {rule} targets {arn}: the lab delivers whole events to Lambda functions only")
    return arn


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]
