"""What an agent reads from the engine's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.engine.service import counted
from bootstrap.engine.task import moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2025-11-27T10:00:00.25Z", 1764237600.25), ("2025-11-27T10:00:00Z", 1764237600.0), ("", 0.0)],
)
def test_the_engines_times_are_seconds_since_the_epoch(text: str, seconds: float) -> None:
    assert moment(text) == pytest.approx(seconds)


def test_named_generic_resources_count_one_each_and_counted_ones_their_value() -> None:
    rows: list[dict[str, Any]] = [
        {"NamedResourceSpec": {"Kind": "gpu", "Value": "uuid-1"}},
        {"NamedResourceSpec": {"Kind": "gpu", "Value": "uuid-2"}},
        {"DiscreteResourceSpec": {"Kind": "ssd", "Value": 3}},
    ]
    assert counted(rows) == {"gpu": 2, "ssd": 3}
    assert counted(None) == {}
