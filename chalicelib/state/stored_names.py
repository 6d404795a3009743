"""Fields whose stored and shown name is still that of version 0.1."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from chalicelib.state.incident import Incident
from chalicelib.state.instance import LifecycleAction
from chalicelib.state.scheduled_change import ScheduledChange

STORED_NAMES: dict[type, dict[str, str]] = {
    Incident: {"fix": "remedy", "notified": "told"},
    LifecycleAction: {"heartbeat": "beat"},
    ScheduledChange: {"published": "told"},
}


def as_stored(record: Any) -> Any:
    """Return the record as plain values, under the names of its stored attributes."""
    if isinstance(record, tuple):
        return tuple(map(as_stored, record))
    if not is_dataclass(record):
        return record
    stored = STORED_NAMES.get(type(record), {})
    return {stored.get(one.name, one.name): as_stored(getattr(record, one.name)) for one in fields(record)}
