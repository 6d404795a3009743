"""A lab's AWS: ministack, and before it the endpoint that everybody of the lab speaks to."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.lab import state
from tests.lab.aws import deploy, events, host_roles, join_tokens
from tests.lab.aws.account import Session, session
from tests.lab.machines import processes, programs
from tests.lab.machines.machine import AWS_PORT
from tests.lab.state import Host, Lab, LabError

RETRY_SECONDS = 60  # Lambda's pause before it retries an asynchronous event; a shorter one would hide faults
SPOT_NOTICE = 120.0  # what EC2 gives, as a best effort
_START_SECONDS = 90  # generous: on a busy machine the first import of ministack alone takes many


def start(lab: Lab) -> Lab:
    """Start ministack and the endpoint, make the hosts' roles, deploy the app; answers the lab with all."""
    lab = start_services(lab)
    host_roles.create(session(lab).client("iam"), lab.cluster)
    if not lab.unjoined:
        join_tokens.store(lab, session(lab).client("ssm"))
    deploy.deploy(lab)
    return state.load(lab.name)


def start_services(lab: Lab) -> Lab:
    """Start ministack and the endpoint and wait until both answer, without deploying anything."""
    port = _free_port()
    directory = lab.directory / "ministack"
    directory.mkdir(exist_ok=True)
    programs.start(lab, "ministack", ministack(), _ministack_environment(port, directory))
    _await(f"http://127.0.0.1:{port}/_ministack/health", lab, "ministack")
    serve = [sys.executable, "-m", "tests.lab.endpoint", "--name", lab.name, "--ministack", str(port)]
    programs.start(lab, "endpoint", [*serve, "--port", str(AWS_PORT)])
    endpoint = f"http://{lab.gateway}:{AWS_PORT}"
    _await(f"{endpoint}/_lab/health", lab, "endpoint")
    return state.change(lab.name, lambda now: replace(now, endpoint=endpoint))


def stop(lab: Lab) -> None:
    """End the endpoint, ministack and the handlers' processes; nothing where none runs."""
    workers = processes.children(lab.processes.get("ministack", 0))
    programs.stop(lab, "endpoint")
    programs.stop(lab, "ministack")
    programs.end(lab.name, workers)
    shutil.rmtree(lab.directory / "ministack", ignore_errors=True)
    state.change(lab.name, lambda now: replace(now, endpoint=""))


def instance_changed(lab: Lab, host: Host, now: str) -> list[str]:
    """Deliver EC2's notice that the host entered a state; answers the functions that it went to."""
    return deliver(lab, events.instance_state(host, now, time.time()))


def fleet_changed(lab: Lab, host: Host, change: str) -> list[str]:
    """Deliver an EC2 Fleet's notice that it launched or terminated the host."""
    return deliver(lab, events.fleet_instance(host, change, time.time()))


def warn(lab: Lab, host: Host, notice: float = SPOT_NOTICE) -> list[str]:
    """Deliver EC2's warning that it takes the host in so many seconds; answers the functions that it went to.

    A product counts 120 s from the event's own ``time``, so a shorter notice is a warning that comes late.
    """
    return deliver(lab, events.interruption_warning(host, time.time() - (SPOT_NOTICE - notice)))


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


def ministack() -> list[str]:
    """Build the command that starts ministack in its own environment; LabError where that is missing."""
    place = Path(os.environ.get("SWARMKEEPER_MINISTACK", programs.PROJECT / ".venv-ministack/bin/ministack"))
    if not place.exists():
        raise LabError(f"{place} is missing; run: make install")
    # -P: what lies beside the file is the lab's own, not ministack's to import.
    return [str(place.with_name("python")), "-P", str(Path(__file__).with_name("ministack_start.py"))]


def _ministack_environment(port: int, directory: Path) -> dict[str, str]:
    """Clean, because handlers inherit it: nothing of the caller's may change what they do."""
    return {
        "PATH": programs.PATH,
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "TMPDIR": str(directory),
        "STATE_DIR": str(directory / "state"),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "AUTH": "true",
        "MINISTACK_ACCOUNT_ID": events.ACCOUNT,
        "MINISTACK_REGION": events.REGION,
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": str(RETRY_SECONDS),
        "LAMBDA_ASYNC_RETRY_MAX_SECONDS": "300",
    }


def _await(url: str, lab: Lab, key: str) -> None:
    pid, until = state.load(lab.name).processes[key], time.monotonic() + _START_SECONDS
    while (runs := programs.is_ours(lab.name, pid)) and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    log = lab.directory / f"{key}.log"
    lines = log.read_text(errors="replace").splitlines()
    problem = f"does not answer within {_START_SECONDS} s" if runs else "ended at its start"
    raise LabError(f"{key} {problem}: {lines[-1] if lines else 'it says nothing'} (see {log})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
