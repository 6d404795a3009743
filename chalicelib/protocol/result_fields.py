"""What each field of a result has to be: a host's words are validated one by one, and cut.

Standard library only and Python 3.10 syntax: this module travels inside the agent too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from enum import Enum
from typing import Any, TypeVar

from chalicelib.protocol import checks
from chalicelib.protocol.inventory import (
    MAX_ENTRIES,
    SHORT_DIGEST,
    Inventory,
    ReportedHost,
    ReportedNetwork,
    ReportedStack,
)
from chalicelib.protocol.messages import (
    AgentTask,
    Balance,
    End,
    Fate,
    Listing,
    Mode,
    NodeReport,
    Result,
    ServiceReport,
    SpreadReport,
    Target,
    Way,
)
from chalicelib.protocol.strict_json import ProtocolError

Reader = Callable[[Any, str], Any]  # a value and the name of its field; raises ProtocolError
MAX_TEXT = 1000  # characters of a text for people
MAX_NAME = 300
MAX_ROWS = 2000  # of a list; no answer that fits has more
MAX_COUNT = 1_000_000_000
DIGEST = re.compile(rf"([0-9a-f]{{{SHORT_DIGEST}}})?")
FAR = 1e11  # seconds since the epoch; more was meant as milliseconds
Kind = TypeVar("Kind")


def checked(check: checks.Check) -> Reader:
    """Read a value that has to pass a check."""

    def read(value: Any, field: str) -> Any:
        if wanted := check(value):
            raise ProtocolError(checks.wrong(field, wanted, value))
        return value

    return read


def text(longest: int) -> Reader:
    """Read a text for people: one printable line, cut."""
    is_text = checked(lambda value: "" if isinstance(value, str) else "a text")
    return lambda value, field: checks.printable(is_text(value, field), longest)


def chosen(choices: type[Enum]) -> Reader:
    """Read one of an enumeration's values."""
    known = checked(checks.one_of(choices))
    return lambda value, field: choices(known(value, field))


def rows(read: Reader) -> Reader:
    """Read a list, row by row."""

    def read_all(value: Any, field: str) -> tuple[Any, ...]:
        return tuple(read(row, field) for row in _list(value, field))

    return read_all


def good_rows(read: Reader) -> Reader:
    """Read a list of what others have said: rows that are none are left out."""

    def read_good(value: Any, field: str) -> tuple[Any, ...]:
        found = []
        for row in _list(value, field):
            try:
                found.append(read(row, field))
            except ProtocolError:
                continue
        return tuple(found)

    return read_good


def row_of(kind: Callable[..., Kind], readers: Mapping[str, Reader]) -> Reader:
    """Read an object with these fields; those that the class has a default for may be missing."""
    needed = {one.name for one in fields(kind) if one.default is one.default_factory is MISSING}  # type: ignore[arg-type]

    def read(value: Any, field: str) -> Kind:
        if not isinstance(value, dict):
            raise ProtocolError(checks.wrong(field, "an object", value))
        if unknown := sorted(set(value) - set(readers)):
            raise ProtocolError(f"{field}: unknown field {checks.show(unknown[0])}")
        if missing := sorted(needed - set(value)):
            raise ProtocolError(f"{field}: {missing[0]} is missing")
        return kind(**{name: readers[name](found, f"{field}.{name}") for name, found in value.items()})

    return read


def _list(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > MAX_ROWS:
        raise ProtocolError(checks.wrong(field, f"a list of at most {MAX_ROWS} rows", value))
    return value


def _is_count(value: Any) -> str:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
    return "" if good else "a whole number from 0 on"


def _is_seconds(value: Any) -> str:
    return "" if checks.is_number(value) and abs(value) < FAR else "a number of seconds"


def _counts_by_host(value: Any, field: str) -> dict[str, int]:
    if not isinstance(value, dict):
        raise ProtocolError(checks.wrong(field, "an object", value))
    return {checks.printable(host, MAX_NAME): count(found, field) for host, found in value.items()}


def _texts(value: Any, field: str) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_ENTRIES:
        raise ProtocolError(checks.wrong(field, f"an object of at most {MAX_ENTRIES} texts", value))
    return {checks.printable(found, MAX_NAME): name(said, field) for found, said in value.items()}


def _facts(value: Any, field: str) -> dict[str, Any]:
    """Read what a person asked for: any values, their texts made printable; ``nodes`` are rows."""
    if not isinstance(value, dict):
        raise ProtocolError(checks.wrong(field, "an object", value))
    if "nodes" in value and not all(isinstance(row, dict) for row in _list(value["nodes"], f"{field}.nodes")):
        raise ProtocolError(f"{field}.nodes must be a list of objects")
    return {checks.printable(name, MAX_NAME): _cleaned(found) for name, found in value.items()}


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return checks.printable(value, MAX_TEXT)
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, dict):
        return {checks.printable(name, MAX_NAME): _cleaned(one) for name, one in value.items()}
    return value


def _optional(read: Reader) -> Reader:
    return lambda value, field: None if value is None else read(value, field)


def _from_one_on(value: Any) -> str:
    return _is_count(value) or ("" if value else "a whole number from 1 on")


count, flag, seconds = checked(_is_count), checked(checks.flag), checked(_is_seconds)
name, said = text(MAX_NAME), text(MAX_TEXT)
TARGET = {
    "instance": checked(checks.instance_id),
    "address": checked(checks.address),
    "node": checked(checks.node_id),
    "version": count,
    "role": checked(checks.role),
    "zone": checked(checks.word),
    "kind": checked(checks.word),
    "lifecycle": checked(checks.word),
    "labels": checked(checks.kept_labels),
    "end": chosen(End),
}
NODE = {
    "instance": checked(checks.instance_id),
    "node": checked(checks.node_id),
    "fate": chosen(Fate),
    "detail": said,
    "seconds": seconds,
    "differs": flag,
    "labels": checked(checks.kept_labels),
}
SERVICE = {"service": name, "tasks": count, "way": chosen(Way), "seconds": seconds, "reason": said}
SPREAD = {
    "service": name,
    "balance": chosen(Balance),
    "mode": chosen(Mode),
    "moves": count,
    "restarted": count,
    "seconds": seconds,
    "reason": said,
    "warnings": rows(said),
    "before": _counts_by_host,
    "plan": _counts_by_host,
    "after": _counts_by_host,
}
LISTING = {
    "nodes": count,
    "down": good_rows(row_of(Target, TARGET)),
    "part": count,
    "parts": checked(_from_one_on),
    "ids": good_rows(checked(checks.node_id)),
    "managers": good_rows(checked(checks.node_id)),
}
_digest = checked(checks.matching(DIGEST, f"{SHORT_DIGEST} hexadecimal digits"))
REPORTED_HOST = {
    "instance": checked(checks.instance_id),
    "node": checked(checks.node_id),
    "description": _digest,
    "version": name,
    "storage_driver": name,
    "log_driver": name,
    "log_options": _texts,
    "live_restore": _optional(flag),
    "plugin": _optional(name),
}
REPORTED_NETWORK = {
    "name": name,
    "driver": name,
    "subnets": good_rows(name),
    "gateways": good_rows(name),
    "attachable": flag,
}
REPORTED_STACK = {"name": name, "digest": _digest, "settings": _texts}
INVENTORY = {
    "hosts": good_rows(row_of(ReportedHost, REPORTED_HOST)),
    "networks": _optional(good_rows(row_of(ReportedNetwork, REPORTED_NETWORK))),
    "stacks": _optional(good_rows(row_of(ReportedStack, REPORTED_STACK))),
}
RESULT = {
    "task": chosen(AgentTask),
    "ok": flag,
    "nodes": rows(row_of(NodeReport, NODE)),
    "services": rows(row_of(ServiceReport, SERVICE)),
    "error": said,
    "left_out": count,
    "facts": _facts,
    "spreads": rows(row_of(SpreadReport, SPREAD)),
    "wait": seconds,
    "listing": _optional(row_of(Listing, LISTING)),
    "inventory": _optional(row_of(Inventory, INVENTORY)),
}
read_result = row_of(Result, RESULT)
