"""Finds out who is at the other end of a connection: a handler's process, a host, or somebody of the lab."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab import state
from tests.lab.aws import host_roles
from tests.lab.machines import processes


@dataclass(frozen=True)
class Caller:
    """``name`` is the function's, the host's, or "lab"; ``worker`` is the handler's process id, else 0.

    ``role`` is the IAM role of a host.
    """

    name: str
    worker: int = 0
    role: str = ""

    @property
    def memory(self) -> int:
        """The handler's peak memory so far, in KiB."""
        return processes.peak_memory(self.worker) if self.worker else 0


def caller(lab: state.Lab, peer: tuple[str, int], own: tuple[str, int]) -> Caller:
    """Who opened the connection from ``peer`` to the endpoint's ``own`` address."""
    if host := next((host for host in lab.hosts if host.address == peer[0]), None):
        return Caller(host.name, role=host_roles.role_of(lab, host))
    inode = _inode(peer, own)
    for pid in processes.children(lab.processes.get("ministack", 0)) if inode else ():
        if _holds(pid, inode):
            return Caller(processes.environment(pid).get("AWS_LAMBDA_FUNCTION_NAME", "lambda"), pid)
    return Caller("lab")


def _inode(peer: tuple[str, int], own: tuple[str, int]) -> str:
    ends = [_hex(peer), _hex(own)]
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if fields[1:3] == ends:
            return fields[9]
    return ""


def _hex(end: tuple[str, int]) -> str:
    octets = [int(octet) for octet in end[0].split(".")]
    return "".join(f"{octet:02X}" for octet in reversed(octets)) + f":{end[1]:04X}"


def _holds(pid: int, inode: str) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if str(entry.readlink()) == f"socket:[{inode}]":
                    return True
    return False
