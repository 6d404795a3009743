"""Reads what a machine is, and changes nothing; the one module with effects below a preflight."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shlex
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

from bootstrap.clock import Clock
from bootstrap.engine.client import Engine
from bootstrap.errors import AgentError
from bootstrap.machine.facts import MachineFacts, PackageFacts, RunningEngine, System
from bootstrap.machine.packages import find_manager
from bootstrap.machine.programs import Run, run_program
from bootstrap.machine.sources import source_file
from chalicelib.protocol.description import PackageSource

SOURCE_TIMEOUT_S = 5.0
DOCKER_PLACE = "var/lib/docker"
NOT_SYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
TIMEX_BYTES = 512  # more than struct timex has on any machine
LISTENS, UNCONNECTED = "0A", "07"  # states of /proc/net/tcp and udp


def read_machine(
    engine: Engine, source: PackageSource, run: Run = run_program, root: Path = Path("/")
) -> MachineFacts:
    """Read all that a preflight judges; what cannot be told is left empty."""
    system, kernel = read_system(root), platform.release()
    manager = find_manager(run, Clock(), root)
    try:
        packages = manager.read() if manager else PackageFacts()
    except AgentError as error:
        packages = PackageFacts(manager.name if manager else "", trouble=str(error))
    address, trouble = _reach(source, system, packages.manager)
    return MachineFacts(
        system=system,
        kernel=kernel,
        has_overlay=_has_overlay(run, root),
        cgroup=_cgroup(root),
        disk_free=_disk_free(root),
        memory=_memory(root),
        is_clock_synchronised=_is_clock_synchronised(),
        listening=_listening(root),
        python=(sys.version_info.major, sys.version_info.minor),
        packages=packages,
        engine=read_engine(engine),
        source=address,
        source_trouble=trouble,
        is_root=os.geteuid() == 0,
        has_machine_id=bool(_text(root / "etc/machine-id").strip()),
        has_modules=(root / "lib/modules").is_dir(),
    )


def read_system(root: Path = Path("/")) -> System:
    """Read which operating system this is."""
    rows = dict(row.partition("=")[::2] for row in _text(root / "etc/os-release").splitlines() if "=" in row)
    said = {name: "".join(shlex.split(value)[:1]) for name, value in rows.items()}
    return System(
        id=said.get("ID", ""),
        version=said.get("VERSION_ID", ""),
        codename=said.get("UBUNTU_CODENAME") or said.get("VERSION_CODENAME", ""),  # Mint has one of its own
        name=said.get("PRETTY_NAME", said.get("ID", "")),
        like=tuple(said.get("ID_LIKE", "").split()),
        architecture=platform.machine(),
    )


def read_engine(engine: Engine) -> RunningEngine | None:
    """Ask the engine what it is; None where none answers."""
    try:
        info = engine.info()
    except AgentError:
        return None
    return RunningEngine(
        version=str(info.get("ServerVersion", "")),
        storage_driver=str(info.get("Driver", "")),
        swarm=str((info.get("Swarm") or {}).get("LocalNodeState", "inactive")),
        containers=int(info.get("ContainersRunning") or 0),
        kept=int(info.get("Containers") or 0) + int(info.get("Images") or 0),
        live_restore=bool(info.get("LiveRestoreEnabled")),
    )


def _text(path: Path) -> str:
    """Read a file; "" where it is not there or may not be read."""
    with suppress(OSError):
        return path.read_text(errors="replace")
    return ""


def _has_overlay(run: Run, root: Path) -> bool:
    if re.search(r"\boverlay$", _text(root / "proc/filesystems"), re.MULTILINE):
        return True
    return run(("modinfo", "-n", "overlay")).status == 0  # it is loaded when it is first used


def _cgroup(root: Path) -> int:
    place = root / "sys/fs/cgroup"
    if (place / "cgroup.controllers").exists():
        return 2
    return 1 if (place / "cpu").is_dir() or (place / "memory").is_dir() else 0


def _disk_free(root: Path) -> int:
    place = root / DOCKER_PLACE
    while not place.exists():
        place = place.parent
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def _memory(root: Path) -> int:
    found = re.search(r"^MemTotal:\s+([0-9]+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _is_clock_synchronised() -> bool | None:
    """Ask the kernel, whoever synchronises it: chrony, timesyncd, ntpd."""
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != NOT_SYNCHRONISED


def _listening(root: Path) -> frozenset[tuple[str, int]]:
    found = set()
    for name, state in (("tcp", LISTENS), ("tcp6", LISTENS), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)):
        for row in _text(root / "proc/net" / name).splitlines()[1:]:
            _, local, _, status, *_ = row.split()
            if status == state:
                found.add((name[:3], int(local.rpartition(":")[2], 16)))
    return frozenset(found)


def _reach(source: PackageSource, system: System, manager: str) -> tuple[str, str]:
    """Answer the source's address and why it is not reached; the host's own sources are not tried."""
    try:
        url = source_file(source, system, manager, "").url
    except AgentError as error:
        return "", str(error)
    if not url:
        return "", ""
    try:
        with urllib.request.urlopen(url, timeout=SOURCE_TIMEOUT_S) as answer:  # noqa: S310 - a description's own
            answer.read(1)
    except (TimeoutError, OSError, ValueError) as error:
        return url, str(error)
    return url, ""
