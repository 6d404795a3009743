"""A label that looks like a mark and is none: it counts for nothing, and stops no work on other services."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.engine.service import EXCLUSION_LABEL, SURGE_LABEL, Service
from bootstrap.engine.snapshot import Snapshot
from bootstrap.specs.exclusion import Pace, exclude_nodes, excluded_nodes, exclusion_of, restore_spec
from bootstrap.specs.surge import (
    lower_replicas,
    raise_next_wave,
    raise_replicas,
    serving_tasks,
    surge_of,
    why_failed,
)
from tests.unit.support.hostile import CHANGES, JSON, mutate

pytestmark = pytest.mark.fuzz
NOW = 1.8e9
PLACEMENT = {"Constraints": ["node.role==worker"], "Preferences": [{"Spread": {"SpreadDescriptor": "x"}}]}
SPEC: dict[str, Any] = {
    "Name": "web",
    "Labels": {"a": "b"},
    "TaskTemplate": {"Placement": PLACEMENT},
    "Mode": {"Replicated": {"Replicas": 3}},
    "UpdateConfig": {"Parallelism": 1, "Delay": 5},
}


def service(label: str = "", text: str = "") -> Service:
    labels = {**SPEC["Labels"], label: text} if label else SPEC["Labels"]
    return Service("s1", 1, {**SPEC, "Labels": labels}, "")


EXCLUSION = json.loads(
    exclude_nodes(service(), ["abc"], "start-first", Pace())["Labels"][EXCLUSION_LABEL],
)
SURGE = json.loads(raise_replicas(service(), [1, 2], NOW, NOW + 60, aside=True)["Labels"][SURGE_LABEL])


def use_exclusion(text: str) -> None:
    """Do all that is done with a mark; what it sets aside has the shape that it had."""
    marked = service(EXCLUSION_LABEL, text)
    assert all(isinstance(node, str) for node in excluded_nodes(marked))
    restored = restore_spec(marked)
    assert isinstance(restored.get("UpdateConfig", {}), dict)
    assert exclude_nodes(marked, ["abd"], "start-first", Pace())["Labels"][EXCLUSION_LABEL]


def use_surge(text: str) -> None:
    marked = service(SURGE_LABEL, text)
    snapshot = Snapshot((), (marked,), ())
    if surge := surge_of(marked):
        lower_replicas(marked, surge)
        raise_next_wave(marked, surge, snapshot)
        serving_tasks(marked, surge, snapshot, ())
        why_failed(marked, surge, snapshot, is_late=True)
        json.dumps(surge.raised + sum(surge.waves), allow_nan=False)


def test_genuine_marks_are_marks() -> None:
    assert exclusion_of(service(EXCLUSION_LABEL, json.dumps(EXCLUSION)))
    assert surge_of(service(SURGE_LABEL, json.dumps(SURGE)))


@given(JSON | st.text())
def test_any_label(mark: object) -> None:
    text = mark if isinstance(mark, str) else json.dumps(mark)
    use_exclusion(text)
    use_surge(text)


@given(CHANGES)
def test_a_genuine_mark_with_changes(changes: list[tuple[list[int], object]]) -> None:
    use_exclusion(json.dumps(mutate(EXCLUSION, changes)))
    use_surge(json.dumps(mutate(SURGE, changes)))


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, '{"nodes":[[]],"ours":{}}'])
def test_what_is_very_deep_or_huge_or_names_no_node_is_none(text: str) -> None:
    assert exclusion_of(service(EXCLUSION_LABEL, text)) is None
    assert surge_of(service(SURGE_LABEL, text)) is None
