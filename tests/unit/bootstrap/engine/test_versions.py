"""An engine's refusal of an API version is told from its refusal of what was asked."""

import pytest

from bootstrap.engine.versions import refuses_api_version


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("client version 1.41 is too old. Minimum supported API version is 1.44", True),
        ("client version 1.51 is too new. Maximum supported API version is 1.41", True),
        ("rpc error: code = Unknown desc = update out of sequence", False),
    ],
)
def test_refusal_of_the_api_version_is_recognised(reason: str, *, expected: bool) -> None:
    assert refuses_api_version(reason) is expected
