"""One host is a machine with processes, files, network and engine of its own: boot, enter, cut its power."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from tests.lab.machines import bare_root, cgroups, engines, locks, network, programs
from tests.lab.machines.processes import start_time
from tests.lab.state import ROOT, Host, Lab, LabError
from tests.lab.swarm import engine

AWS_PORT = 4566  # at the lab's own gateway address, so that every lab can have it
SCRIPT = Path(__file__).with_name("machine.sh")
LABEL = "swarmkeeper.instance"
BOOT_TIMEOUT_S = 180
# Mounted afresh in every host, or nothing that a host could need.
PRIVATE = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/lib/docker", str(ROOT))  # noqa: S108
REAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "squashfs"})


@contextmanager
def alone(lab: Lab, host: Host) -> Iterator[None]:
    """Be the only one who starts or ends the host, by its lab's commands; wait for who is at it."""
    folder = lab.directory / "busy"
    folder.mkdir(exist_ok=True)
    with locks.held(folder / host.instance):
        yield


def boot(lab: Lab, host: Host) -> Host:
    """Switch the host on and wait for its engine, if it has one; answers it with process 1, running.

    One that was switched off before has the disks that it had.
    """
    network.plug_in(lab, host)
    directory = _home(lab, host)
    if not directory.exists():
        part = directory.with_suffix(".part")  # what a failed step has left of it is no host
        shutil.rmtree(part, ignore_errors=True)
        _furnish(lab, host, part)
        part.rename(directory)
    space = f"--net=/run/netns/{network.namespace(lab, host)}"
    apart = ["unshare", "--uts", "--ipc", "--mount", "--pid", "--fork", "--"]
    argv = [
        "nsenter",
        space,
        *apart,
        "sh",
        str(SCRIPT),
        str(directory),
        host.name,
        str(ROOT),
        *_layers(lab),
    ]
    clean = {"PATH": programs.PATH, "HOME": "/root", "LANG": "C.UTF-8"}
    starter = programs.spawn(lab.name, argv, directory / "boot.log", clean)
    return _wait_until_up(host, directory, starter, engine.answers if not lab.bare_root else _has_booted)


def power_cut(lab: Lab, host: Host) -> Host:
    """End the host at once, with all that runs on it, and leave nothing of it; answers it without power."""
    off = switch_off(lab, host)
    shutil.rmtree(_home(lab, host), ignore_errors=True)
    return off


def switch_off(lab: Lab, host: Host) -> Host:
    """End the host at once, with all that runs on it; its disks stay. Answers it without power."""
    for pid in {host.pid, _booted(_home(lab, host))}:
        _kill(lab, pid)
    cgroups.clear(lab, host)
    network.unplug(lab, host)
    (_home(lab, host) / "pid").unlink(missing_ok=True)
    return replace(host, pid=0)


def has_power(lab: Lab, host: Host) -> bool:
    """Whether the host's process 1 lives."""
    return programs.is_ours(lab.name, host.pid)


def enter(host: Host) -> list[str]:
    """Build the words before a command that run it inside the host, in an environment of its own."""
    clean = ["env", "-i", f"PATH={programs.PATH}", "HOME=/root", "LANG=C.UTF-8"]
    return ["nsenter", "-t", str(host.pid), "-m", "-u", "-i", "-n", "-p", "--", *clean]


def restart_engine(host: Host) -> None:
    """End the host's engine the orderly way; machine.sh starts it again."""
    before = _engine(host)

    def back() -> bool:
        return _engine(host) not in ("", before) and engine.answers(host)

    signal_engine(host, "TERM")
    engine.wait_until(back, f"the engine of {host.name} is back")


def signal_engine(host: Host, name: str) -> None:
    """Signal the host's engine alone: STOP, and it takes connections but answers nobody until CONT."""
    programs.run([*enter(host), "sh", "-c", f"kill -{name} $(cat /var/run/docker.pid)"])


def engine_settings(lab: Lab, host: Host) -> dict[str, object]:
    """Build the host's daemon.json. The instance label is the product's work where that makes the node."""
    bare = lab.unjoined or lab.endpoint
    return {
        **({} if bare else {"labels": [f"{LABEL}={host.instance}"]}),
        "insecure-registries": [f"{lab.gateway}:5000"],
        "storage-driver": "overlay2",
        "cgroup-parent": cgroups.parent(lab, host),
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "log-driver": "json-file",
        "log-opts": {"max-size": "5m", "max-file": "2"},
        "shutdown-timeout": 5,
    }


def _engine(host: Host) -> str:
    """Read the engine's process id as its host counts; "" while none runs."""
    try:
        return Path(f"/proc/{host.pid}/root/run/docker.pid").read_text().strip()
    except OSError:
        return ""


def _home(lab: Lab, host: Host) -> Path:
    return lab.directory / "hosts" / host.name


def _furnish(lab: Lab, host: Host, directory: Path) -> None:
    """Fill the host's directory: in its upper layer the files that make it another machine than ours."""
    for name in ("root", "docker", "upper0/etc/docker", "upper0/etc/swarmkeeper"):
        (directory / name).mkdir(parents=True)
    if lab.bare_root:
        bare_root.furnish(host, directory / "upper0/etc")
    else:
        engines.furnish(engines.prepare(lab.engine), directory / "upper0")
    etc = directory / "upper0/etc"
    (etc / "hostname").write_text(f"{host.name}\n")
    (etc / "machine-id").write_text(f"{hashlib.sha256(host.instance.encode()).hexdigest()[:32]}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{host.address} {host.name}\n")
    # The lab's own name server (names.py); were it down, a look-up would fail after 1 s instead of 20.
    (etc / "resolv.conf").write_text(f"nameserver {lab.gateway}\noptions timeout:1 attempts:1\n")
    (etc / "swarmkeeper/environment").write_text(f"AWS_ENDPOINT_URL_SSM=http://{lab.gateway}:{AWS_PORT}\n")
    (etc / "docker/daemon.json").write_text(json.dumps(engine_settings(lab, host), indent=1))


def _layers(lab: Lab) -> list[str]:
    """Name the lower layer of a host's root, and the file systems to show: of bare hosts there is but one."""
    return [str(bare_root.prepare() / "root"), "/"] if lab.bare_root else ["/", *_file_systems()]


def _file_systems() -> list[str]:
    """List the machine's real file systems by mount point, outer ones first."""
    points = ["/"]
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split()
        if kind in REAL and point not in points and Path(point).is_dir() and not _private(point):
            points.append(point)
    return points


def _private(point: str) -> bool:
    return any(point == top or point.startswith(f"{top}/") for top in PRIVATE)


def _has_booted(host: Host) -> bool:
    return Path(f"/proc/{host.pid}/root/run/lab-booted").exists()


def _wait_until_up(host: Host, directory: Path, starter: int, is_up: Callable[[Host], bool]) -> Host:
    until = time.monotonic() + BOOT_TIMEOUT_S
    while time.monotonic() < until:
        booted = replace(host, pid=_booted(directory), state="running")
        if booted.pid and is_up(booted):
            return booted
        if not start_time(starter):
            break
        time.sleep(0.05)
    raise LabError(f"host {host.name} does not come up: {_last_words(directory)}")


def _booted(directory: Path) -> int:
    try:
        return int((directory / "pid").read_text() or 0)
    except FileNotFoundError:
        return 0


def _last_words(directory: Path) -> str:
    logs = [directory / "upper0/var/log/docker.log", directory / "boot.log"]
    lines = [line for log in logs if log.exists() for line in log.read_text().splitlines()[-2:]]
    return " | ".join(lines) or "its engine says nothing"


def _kill(lab: Lab, pid: int) -> None:
    """Kill a host's process 1: the kernel ends all of its process namespace with it, containers too."""
    if not programs.is_ours(lab.name, pid):
        return
    with suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.01)
