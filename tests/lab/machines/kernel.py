"""Kernel settings that labs need: what was before is written down, and put back after the last lab."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.lab import state

SETTINGS = Path("/proc/sys/net")
EXACT = {
    "ipv4/ip_forward": "1",
    # Else swarm traffic between hosts meets the machine's FORWARD rules, and joins time out.
    "bridge/bridge-nf-call-iptables": "0",
}
# The neighbour table is the machine's, not the namespace's: some 30 hosts overflow the default of 1024.
AT_LEAST = {
    "ipv4/neigh/default/gc_thresh1": 4096,
    "ipv4/neigh/default/gc_thresh2": 16384,
    "ipv4/neigh/default/gc_thresh3": 32768,
}


def adapt() -> None:
    """Give the kernel what labs need; what it was before is written down first."""
    with state.locked():
        now = _now()
        wanted = changes(now)
        before = {**{name: now[name] for name in wanted}, **_before()}
        part = _kept().with_suffix(".part")
        part.write_text(json.dumps(before, indent=1))
        part.rename(_kept())
        _set(wanted)


def restore() -> None:
    """Put back what was before the first lab; nothing happens while any lab is up."""
    with state.locked():
        if not state.taken():
            _set(_before())
            _kept().unlink(missing_ok=True)


def changes(now: Mapping[str, str]) -> dict[str, str]:
    """Which settings have to change, and to what; those that the kernel does not have are left out."""
    exact = {name: wanted for name, wanted in EXACT.items() if now.get(name, wanted) != wanted}
    small = {name: least for name, least in AT_LEAST.items() if int(now.get(name, least)) < least}
    return {**exact, **{name: str(least) for name, least in small.items()}}


def _now() -> dict[str, str]:
    paths = {name: SETTINGS / name for name in (*EXACT, *AT_LEAST)}
    return {name: path.read_text().strip() for name, path in paths.items() if path.exists()}


def _before() -> dict[str, str]:
    found: dict[str, str] = json.loads(_kept().read_text()) if _kept().exists() else {}
    return found


def _kept() -> Path:
    return state.ROOT / "kernel.json"


def _set(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if (SETTINGS / name).exists():
            (SETTINGS / name).write_text(value)
