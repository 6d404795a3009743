"""Ask the lab's endpoint for what is the lab's own: events to deliver, commands, faults."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any

from tests.lab.aws import events
from tests.lab.aws.account import Session, session
from tests.lab.state import Host, Lab, LabError

SPOT_NOTICE_S = 120.0  # what EC2 gives, as a best effort


def instance_changed(lab: Lab, host: Host, now: str) -> list[str]:
    """Deliver EC2's notice that the host entered a state; answers the functions that it went to."""
    return deliver(lab, events.instance_state(host, now, time.time()))


def fleet_changed(lab: Lab, host: Host, change: str) -> list[str]:
    """Deliver an EC2 Fleet's notice that it launched or terminated the host."""
    return deliver(lab, events.fleet_instance(host, change, time.time()))


def warn(lab: Lab, host: Host, notice: float = SPOT_NOTICE_S) -> list[str]:
    """Deliver EC2's warning that it takes the host in so many seconds; answers the functions that it went to.

    A product counts 120 s from the event's own ``time``, so a shorter notice is a warning that comes late.
    """
    return deliver(lab, events.interruption_warning(host, time.time() - (SPOT_NOTICE_S - notice)))


def deliver(lab: Lab, event: events.Event) -> list[str]:
    """Deliver an event as EventBridge would; answers the functions that it went to, LabError if malformed."""
    functions: list[str] = ask(lab, "POST", "/_lab/events", events.check(event))["functions"]
    return functions


def commands(lab: Lab, task: str = "") -> list[dict[str, Any]]:
    """List the commands for a task of the agent, by default for any: a row for each host, oldest first."""
    found: list[dict[str, Any]] = ask(lab, "GET", "/_lab/commands")
    return [row for row in found if str(row["order"]["comment"]).startswith(task and f"{task} ")]


def connect(lab: Lab) -> Session:
    """Clients for the lab's AWS; LabError where it has none or it does not answer."""
    ask(lab, "GET", "/_lab/health")
    return session(lab)


def ask(lab: Lab, method: str, path: str, message: Any = None) -> Any:
    """Ask the endpoint for something of the lab's own; LabError with its words where it refuses."""
    session(lab)  # the same clear error where the lab has no AWS
    body = None if message is None else json.dumps(message).encode()
    request = urllib.request.Request(f"{lab.endpoint}{path}", body, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise LabError(_refusal(error)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LabError(f"the endpoint of lab {lab.name!r} does not answer: {error!r}") from None


def _refusal(error: urllib.error.HTTPError) -> str:
    """Read the endpoint's own words, or what came in their place."""
    try:
        text = error.read().decode(errors="replace")
        return str(json.loads(text)["error"])
    except (OSError, http.client.HTTPException):
        return f"the endpoint answers {error.code} and breaks off"
    except (ValueError, LookupError, TypeError):
        return f"the endpoint answers {error.code}: {text.strip()[:200]}"
