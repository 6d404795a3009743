"""Runs the real agent inside a host of the lab, as Run Command would, and can kill it at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bootstrap import publish
from chalicelib.protocol.codec import decode_result, encode_arguments
from chalicelib.protocol.messages import AgentTask, Arguments, Result, Target
from tests.lab.machines import machine
from tests.lab.state import Host, Lab

PLACE = "/opt/agent"  # unpacked, as the hosts of a deployed app run it
ARCHIVE = "/opt/agent.pyz"
NOTICE_S = 120.0


@dataclass(frozen=True)
class Said:
    """What an agent answered: its result, what it told on the way, its exit status."""

    result: Result
    told: str
    status: int

    def updates(self, service: str) -> int:
        """How many updates of a service it made, lost races not counted."""
        made = self.told.count(f"update service {service} (")
        return made - self.told.count(f"could not update service {service} (") * 2


class Agent:
    """One run of the agent on a host."""

    def __init__(
        self,
        host: Host,
        task: AgentTask,
        *about: Host,
        notice: float = NOTICE_S,
        ahead: float = 0.0,
        **arguments: Any,
    ) -> None:
        """Start it; ``ahead``: seconds by which its host's clock is before that of who sends it."""
        targets = tuple(Target(other.instance, other.address) for other in about)
        sent = time.time() - ahead
        given = Arguments(targets, sent + notice, sent=sent)
        arguments_json = encode_arguments(replace(given, **arguments))
        words = [*machine.enter(host), "python3", PLACE, task.value, arguments_json]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    def wait(self, timeout: float = 150) -> Said:
        """Wait for its answer."""
        out, told = self._process.communicate(timeout=timeout)
        return Said(decode_result(out), told, self._process.returncode)

    def kill(self) -> None:
        """End it at once, wherever it is."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def install(lab: Lab, zipapp: Path, *hosts: Host) -> None:
    """Build the agent once and put it onto these hosts, or onto every manager."""
    if not zipapp.exists():
        zipapp.write_bytes(publish.build())
    for host in hosts or [host for host in lab.hosts if host.role == "manager"]:
        Path(f"/proc/{host.pid}/root{ARCHIVE}").write_bytes(zipapp.read_bytes())
        zipfile.ZipFile(zipapp).extractall(f"/proc/{host.pid}/root{PLACE}")
