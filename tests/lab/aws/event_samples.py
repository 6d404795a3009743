"""The genuine payloads of AWS's events, for a host of the lab and for now; and what handlers said to them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.lab.aws import lab_api
from tests.lab.aws.deploy import STAGE
from tests.lab.aws.events import Event, stamp
from tests.lab.observe import handlers
from tests.lab.state import Host, Lab
from tests.lab.swarm import engine

SAMPLES = Path(__file__).parents[2] / "samples"
NOTHING: Mapping[str, Any] = MappingProxyType({})
STRANGER = "i-0123456789abcdef0"  # the instance of the samples, which is none of a lab's
DRILL = "swarmkeeper.drill"


def genuine_event(
    payload: str, host: Host | None = None, detail: Mapping[str, Any] = NOTHING, *, ago: float = 0.0
) -> Event:
    """Make a genuine event of ``ago`` seconds before now; without a host, its instance is a stranger.

    ``detail`` replaces fields of the event's detail.
    """
    text = (SAMPLES / f"{payload}.json").read_text()
    event: Event = json.loads(text.replace(STRANGER, host.instance) if host else text)
    return event | {"time": stamp(time.time() - ago), "detail": event["detail"] | dict(detail)}


def drill_event(payload: str, host: Host, detail: Mapping[str, Any] = NOTHING) -> Event:
    """Make a genuine event as a drill puts it onto the bus."""
    return genuine_event(payload, host, detail) | {"source": DRILL, "resources": []}


def deliver(lab: Lab, event: Event) -> list[str]:
    """Deliver it as EventBridge would; answers the handlers whose rules took it, by their names in app.py."""
    return [function.removeprefix(f"swarmkeeper-{STAGE}-") for function in lab_api.deliver(lab, event)]


def open_lifecycle_action(lab: Lab, event: Event) -> None:
    """Let Auto Scaling hold an instance with the lifecycle action of this event, which is delivered."""
    lab_api.ask(lab, "POST", "/_lab/hooks", {"event": event})


def lifecycle_actions(lab: Lab, host: Host) -> dict[str, tuple[str, int]]:
    """Map each lifecycle transition of a host to how it was completed ("" is open) and its heartbeats."""
    rows = [row for row in lab_api.ask(lab, "GET", "/_lab/hooks") if row["instance"] == host.instance]
    return {row["transition"]: (row["result"], row["beats"]) for row in rows}


def reasons(lab: Lab, function: str, instance: str = "") -> list[str]:
    """Why a handler did what it did, of one instance or whatever else its event was about, oldest first."""
    runs = handlers.runs(lab, functions=[f"swarmkeeper-{STAGE}-{function}"])
    rows = [_row(line.text) for run in runs for line in run.lines]
    return [row["message"] for row in rows if "actions" in row and row.get("instance", "") == instance]


def wait_for_reason(lab: Lab, function: str, reason: str, instance: str = "") -> str:
    """Wait until a handler has given a reason that begins like this (a pattern); answers it in full."""

    def said() -> str:
        return next((text for text in reasons(lab, function, instance) if re.match(reason, text)), "")

    return engine.wait_until(said, f"{function} says of {instance or 'its event'}: {reason}", pause=0.5)


def _row(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}
