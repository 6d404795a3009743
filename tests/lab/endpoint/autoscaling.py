"""Auto Scaling's lifecycle actions: a hook is open from its event until somebody completes it.

A group is whatever the lab's hooks name; its instances are those that ever had one.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from tests.lab.aws import events
from tests.lab.endpoint.messages import AwsError
from tests.lab.state import Host

DESCRIBES = frozenset({"DescribeAutoScalingGroups", "DescribeLifecycleHooks"})
OPERATIONS = frozenset({"CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"}) | DESCRIBES
HEARTBEAT_TIMEOUT_S = 3600.0  # seconds between heartbeats, Auto Scaling's default
_NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
_KNOWN = frozenset(
    {
        *("Action", "Version", "AutoScalingGroupName", "LifecycleHookName", "LifecycleActionToken"),
        *("InstanceId", "LifecycleActionResult"),
    }
)
_NAME = re.compile(r"AutoScalingGroupNames\.member\.\d+\Z")
_STATES = {"launch": "Pending:Wait", "terminate": "Terminating:Wait"}
_TRANSITIONS = {
    "launch": "autoscaling:EC2_INSTANCE_LAUNCHING",
    "terminate": "autoscaling:EC2_INSTANCE_TERMINATING",
}


@dataclass
class LifecycleAction:
    """One lifecycle action; ``result`` is "" while it is open."""

    group: str
    hook: str
    transition: str
    instance: str
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    until: float = field(default_factory=lambda: time.time() + HEARTBEAT_TIMEOUT_S)
    beats: int = 0
    result: str = ""

    @property
    def open(self) -> bool:
        """Its group waits."""
        return not self.result and time.time() < self.until


@dataclass
class LifecycleActions:
    """All lifecycle actions of a lab; ``deliver`` sends an event."""

    deliver: Callable[[events.Event], Any]
    _hooks: list[LifecycleAction] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, host: Host, transition: str, group: str = "workers") -> LifecycleAction:
        """Begin an action and tell of it."""
        name = "swarm-join" if transition == "launch" else "swarm-leave"
        hook = LifecycleAction(group, name, transition, host.instance)
        with self._lock:
            self._hooks.append(hook)
        self.deliver(events.lifecycle_action(host, transition, (group, name, hook.token), time.time()))
        return hook

    def told(self, event: events.Event) -> LifecycleAction:
        """Begin the very action that an event tells of, and deliver that event."""
        detail = event["detail"]
        transition = detail["LifecycleTransition"].rpartition("_")[2]
        hook = LifecycleAction(
            detail["AutoScalingGroupName"],
            detail["LifecycleHookName"],
            {"LAUNCHING": "launch", "TERMINATING": "terminate"}[transition],
            detail["EC2InstanceId"],
            detail["LifecycleActionToken"],
        )
        with self._lock:
            self._hooks.append(hook)
        self.deliver(event)
        return hook

    def rows(self) -> list[dict[str, Any]]:
        """All actions, the oldest first."""
        with self._lock:
            return [asdict(hook) for hook in self._hooks]

    def groups(self) -> dict[str, str]:
        """Map each instance that ever had an action to its group."""
        with self._lock:
            return {hook.instance: hook.group for hook in self._hooks}

    def answer(self, operation: str, form: Mapping[str, str]) -> str:
        """Complete an action or keep it open, where there is exactly such an open one; or describe groups."""
        if operation in DESCRIBES:
            with self._lock:
                return self._groups(form) if operation == "DescribeAutoScalingGroups" else self._named(form)
        if unknown := sorted(set(form) - _KNOWN):
            raise AwsError("ValidationError", f"the lab's Auto Scaling does not know {unknown[0]!r}")
        with self._lock:
            hook = self._found(form)
            if operation == "CompleteLifecycleAction":
                hook.result = _result(form)
            else:
                hook.beats, hook.until = hook.beats + 1, time.time() + HEARTBEAT_TIMEOUT_S
        return _answer(operation)

    def _groups(self, form: Mapping[str, str]) -> str:
        """Describe the groups asked for by name, with the state of each instance."""
        if unknown := [key for key in form if not _NAME.match(key) and key not in ("Action", "Version")]:
            raise AwsError("ValidationError", f"the lab's Auto Scaling does not know {unknown[0]!r}")
        asked = {value for key, value in form.items() if _NAME.match(key)}
        rows = Element("AutoScalingGroups")
        for group in sorted(asked & {hook.group for hook in self._hooks}):
            member = _filled(rows, {"AutoScalingGroupName": group})
            instances = SubElement(member, "Instances")
            for hook in {one.instance: one for one in self._hooks if one.group == group}.values():
                state = _STATES[hook.transition] if hook.open else "InService"
                _filled(instances, {"InstanceId": hook.instance, "LifecycleState": state})
        return _answer("DescribeAutoScalingGroups", rows)

    def _named(self, form: Mapping[str, str]) -> str:
        """Describe the hooks of a group."""
        rows, group = Element("LifecycleHooks"), form.get("AutoScalingGroupName", "")
        found = {(one.hook, one.transition) for one in self._hooks if one.group == group}
        for name, transition in sorted(found):
            told = {"LifecycleHookName": name, "AutoScalingGroupName": group}
            _filled(rows, told | {"LifecycleTransition": _TRANSITIONS[transition]})
        return _answer("DescribeLifecycleHooks", rows)

    def _found(self, form: Mapping[str, str]) -> LifecycleAction:
        token, instance = form.get("LifecycleActionToken", ""), form.get("InstanceId", "")
        for name in ("AutoScalingGroupName", "LifecycleHookName"):
            if not form.get(name):
                raise AwsError("ValidationError", f"1 validation error detected: {name} must not be null")
        if not token and not instance:
            raise AwsError("ValidationError", "Either InstanceId or LifecycleActionToken must be provided")
        for hook in self._hooks:
            names = (hook.group, hook.hook) == (form["AutoScalingGroupName"], form["LifecycleHookName"])
            asked = hook.token in (token, hook.token if not token else "")
            meant = hook.instance in (instance, hook.instance if not instance else "")
            if names and asked and meant and hook.open:
                return hook
        what = f"token {token}" if token else f"instance ID {instance}"
        raise AwsError("ValidationError", f"No active Lifecycle Action found with {what}")


def _answer(operation: str, *rows: Element) -> str:
    answer = Element(f"{operation}Response", xmlns=_NAMESPACE)
    SubElement(answer, f"{operation}Result").extend(rows)
    SubElement(SubElement(answer, "ResponseMetadata"), "RequestId").text = str(uuid.uuid4())
    return tostring(answer, encoding="unicode")


def _filled(rows: Element, fields: Mapping[str, str]) -> Element:
    """One more member of a list."""
    member = SubElement(rows, "member")
    for name, value in fields.items():
        SubElement(member, name).text = value
    return member


def _result(form: Mapping[str, str]) -> str:
    result = form.get("LifecycleActionResult", "")
    if result not in ("CONTINUE", "ABANDON"):
        raise AwsError("ValidationError", f"LifecycleActionResult is CONTINUE or ABANDON, not {result!r}")
    return result
