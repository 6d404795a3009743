"""The control groups of a lab's containers: found, emptied and removed, on cgroup v1 and v2 alike."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.lab.state import Host, Lab, LabError


def parent(lab: Lab, host: Host | None = None) -> str:
    """Name the group under which a host's engine keeps its containers, or that of the whole lab."""
    return f"/skl{lab.slot}/{host.name}" if host else f"/skl{lab.slot}"


def clear(lab: Lab, host: Host | None = None) -> None:
    """Kill what still runs in the groups and remove them; LabError where they do not go within 30 s."""
    until = time.monotonic() + 30
    while left := [top for top in tops(parent(lab, host)) if not _removed(top)]:
        if time.monotonic() > until:
            raise LabError(f"control groups do not go away: {', '.join(map(str, left))}")
        time.sleep(0.02)


def tops(group: str) -> Iterator[Path]:
    """Find the group in every mounted hierarchy that has it (v1 has one per controller)."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and (top := Path(point + group)).is_dir():
            yield top


def _removed(top: Path) -> bool:
    """Try once: kill the processes, then remove the directories, deepest first."""
    groups = [Path(path) for path, _, _ in os.walk(top, topdown=False)]
    for group in groups:
        _kill(group)
    left = [group for group in groups if not _rmdir(group)]
    return not left


def _kill(group: Path) -> None:
    try:
        pids = (group / "cgroup.procs").read_text().split()
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError, OSError):
        return  # gone in the meantime; what is left is seen at the next try


def _rmdir(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # busy: its last processes are just ending
        return False
    return True
