"""Find what forbids to start more tasks of a service, or some of them anew; pure.

| the service                                                 | may not be                                  |
| ----------------------------------------------------------- | ------------------------------------------- |
| restart condition none, on-failure or with a limit, and one | updated: Swarm runs again what had ended    |
| of its tasks has ended for good                             | (measured; a plain drain does not)          |
| restart condition none                                      | scaled up: that does its work once more     |
| {{.Task.Slot}} in its hostname, environment or mounts       | scaled up: its slots are numbers to build on |
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from bootstrap.engine.service import Service
from bootstrap.engine.task import ENDED, Task

SLOT = re.compile(r"\{\{[^{}]*\.Task\.Slot\b")
TEMPLATED = ("Hostname", "Env", "Mounts")  # the fields in which Swarm fills templates in


def why_ended(service: Service, tasks: Collection[Task]) -> str:
    """Say why an update of the service would do work again that has ended; "" where none has."""
    policy = service.template.get("RestartPolicy") or {}
    condition, most = policy.get("Condition") or "any", policy.get("MaxAttempts") or 0
    ended = [slot[-1] for slot in _slots(tasks) if all(task.state in ENDED for task in slot)]
    if condition == "none" and ended:
        return "its restart condition is none and some of its tasks have ended: a move would run them again"
    if condition == "on-failure" and any(task.state == "complete" for task in ended):
        return "some of its tasks are complete (restart condition on-failure): a move would run them again"
    if most and ended:
        return f"some of its tasks have ended after {most} attempts: a move would run them again"
    return ""


def why_one_for_one(service: Service) -> str:
    """Say why it must not have more slots for a while; "" where it may."""
    container = service.template.get("ContainerSpec") or {}
    if SLOT.search(json.dumps([container.get(name) for name in TEMPLATED])):
        return "its slots are named in its spec ({{.Task.Slot}})"
    if (service.template.get("RestartPolicy") or {}).get("Condition") == "none":
        return "its restart condition is none"
    return ""


def _slots(tasks: Collection[Task]) -> list[list[Task]]:
    """Group tasks by slot, the newest last in each; those that a scale-down removed do not count."""
    slots: dict[int, list[Task]] = {}
    for task in sorted(tasks, key=lambda task: task.created):
        if task.desired != "remove":
            slots.setdefault(task.slot, []).append(task)
    return list(slots.values())
