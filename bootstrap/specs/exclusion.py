"""A service's spec while its tasks are moved off nodes, and back: what changes is marked in the spec itself.

The mark travels with the very update that it describes, so a crash at any point leaves either the service as
it was or a service that any later run can restore. What users change meanwhile is theirs and stays.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bootstrap.engine.service import EXCLUSION_LABEL, Service, Spec


@dataclass(frozen=True)
class Pace:
    """How many tasks at a time (0: all) and the pause between them in units of 1e-9 s, as Swarm counts."""

    parallelism: int = 0
    delay: int = 0


def excluded_nodes(service: Service) -> frozenset[str]:
    """The node ids that a running evacuation keeps the service away from."""
    before = service.before
    return frozenset(before["nodes"]) if before else frozenset()


def exclude_nodes(service: Service, nodes: Collection[str], order: str, pace: Pace) -> Spec:
    """The spec that makes Swarm replace just the tasks on these nodes (measured: it touches no other)."""
    before = service.before or _before(service.spec)
    ours = {
        "Parallelism": pace.parallelism,
        "Delay": pace.delay,
        "Order": order,
        "FailureAction": "continue",  # a paused evacuation would outlive its node
    }
    mark = {**before, "nodes": sorted(nodes), "ours": ours}
    kept = _less(service.placement.get("Constraints") or [], _constraints(before))
    placement = {**service.placement, "Constraints": [*kept, *_constraints(mark)]}
    return {
        **service.spec,
        "Labels": {
            **service.labels,
            EXCLUSION_LABEL: json.dumps(mark, separators=(",", ":"), sort_keys=True),
        },
        "TaskTemplate": {**service.template, "Placement": placement},
        "UpdateConfig": {**service.update_config, **ours},
    }


def restore_spec(service: Service) -> Spec:
    """The spec as it was before ``exclude_nodes``, with everything kept that a user has changed since."""
    before = service.before
    if before is None:
        return dict(service.spec)
    return _with_update_config(_with_placement(_without_mark(service.spec, before), before), before)


def _before(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What the shifted spec does not tell. Absent and empty differ: the spec must end as it was."""
    before: dict[str, Any] = {"nodes": []}
    template = spec.get("TaskTemplate") or {}
    for name, holder, key in (
        ("labels", spec, "Labels"),
        ("constraints", template.get("Placement") or {}, "Constraints"),
        ("update", spec, "UpdateConfig"),
    ):
        if key in holder:
            before[name] = holder[key] if name == "update" else bool(holder[key])
    return before


def _constraints(mark: Mapping[str, Any]) -> list[str]:
    return [f"node.id!={node}" for node in mark["nodes"]]


def _less(constraints: Sequence[str], ours: Collection[str]) -> list[str]:
    """The constraints without the last one of each of ours: a user's own, which may be equal, stays."""
    left = list(reversed(constraints))
    for text in ours:
        if text in left:
            left.remove(text)
    return left[::-1]


def _without_mark(spec: Mapping[str, Any], before: Mapping[str, Any]) -> Spec:
    labels = {name: value for name, value in (spec.get("Labels") or {}).items() if name != EXCLUSION_LABEL}
    return set_or_drop(spec, "Labels", labels, existed="labels" in before)


def _with_placement(spec: Spec, before: Mapping[str, Any]) -> Spec:
    template = spec.get("TaskTemplate") or {}
    placement = template.get("Placement") or {}
    kept = _less(placement.get("Constraints") or [], _constraints(before))
    placement = set_or_drop(placement, "Constraints", kept, existed="constraints" in before)
    # Not without a Placement, even where there was none: engine/versions.py.
    return {**spec, "TaskTemplate": {**template, "Placement": placement}}


def _with_update_config(spec: Spec, before: Mapping[str, Any]) -> Spec:
    current = spec.get("UpdateConfig") or {}
    if any((current.get(key) or 0) != (value or 0) for key, value in before["ours"].items()):
        return spec
    if "update" in before:
        return {**spec, "UpdateConfig": before["update"]}
    return {key: value for key, value in spec.items() if key != "UpdateConfig"}


def set_or_drop(holder: Mapping[str, Any], key: str, value: Any, *, existed: bool) -> Spec:
    """The holder with this value, but without the key where it is empty and was not there before."""
    if value or existed:
        return {**holder, key: value}
    return {name: kept for name, kept in holder.items() if name != key}
