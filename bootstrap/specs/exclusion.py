"""A service's spec while its tasks are moved off nodes, and back: a constraint for each node; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from bootstrap.engine.service import EXCLUSION_LABEL, Service, Spec
from bootstrap.specs.mark import read_mark, set_or_drop, with_mark, without_mark


@dataclass(frozen=True)
class Pace:
    """How many tasks at a time (0: all) and the delay between them in nanoseconds."""

    parallelism: int = 0
    delay: int = 0


def exclusion_of(service: Service) -> Mapping[str, Any] | None:
    """Read what a running evacuation replaced in the spec; None where none is running.

    A label of that name that no evacuation wrote counts for nothing: it must not stop the others.
    """
    mark = read_mark(service, EXCLUSION_LABEL)
    return mark if isinstance(mark, dict) and _is_exclusion(mark) else None


def _is_exclusion(mark: Mapping[str, Any]) -> bool:
    nodes, ours, update = mark.get("nodes"), mark.get("ours"), mark.get("update", {})
    return (
        isinstance(nodes, list)
        and all(isinstance(node, str) for node in nodes)
        and isinstance(ours, dict)
        and isinstance(update, (dict, NoneType))
    )


def has_exclusion(service: Service) -> bool:
    """Tell whether a running evacuation has rewritten the spec."""
    return exclusion_of(service) is not None


def excluded_nodes(service: Service) -> frozenset[str]:
    """Read the ids of the nodes that a running evacuation keeps the service away from."""
    before = exclusion_of(service)
    return frozenset(before["nodes"]) if before else frozenset()


def exclude_nodes(
    service: Service, nodes: Collection[str], order: str, pace: Pace, failure_action: str = "continue"
) -> Spec:
    """Make the spec with which Swarm replaces just the tasks on these nodes (measured: no others)."""
    before = exclusion_of(service) or {**_replaced_fields(service.spec), "spaced": True}
    ours = {
        "Parallelism": pace.parallelism,
        "Delay": pace.delay,
        "Order": order,
        "FailureAction": failure_action,
    }
    mark = {**before, "nodes": sorted(nodes), "ours": ours}
    kept = _drop_last(service.placement.get("Constraints") or [], _constraints(before))
    placement = {**service.placement, "Constraints": [*kept, *_constraints(mark)]}
    spec = {
        **service.spec,
        "TaskTemplate": {**service.template, "Placement": placement},
        "UpdateConfig": {**service.update_config, **ours},
    }
    return with_mark(spec, EXCLUSION_LABEL, mark)


def restore_spec(service: Service) -> Spec:
    """Make the spec as it was before ``exclude_nodes``, with everything kept that a user changed since."""
    before = exclusion_of(service)
    if before is None:
        return dict(service.spec)
    spec = without_mark(service.spec, EXCLUSION_LABEL, had_labels="labels" in before)
    return _restore_update_config(_restore_placement(spec, before), before)


def _replaced_fields(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what the rewritten spec does not tell. Absent and empty differ: the spec must end as it was."""
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
    """Write our constraints; with blanks, so that a user's own for the same node is another one.

    Without, as version 0.1 wrote them, the ``docker`` command line would take both for one.
    """
    return [f"node.id != {node}" if mark.get("spaced") else f"node.id!={node}" for node in mark["nodes"]]


def _drop_last(constraints: Sequence[str], ours: Collection[str]) -> list[str]:
    """Drop the last one of each of our constraints: a user's own, which may be equal, stays."""
    left = list(reversed(constraints))
    for text in ours:
        if text in left:
            left.remove(text)
    return left[::-1]


def _restore_placement(spec: Spec, before: Mapping[str, Any]) -> Spec:
    template = spec.get("TaskTemplate") or {}
    placement = template.get("Placement") or {}
    kept = _drop_last(placement.get("Constraints") or [], _constraints(before))
    placement = set_or_drop(placement, "Constraints", kept, existed="constraints" in before)
    # Not without a Placement, even where there was none: engine/versions.py.
    return {**spec, "TaskTemplate": {**template, "Placement": placement}}


def _restore_update_config(spec: Spec, before: Mapping[str, Any]) -> Spec:
    current = spec.get("UpdateConfig") or {}
    if any((current.get(key) or 0) != (value or 0) for key, value in before["ours"].items()):
        return spec
    if "update" in before:
        return {**spec, "UpdateConfig": before["update"]}
    return {key: value for key, value in spec.items() if key != "UpdateConfig"}
