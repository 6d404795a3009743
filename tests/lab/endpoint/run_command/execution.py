"""Runs one script inside a host, as root in all of its namespaces, the way the SSM agent runs it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.machines import processes
from tests.lab.state import Host

# The environment and directory that the agent's scripts find on a real instance: no HOME, and /usr/bin.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DIRECTORY = "/usr/bin"
KILLED = 137  # what the agent reports when it had to kill the script
_POLL_MS = 500  # milliseconds between two looks whether a host died with a stopped script
_ORCHESTRATION = "var/lib/amazon/ssm/{instance}/document/orchestration/{command}/awsrunShellScript"


@dataclass(frozen=True)
class Script:
    """What to run, and for how many seconds at most. ``folder`` on this machine keeps the output."""

    command: str
    text: str
    directory: str
    seconds: float
    folder: Path


@dataclass(frozen=True)
class Ending:
    """How a script ended: its exit code, whether the lab had to kill it, or the host died under it."""

    code: int
    timed_out: bool = False
    cancelled: bool = False
    lost: bool = False


@dataclass
class Running:
    """One script at work in a host."""

    host: Host
    script: Script
    process: subprocess.Popen[bytes]
    _flags: set[str] = field(default_factory=set)

    def wait(self) -> Ending:
        """Wait for the end of the script, or of its time."""
        timer = threading.Timer(self.script.seconds, self.kill, ("timed_out",))
        timer.daemon = True
        timer.start()
        self._await_end()
        code = self.process.wait()
        timer.cancel()
        if not powered(self.host):
            return Ending(code, lost=True)
        shutil.rmtree(_inside(self.host, self.script), ignore_errors=True)
        return Ending(_shell_code(code), "timed_out" in self._flags, "cancelled" in self._flags)

    def kill(self, why: str) -> None:
        """Kill the script and all that it started, for being ``timed_out`` or ``cancelled``."""
        self._flags.add(why)
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Signal the script and all that it started."""
        # nsenter stops itself when the script is stopped, and resumes the script when it is resumed itself:
        # so it must be stopped first, resumed last, and resumed to see that the script is dead.
        if number is signal.SIGSTOP:
            self.process.send_signal(number)
        for pid in processes.children(self.process.pid):
            with suppress(ProcessLookupError):  # it ended by itself meanwhile
                os.killpg(pid, number)
        if number is not signal.SIGSTOP:
            self.process.send_signal(signal.SIGCONT)

    def _await_end(self) -> None:
        end = select.poll()
        handle = os.pidfd_open(self.process.pid)
        end.register(handle, select.POLLIN)
        while not end.poll(_POLL_MS):
            if not powered(self.host):
                self.process.send_signal(signal.SIGCONT)
        os.close(handle)


def powered(host: Host) -> bool:
    """Whether the host's process 1 runs: its last process id, the innermost, is 1, and it has not ended."""
    try:
        rows = Path(f"/proc/{host.pid}/status").read_text().splitlines()
        Path(f"/proc/{host.pid}/exe").readlink()  # gone as soon as a process begins to die
    except OSError:
        return False
    ids = next((row.split()[1:] for row in rows if row.startswith("NSpid:")), [])
    return len(ids) > 1 and ids[-1] == "1"


def start(host: Host, script: Script) -> Running:
    """Put the script into the host and run it there in a process group of its own."""
    script.folder.mkdir(parents=True, exist_ok=True)
    place = _inside(host, script)
    place.mkdir(parents=True, exist_ok=True)
    file = place / "_script.sh"
    file.write_text(script.text)
    file.chmod(0o700)
    inside = "/" + str(file.relative_to(f"/proc/{host.pid}/root"))
    with (script.folder / "stdout").open("wb") as out, (script.folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            _enter(host, script.directory, inside), stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
    _await_group(process)
    return Running(host, script, process)


def _enter(host: Host, directory: str, file: str) -> list[str]:
    # `sh -c FILE` as the agent does it: a first line with #! counts, and without one sh reads the file.
    run = 'cd "$1" || exit 1; exec sh -c "$2"'
    environment = ["-i", f"PATH={PATH}", "LANG=C.UTF-8", f"AWS_SSM_INSTANCE_ID={host.instance}"]
    enter = ["nsenter", "--target", str(host.pid), "--mount", "--uts", "--net", "--ipc", "--pid"]
    return [*enter, "env", *environment, "setsid", "sh", "-c", run, "sh", directory, file]


def _await_group(process: subprocess.Popen[bytes]) -> None:
    """Wait until the script leads a group of its own: only then can it be signalled as a whole."""
    until = time.monotonic() + 2
    while process.poll() is None and time.monotonic() < until:
        if any(_leads(pid) for pid in processes.children(process.pid)):
            return
        time.sleep(0.001)


def _leads(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def _inside(host: Host, script: Script) -> Path:
    place = _ORCHESTRATION.format(instance=host.instance, command=script.command)
    return Path(f"/proc/{host.pid}/root") / place


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code
