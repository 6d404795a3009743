"""Environment are right or named."""

from __future__ import annotations

import pytest

from chalicelib.environment import Environment, from_environment
from chalicelib.errors import SettingError


def test_the_table_is_needed_and_the_notice_is_two_minutes() -> None:
    assert from_environment({"TABLE": "t"}) == Environment("t", 120.0)
    assert from_environment({"TABLE": "t", "NOTICE_SECONDS": "20"}) == Environment("t", 20.0)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "TABLE"),
        ({"TABLE": ""}, "TABLE"),
        *[
            ({"TABLE": "t", "NOTICE_SECONDS": text}, "NOTICE_SECONDS")
            for text in ("", "soon", "0", "-1", "120000", "nan")
        ],
    ],
)
def test_a_wrong_setting_is_named(environment: dict[str, str], name: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} "):
        from_environment(environment)
