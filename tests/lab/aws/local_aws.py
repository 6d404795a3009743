"""Start and stop a lab's AWS: ministack, and before it the endpoint that everybody of the lab speaks to."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

from tests.lab import state
from tests.lab.aws import deploy, events, host_roles, join_tokens
from tests.lab.aws.account import session
from tests.lab.machines import processes, programs
from tests.lab.machines.machine import AWS_PORT
from tests.lab.state import Lab, LabError

RETRY_PAUSE_S = 60  # Lambda's pause before it retries an asynchronous event; a shorter one would hide faults
_START_TIMEOUT_S = 90  # generous: on a busy machine the first import of ministack alone takes many


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


def ministack() -> list[str]:
    """Build the command that starts ministack in its own environment; LabError where that is missing."""
    place = Path(os.environ.get("SWARMKEEPER_MINISTACK", programs.PROJECT / ".venv-ministack/bin/ministack"))
    if not place.exists():
        raise LabError(f"{place} is missing; run: make install")
    python = place.with_name("python")
    # It runs handlers with its own interpreter, whatever runtime they were deployed for.
    version, ours = _version(python), "{}.{}".format(*sys.version_info)
    if version != ours:
        raise LabError(
            f"{python} is Python {version}, but the handlers are deployed for {ours}; run: make clean install"
        )
    # -P: what lies beside the file is the lab's own, not ministack's to import.
    return [str(python), "-P", str(Path(__file__).with_name("ministack_start.py"))]


def _version(python: Path) -> str:
    ask = "import sys; print('{}.{}'.format(*sys.version_info))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False).stdout.strip()


def _ministack_environment(port: int, directory: Path) -> dict[str, str]:
    """Clean, because handlers inherit it: nothing of the caller's may change what they do."""
    return {
        "PATH": programs.PATH,
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        # A Lambda function cannot write beside its code either. It would take half of a cold start here.
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(directory),
        "STATE_DIR": str(directory / "state"),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "AUTH": "true",
        "MINISTACK_ACCOUNT_ID": events.ACCOUNT,
        "MINISTACK_REGION": events.REGION,
        "LAMBDA_ACCOUNT_CONCURRENCY": "1000",  # AWS's usual quota; its own goes by this machine's memory
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": str(RETRY_PAUSE_S),
        "LAMBDA_ASYNC_RETRY_MAX_SECONDS": "300",
    }


def _await(url: str, lab: Lab, key: str) -> None:
    pid, until = state.load(lab.name).processes[key], time.monotonic() + _START_TIMEOUT_S
    while (runs := programs.is_ours(lab.name, pid)) and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    log = lab.directory / f"{key}.log"
    lines = log.read_text(errors="replace").splitlines()
    problem = f"does not answer within {_START_TIMEOUT_S} s" if runs else "ended at its start"
    raise LabError(f"{key} {problem}: {lines[-1] if lines else 'it says nothing'} (see {log})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
