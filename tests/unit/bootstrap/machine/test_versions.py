"""A version is the same whatever its packager has added; another one is not."""

from __future__ import annotations

import pytest

from bootstrap.machine.versions import choose, is_version, numbers, upstream


@pytest.mark.parametrize(
    ("version", "own"),
    [
        ("5:28.5.2-1~ubuntu.24.04~noble", "28.5.2"),
        ("26.1.5+dfsg1-9+b13", "26.1.5"),
        ("26.1.5+dfsg1", "26.1.5"),
        ("17.06.2~ce-0~ubuntu", "17.06.2"),
        ("17.06.2-ce", "17.06.2"),
        ("25.0.8-1.amzn2023.0.4", "25.0.8"),
        ("3:28.5.2-1.fc40", "28.5.2"),
        ("5:29.0.0~rc.1-1~debian", "29.0.0-rc.1"),
        ("29.0.0-rc.1", "29.0.0-rc.1"),
        ("dev", ""),
        ("", ""),
    ],
)
def test_package_version_then_its_makers_own(version: str, own: str) -> None:
    assert upstream(version) == own


@pytest.mark.parametrize(
    ("found", "wanted"), [("28.5.2+dfsg4", "28.5.2"), ("28.5.2+dfsg4-1", "28.5.2+dfsg4-1")]
)
def test_same_version_in_another_spelling_is_it(found: str, wanted: str) -> None:
    assert is_version(found, wanted)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [("28.5.20", "28.5.2"), ("29.0.0~rc.1", "29.0.0"), ("28.5.2", "28.5"), ("", ""), ("1", "")],
)
def test_another_version_is_not_it(found: str, wanted: str) -> None:
    assert not is_version(found, wanted)


def test_of_several_builds_the_newest_listed_is_chosen() -> None:
    listed = ("5:29.0.1-1~noble", "5:28.5.2-2~noble", "5:28.5.2-1~noble")
    assert choose("28.5.2", listed) == "5:28.5.2-2~noble"
    assert choose("5:28.5.2-1~noble", listed) == "5:28.5.2-1~noble"
    assert choose("27.1.0", listed) == ""


def test_kernels_compare_by_their_numbers() -> None:
    assert (
        numbers("4.4.0-210-generic") < numbers("4.13") <= numbers("4.13.0-1-aws") < numbers("6.1.0-18-amd64")
    )
