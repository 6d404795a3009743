"""From a file to the description that it means: read, check, merge with the profile, judge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from bootstrap.describe.faults import DescriptionError, Fault
from bootstrap.describe.merging import chosen_stacks, fill_in
from bootstrap.describe.rules import find_broken, find_doubts, to_networking
from bootstrap.describe.schema import find_faults
from bootstrap.describe.stack_settings import resolve
from bootstrap.describe.yaml_file import YamlFile, read_yaml
from bootstrap.stacks.catalog import choose_settings
from chalicelib.protocol.description import Description
from chalicelib.protocol.description_codec import decode_description
from chalicelib.protocol.strict_json import ProtocolError

DEFAULT_PROFILE = "current"
PROFILES = (DEFAULT_PROFILE, "book")


@dataclass(frozen=True)
class Described:
    """What a file means, and what to know about it."""

    description: Description
    warnings: tuple[str, ...] = ()


def describe(path: Path) -> Described:
    """Read a file with its profile. Raises DescriptionError with all that is wrong."""
    file = read_yaml(path)
    faults = list(find_faults(file.value))
    wrong = {fault.path[0] if fault.path else "" for fault in faults}
    if wrong & {"", "profile"}:
        raise _refuse(file, faults)
    # Meanwhile the profile stands for the parts that are wrong, so that the others are judged too.
    given = {name: value for name, value in file.value.items() if name not in wrong}
    merged = fill_in(_read_profile(file), given)
    faults += find_broken(merged, wrong)
    if faults:
        raise _refuse(file, faults)
    return Described(_finish(file, merged), tuple(_lines(file, find_doubts(merged))))


def _read_profile(file: YamlFile) -> Mapping[str, Any]:
    """Read the profile that a file names. Raises DescriptionError."""
    name = file.value.get("profile") or DEFAULT_PROFILE
    if name in PROFILES:
        with resources.as_file(resources.files("bootstrap") / f"describe/profiles/{name}.yaml") as path:
            found = read_yaml(path)
    else:
        found = read_yaml(Path(file.name).parent / name)
    if faults := list(find_faults(found.value, is_profile=True)):
        raise _refuse(found, faults)
    profile: Mapping[str, Any] = found.value
    return profile


def _finish(file: YamlFile, merged: Mapping[str, Any]) -> Description:
    """Make the description as hosts read it: if they would not take it, nothing is published."""
    network = to_networking(merged["network"])
    whole = {name: merged[name] for name in ("name", "registry", "host") if merged.get(name)}
    whole["profile"] = merged.get("profile") or DEFAULT_PROFILE
    whole["engine"] = merged["engine"] | {"source": _source(merged["engine"].get("source", "docker"))}
    rows = [{"name": name, **one} for name, one in merged["network"]["networks"].items()]
    whole["network"] = merged["network"] | {"networks": rows}
    whole["stacks"] = [
        {"name": stack.name, "settings": choose_settings(stack, resolve(stack, merged, network), {})}
        for stack in chosen_stacks(merged)
    ]
    try:
        return decode_description(json.dumps(whole))
    except ProtocolError as error:
        raise DescriptionError([f"{file.name}: {error}"]) from None


def _source(given: str | Mapping[str, str]) -> dict[str, str]:
    if isinstance(given, str):
        return {"kind": given, "packages": given}
    return {"kind": "mirror", **given}


def _refuse(file: YamlFile, faults: Iterable[Fault]) -> DescriptionError:
    return DescriptionError(_lines(file, faults))


def _lines(file: YamlFile, faults: Iterable[Fault]) -> list[str]:
    in_order = sorted(dict.fromkeys(faults), key=lambda fault: file.line(fault.path))
    return [f"{file.locate(fault.path)}: {fault.text}" for fault in in_order]
