"""A dry run: the executor that only says what the other one (effects.py) would do."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalicelib.actions import Register, ReplaceJob, ReplaceRecord, Send

if TYPE_CHECKING:
    from chalicelib.actions import Action, Plan


def describe_plan(plan: Plan) -> dict[str, Any]:
    """Describe a plan for people."""
    return {
        "dry_run": True,
        "reason": plan.reason,
        "plan": [_describe_action(action) for action in plan.actions],
    }


def _describe_action(action: Action) -> dict[str, Any]:
    name = {"action": type(action).__name__}
    match action:
        case ReplaceRecord(before, after):
            return name | {
                "instance": after.instance,
                "from": before.state.value,
                "to": after.state.value,
                "because": after.reason,
            }
        case ReplaceJob(_, after):
            return name | {"task": after.task.value, "to": after.stage.value, "because": after.reason}
        case Send(job):
            return name | {"task": job.task.value, "arguments": json.loads(job.arguments)}
        case Register(nodes):
            return name | {"instances": [node.instance for node in nodes]}
        case _:
            return name | asdict(action)
