"""Genuine EventBridge events, as EC2, Systems Manager and EventBridge's own schedules send them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.lab.state import Host, LabError

ACCOUNT = "123456789012"
REGION = "us-east-1"
_TRANSITIONS = {"launch": "LAUNCHING", "terminate": "TERMINATING"}
Event = dict[str, Any]

_FIELDS: Mapping[str, type] = {
    "version": str,
    "id": str,
    "detail-type": str,
    "source": str,
    "account": str,
    "time": str,
    "region": str,
    "resources": list,
    "detail": dict,
}


def interruption_warning(host: Host, time: float, action: str = "terminate") -> Event:
    """Make EC2's notice, at ``time`` (seconds since the epoch), that it takes a Spot machine back."""
    detail = {"instance-id": host.instance, "instance-action": action}
    arn = f"arn:aws:ec2:{host.zone}:instance/{host.instance}"
    return envelope("aws.ec2", "EC2 Spot Instance Interruption Warning", detail, [arn], time)


def instance_state(host: Host, state: str, time: float) -> Event:
    """Make EC2's notice that an instance entered a state, such as ``running`` or ``shutting-down``."""
    detail = {"instance-id": host.instance, "state": state}
    return envelope("aws.ec2", "EC2 Instance State-change Notification", detail, [_arn(host.instance)], time)


def fleet_instance(host: Host, change: str, time: float) -> Event:
    """Make an EC2 Fleet's notice that an instance of it was ``launched`` or ``terminated``."""
    about = {"instanceType": host.instance_type, "availabilityZone": host.zone}
    detail = {"instance-id": host.instance, "description": json.dumps(about), "sub-type": change}
    return envelope("aws.ec2fleet", "EC2 Fleet Instance Change", detail, [], time)


def lifecycle_action(host: Host, transition: str, hook: tuple[str, str, str], time: float) -> Event:
    """Auto Scaling's notice that a ``launch`` or ``terminate`` waits for whoever the hook is for.

    ``hook`` is the group's name, the hook's, and the action's token.
    """
    group, name, token = hook
    detail = {
        "LifecycleActionToken": token,
        "AutoScalingGroupName": group,
        "LifecycleHookName": name,
        "EC2InstanceId": host.instance,
        "LifecycleTransition": f"autoscaling:EC2_INSTANCE_{_TRANSITIONS[transition]}",
        "NotificationMetadata": "",
    }
    place = f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:{uuid.uuid4()}"
    resources = [f"{place}:autoScalingGroupName/{group}"]
    return envelope("aws.autoscaling", f"EC2 Instance-{transition} Lifecycle Action", detail, resources, time)


def invocation_status(command: str, instance: str, status: str, requested: float, time: float) -> Event:
    """Make the notice that a command entered a status on one host."""
    detail = {
        "command-id": command,
        "document-name": "AWS-RunShellScript",
        "instance-id": instance,
        "requested-date-time": stamp_ms(requested),
        "status": status,
    }
    kind = "EC2 Command Invocation Status-change Notification"
    return envelope("aws.ssm", kind, detail, [_arn(instance)], time)


def command_status(command: Mapping[str, Any], status: str, time: float) -> Event:
    """Make the notice that a command as a whole entered a status.

    ``command`` is as SendCommand shows it: its parameters travel in clear.
    """
    detail = {
        "command-id": command["CommandId"],
        "document-name": command["DocumentName"],
        "expire-after": stamp_ms(command["ExpiresAfter"]),
        "parameters": command["Parameters"],
        "requested-date-time": stamp_ms(command["RequestedDateTime"]),
        "status": status,
    }
    return envelope("aws.ssm", "EC2 Command Status-change Notification", detail, [], time)


def scheduled(rule_arn: str, time: float) -> Event:
    """Make the event that a rule with a schedule sends to its targets."""
    return envelope("aws.events", "Scheduled Event", {}, [rule_arn], time)


def envelope(source: str, kind: str, detail: Mapping[str, Any], resources: list[str], time: float) -> Event:
    """Wrap a detail into an event with a new id, in the lab's account and region."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT,
        "time": stamp(time),
        "region": REGION,
        "resources": resources,
        "detail": dict(detail),
    }


def check(event: Any) -> Event:
    """Return the event if EventBridge could have sent it; else LabError naming the first wrong field."""
    if not isinstance(event, dict):
        raise LabError(f"an event is a JSON object, not {type(event).__name__}")
    for field, kind in _FIELDS.items():
        if field not in event:
            raise LabError(f"the event has no {field!r}; EventBridge always sends: {', '.join(_FIELDS)}")
        if not isinstance(event[field], kind):
            raise LabError(f"the event's {field!r} must be a {kind.__name__}, not {event[field]!r}")
    if unknown := sorted(set(event) - set(_FIELDS)):
        raise LabError(f"the event has {unknown[0]!r}, which EventBridge never sends")
    _check(event["time"], "time", "2026-11-20T10:00:00Z", datetime.fromisoformat)
    _check(event["id"], "id", "a UUID", uuid.UUID)
    return event


def _check(value: str, field: str, example: str, parse: Callable[[str], object]) -> None:
    try:
        parse(value)
    except ValueError as error:
        raise LabError(f"the event's {field!r} must look like {example}, not {value!r}") from error


def stamp(time: float) -> str:
    """Seconds since the epoch the way an event's ``time`` is written."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_ms(time: float) -> str:
    """Seconds since the epoch with milliseconds, the way Systems Manager writes them."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _arn(instance: str) -> str:
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance}"
