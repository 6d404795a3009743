"""Write what is done, and why, to stderr: stdout is for the result alone."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Write one line for people."""
    print(line, file=sys.stderr, flush=True)
