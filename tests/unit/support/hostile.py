"""What a hostile host, or who may send events, could send: any JSON, genuine messages with changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from hypothesis import strategies as st

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
CHANGES = st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=5), JSON), min_size=1, max_size=3)


def mutate(value: Any, changes: list[tuple[list[int], object]]) -> Any:
    """Put something else in the places to which the paths lead."""
    for path, new in changes:
        value = _change(value, path, new)
    return value


def find_unfilled(value: object) -> set[str]:
    """Name the fields of a sample's values, whatever they are in, that none of them fills."""
    found: dict[str, set[bool]] = {}
    for one in _values(value):
        for field in fields(one):
            filled = getattr(one, field.name) != _default(field)
            found.setdefault(f"{type(one).__name__}.{field.name}", set()).add(filled)
    return {name for name, filled in found.items() if True not in filled}


def _values(value: Any) -> Iterator[Any]:
    if is_dataclass(value):
        yield value
        value = [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _values(one)


def _default(field: Field[Any]) -> object:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def nest(depth: int) -> object:
    """Make a list in a list in a list."""
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def _change(value: Any, path: list[int], new: object) -> Any:
    """Follow a path, whose numbers choose among what stands there."""
    if not path or not isinstance(value, (dict, list)) or not value:
        return new
    keys: list[Any] = sorted(value, key=repr) if isinstance(value, dict) else list(range(len(value)))
    key = keys[path[0] % len(keys)]
    changed = value.copy()
    changed[key] = _change(value[key], path[1:], new)
    return changed
