"""What a file says, over its profile: the profile comes first, and what the file says stands; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bootstrap.describe.stack_settings import networks_of
from bootstrap.stacks.catalog import STACKS, Stack
from chalicelib.protocol.description import ANY_VERSION, Driver

REPLACED = ("source", "systems")  # whole: what the file says of it is all of it
API_RAISED = 29  # from this engine on the API version in which the network plugin asks is refused
OLD_API = {"min-api-version": "1.24"}


def merge(profile: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge what a file says into its profile, object by object; nothing ("null") says nothing."""
    merged = dict(profile)
    for name, value in given.items():
        before = merged.get(name)
        is_inner = isinstance(value, Mapping) and isinstance(before, Mapping) and name not in REPLACED
        if value is not None or name not in merged:
            merged[name] = merge(before or {}, value) if is_inner else value
    return merged


def fill_in(profile: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge, and add what follows from it.

    Networks of the profile are taken where a stack is on them. New engines refuse the API version in which
    the network plugin asks, unless they are told to take it.
    """
    merged = merge(profile, given)
    network, engine = dict(merged.get("network") or {}), dict(merged.get("engine") or {})
    named = (given.get("network") or {}).get("networks") or {}
    wanted = {*named, *(one for stack in chosen_stacks(merged) for one in networks_of(stack))}
    network["networks"] = _only(network.get("networks") or {}, wanted)
    version = str(engine.get("version", ANY_VERSION))
    if (
        network.get("driver") == Driver.WEAVE.value
        and version != ANY_VERSION
        and _major(version) >= API_RAISED
    ):
        engine["settings"] = OLD_API | (engine.get("settings") or {})
    return merged | {"network": network, "engine": engine}


def chosen_stacks(merged: Mapping[str, Any]) -> tuple[Stack, ...]:
    """List the stacks that shall be there, in the order in which they are deployed."""
    given = merged.get("stacks") or {}
    return tuple(stack for stack in STACKS if stack.name in given and given[stack.name] is not False)


def _only(networks: Mapping[str, Any], wanted: Collection[str]) -> dict[str, Any]:
    return {name: network for name, network in networks.items() if name in wanted}


def _major(version: str) -> int:
    return int(version.partition(".")[0])
