"""Starts programs of this machine, with a limit of time and their last words as the error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bootstrap.errors import AgentError

QUICK_S = 180.0  # a machine that has just booted is slow
# No question to people, no message in another language, no restart of services that are no concern of ours.
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", "NEEDRESTART_SUSPEND": "1"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Run Command may give a short one


@dataclass(frozen=True)
class Said:
    """What a program has printed, and its exit status."""

    status: int
    out: str = ""
    err: str = ""

    @property
    def last_words(self) -> str:
        """Return what it says went wrong, in one line: its errors, else its last line."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("E:", "Error"))]
        return "; ".join((errors or lines[-1:])[:3]) or "it says nothing"


class Run(Protocol):
    """Runs a program to its end."""

    def __call__(self, argv: Sequence[str], timeout: float = QUICK_S) -> Said:
        """Answer what it said. Raises AgentError where it is missing or does not end in time."""


def run_program(
    argv: Sequence[str], timeout: float = QUICK_S, environment: Mapping[str, str] = ENVIRONMENT
) -> Said:
    """Run a program to its end; one that is missing has status 127, as in a shell. Raises AgentError."""
    try:
        done = subprocess.run(  # noqa: S603 - words of our own
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": PATH, **environment},
        )
    except FileNotFoundError:
        return Said(127, err=f"{argv[0]} is missing on this host")
    except (OSError, subprocess.TimeoutExpired) as error:
        trouble = (
            f"did not end within {timeout:g} s"
            if isinstance(error, subprocess.TimeoutExpired)
            else str(error)
        )
        raise AgentError(f"{' '.join(argv[:3])} {trouble}: run it on this host to see why") from None
    return Said(done.returncode, done.stdout, done.stderr)
