"""What a description wants, put into the engine's settings that people have written; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Put the wanted settings into those that are there: objects by name, lists as a union, all else wins.

    The options of another log driver go: the engine would not start with them.
    """
    merged = dict(there)
    if there.get("log-driver", wanted.get("log-driver")) != wanted.get("log-driver"):
        merged.pop("log-opts", None)
    for name, value in wanted.items():
        found = merged.get(name)
        if isinstance(found, Mapping) and isinstance(value, Mapping):
            merged[name] = merge(found, value)
        elif isinstance(found, list) and isinstance(value, list):
            merged[name] = [*found, *(one for one in value if one not in found)]
        else:
            merged[name] = value
    return merged


def list_changes(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Name what a merge changes, with what was there: for people, and [] where it changes nothing."""
    merged = merge(there, wanted)
    return [
        f"{name}: {merged[name]}" + (f" (was {there[name]})" if name in there else "")
        for name in sorted(merged)
        if merged[name] != there.get(name)
    ]
