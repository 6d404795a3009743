"""Versions as packages, engines and kernels write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_OWN = re.compile(r"(?:[0-9]+:)?v?([0-9]+(?:\.[0-9]+)*)(?:[~-]?((?:alpha|beta|rc)[.0-9]*))?")


def upstream(version: str) -> str:
    """Cut a version down to its maker's own: 5:28.5.2-1~ubuntu.24.04~noble is 28.5.2; "" where it is none."""
    found = _OWN.match(version)
    if found is None:
        return ""
    return f"{found[1]}-{found[2]}" if found[2] else found[1]


def numbers(version: str) -> tuple[int, ...]:
    """Read the numbers that versions are compared by: 6.1.0-18-amd64 is (6, 1, 0)."""
    found = _OWN.match(version)
    return tuple(map(int, found[1].split("."))) if found else ()


def is_version(found: str, wanted: str) -> bool:
    """Tell whether it is the wanted version, whatever its packager has added: 28.5.2 or all of it."""
    return bool(wanted) and (found == wanted or upstream(found) == wanted)


def choose(wanted: str, listed: Sequence[str]) -> str:
    """Choose a package version of those that a source lists, newest first; "" where none fits."""
    return next((one for one in listed if is_version(one, wanted)), "")
