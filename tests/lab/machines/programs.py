"""Starts a lab's programs, recognises them and ends them.

Every program carries the lab's name in its environment, so a process id that the kernel has given to somebody
else is never taken for ours, and a program that no state file knows any more is still found.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.lab.machines.processes import MARK, Process, environment, start_time
from tests.lab.state import Lab, LabError, change, load

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROJECT = Path(__file__).parents[3]


def lab_command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the lab, as a person types it."""
    argv = [sys.executable, "-m", "tests.lab", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=PROJECT, timeout=60)


def run(argv: Sequence[str], timeout_s: float = 60, directory: Path | None = None) -> str:
    """Run a program; answers its stdout, LabError with its stderr where it fails."""
    try:
        done = subprocess.run(
            argv, cwd=directory, capture_output=True, text=True, check=False, timeout=timeout_s
        )
    except FileNotFoundError:
        raise LabError(f"the program {argv[0]!r} is missing") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"`{' '.join(argv)}` does not end within {timeout_s:g} s") from None
    if done.returncode:
        raise LabError(f"`{' '.join(argv)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def spawn(lab: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> int:
    """Start a program that outlives this one, marked as the lab's; answers its process id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            argv,
            env={**(os.environ if env is None else env), MARK: lab},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=PROJECT,
            start_new_session=True,
        )
    _wait_marked(lab, process)
    return process.pid


def start(lab: Lab, key: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> Lab:
    """Start a program, its output in <key>.log, and record it in the lab's state under that key."""
    pid = spawn(lab.name, argv, lab.directory / f"{key}.log", env)
    return change(lab.name, lambda now: replace(now, processes={**now.processes, key: pid}))


def stop(lab: Lab, key: str, grace: float = 3) -> Lab:
    """End a recorded program and forget it; nothing happens where there is none."""
    recorded = load(lab.name).processes
    end(lab.name, [recorded[key]] if key in recorded else [], grace)
    return change(lab.name, lambda now: replace(now, processes=_without(now.processes, key)))


def is_ours(lab: str, pid: int) -> bool:
    """Whether that process lives and is a program of the lab."""
    return pid > 0 and environment(pid).get(MARK) == lab


def end(lab: str, pids: Iterable[int], grace: float = 3) -> None:
    """SIGTERM to those of the processes that are the lab's, SIGKILL to what is left after the grace time."""
    living = [Process(pid, start_time(pid)) for pid in pids if is_ours(lab, pid)]
    for sign, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 30.0)):
        for process in living:
            process.send(sign)
        living = _wait_gone(living, patience)
    if living:
        stubborn = ", ".join(str(process.pid) for process in living)
        raise LabError(f"processes of lab {lab!r} do not end, not even by SIGKILL: {stubborn}")


def sweep(lab: str) -> None:
    """End every program of the lab, recorded or not, except the one that asks and its ancestors."""
    end(lab, _marked(lab))


def is_alive(lab: str) -> bool:
    """Whether any program of the lab lives."""
    return bool(_marked(lab))


def _wait_marked(lab: str, process: subprocess.Popen[bytes]) -> None:
    """Until it is seen to be ours: for a moment after a start the kernel shows no environment (measured)."""
    until = time.monotonic() + 10
    while process.poll() is None and not is_ours(lab, process.pid) and time.monotonic() < until:
        time.sleep(0.001)


def _marked(lab: str) -> list[int]:
    spared = set(_ancestors())
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if pid not in spared and is_ours(lab, pid)]


def _ancestors() -> Iterable[int]:
    pid = os.getpid()
    while pid > 0:
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _wait_gone(processes: list[Process], patience: float) -> list[Process]:
    until = time.monotonic() + patience
    while (processes := [one for one in processes if one.alive]) and time.monotonic() < until:
        time.sleep(0.02)
    return processes


def _without(processes: dict[str, int], key: str) -> dict[str, int]:
    return {name: pid for name, pid in processes.items() if name != key}
