"""Looks at this machine's processes; tells one from a later one that was given the same number."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARK = "SWARMKEEPER_LAB"  # every process that a lab starts carries the lab's name in this variable


@dataclass(frozen=True)
class Process:
    """One process; ``started`` tells it from a later one that was given the same number."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return start_time(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        """Signal this very process; nothing where it has ended."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start_time(pid: int) -> int:
    """When a process began, in clock ticks since boot; 0 where there is none or only its corpse."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else 0


def children(pid: int) -> list[int]:
    """List the processes that this one started and that still run."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, task.read_text().split())
    return found


def find_named(word: str, host: int) -> list[Process]:
    """Find the processes inside a host, given by its process 1, with a word in their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            inside = (path / "ns/pid").readlink() == Path(f"/proc/{host}/ns/pid").readlink()
            if inside and word in (path / "cmdline").read_bytes().decode(errors="replace"):
                found.append(Process(int(path.name), start_time(int(path.name))))
    return found


def environment(pid: int) -> dict[str, str]:
    """Read the environment a process was started with; empty where it has ended."""
    try:
        rows = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    return dict(row.split("=", 1) for row in rows if "=" in row)


def peak_memory(pid: int) -> int:
    """Read the most memory (KiB, resident) a process has used so far; 0 where it has ended."""
    try:
        rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(row.split()[1]) for row in rows if row.startswith("VmHWM:")), 0)


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()
