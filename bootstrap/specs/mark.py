"""The mark of a rewrite: a label of the spec that holds, as JSON, what it replaced; pure.

The mark travels with the very update that it describes. So a crash at any point leaves either the service as
it was or a service that any later run can restore. What users change meanwhile is theirs and stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bootstrap.engine.service import Service, Spec


def read_mark(service: Service, label: str) -> Any:
    """Read the JSON of a mark; None where there is none or it is no JSON."""
    text = service.labels.get(label, "")
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def with_mark(spec: Mapping[str, Any], label: str, mark: Mapping[str, Any]) -> Spec:
    """Write a mark into a spec."""
    text = json.dumps(mark, separators=(",", ":"), sort_keys=True)
    return {**spec, "Labels": {**(spec.get("Labels") or {}), label: text}}


def without_mark(spec: Mapping[str, Any], label: str, *, had_labels: bool) -> Spec:
    """Take a mark out of a spec, and the labels altogether where it had none before."""
    labels = {name: value for name, value in (spec.get("Labels") or {}).items() if name != label}
    return set_or_drop(spec, "Labels", labels, existed=had_labels)


def set_or_drop(holder: Mapping[str, Any], key: str, value: Any, *, existed: bool) -> Spec:
    """Set a value, but drop the key where the value is empty and the key was not there before."""
    if value or existed:
        return {**holder, key: value}
    return {name: kept for name, kept in holder.items() if name != key}
