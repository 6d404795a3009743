"""What counts as an event that EventBridge could have sent."""

from typing import Any

import pytest

from tests.lab.aws import events
from tests.lab.state import Host, LabError

HOST = Host("ip-172-31-0-14", "worker", "i-0123456789abcdef0", "172.31.0.14", "us-east-1b")
WARNING = events.interruption_warning(HOST, 1795413528.0)


def test_the_warning_is_as_ec2_sends_it() -> None:
    assert {**WARNING, "id": ""} == {
        "version": "0",
        "id": "",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2026-11-23T05:58:48Z",
        "region": "us-east-1",
        "resources": ["arn:aws:ec2:us-east-1b:instance/i-0123456789abcdef0"],
        "detail": {"instance-id": "i-0123456789abcdef0", "instance-action": "terminate"},
    }


def test_the_command_status_event_carries_parameters_but_no_instance() -> None:
    command = {
        "CommandId": "c",
        "DocumentName": "AWS-RunShellScript",
        "ExpiresAfter": 1.5,
        "RequestedDateTime": 0.0,
        "Parameters": {"commands": ["date"]},
    }
    detail = events.command_status(command, "Success", 1.0)["detail"]
    assert detail == {
        "command-id": "c",
        "document-name": "AWS-RunShellScript",
        "expire-after": "1970-01-01T00:00:01.500Z",
        "parameters": {"commands": ["date"]},
        "requested-date-time": "1970-01-01T00:00:00.000Z",
        "status": "Success",
    }


@pytest.mark.parametrize(
    "event",
    [
        WARNING,
        events.instance_state(HOST, "running", 0.0),
        events.invocation_status("c", HOST.instance, "Failed", 0.0, 0.0),
        events.scheduled("arn:aws:events:us-east-1:123456789012:rule/tick", 0.0),
    ],
)
def test_genuine_events_pass(event: events.Event) -> None:
    assert events.check(event) is event


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ([], "an event is a JSON object, not list"),
        ({}, "the event has no 'version'"),
        ({k: v for k, v in WARNING.items() if k != "detail"}, "the event has no 'detail'"),
        ({**WARNING, "detail": "{}"}, "the event's 'detail' must be a dict"),
        ({**WARNING, "resources": "arn"}, "the event's 'resources' must be a list"),
        ({**WARNING, "time": 12}, "the event's 'time' must be a str"),
        ({**WARNING, "time": "yesterday"}, "the event's 'time' must look like 2026"),
        ({**WARNING, "id": "7"}, "the event's 'id' must look like a UUID"),
        ({**WARNING, "Detail": {}}, "the event has 'Detail', which EventBridge never sends"),
    ],
)
def test_a_malformed_event_is_one_clear_error(event: Any, words: str) -> None:
    with pytest.raises(LabError, match="^" + words.replace("(", r"\(")):
        events.check(event)
