"""Environment are right or named."""

from __future__ import annotations

import pytest

from chalicelib.environment import Environment, from_environment
from chalicelib.errors import SettingError
from chalicelib.state.deployment import Deployment


def test_the_table_is_needed_and_the_notice_is_two_minutes() -> None:
    assert from_environment({"TABLE": "t"}) == Environment("t", 120.0, deployment=Deployment("t"))
    assert from_environment({"TABLE": "t", "NOTICE_SECONDS": "20"}).notice == 20


@pytest.mark.parametrize(
    ("function", "handler", "name"),
    [
        ("swarmkeeper-prod-tick", "app.tick", "swarmkeeper-prod"),
        ("swarmkeeper-my-stage-on_fleet_noted", "app.on_fleet_noted", "swarmkeeper-my-stage"),
        ("swarmkeeper-prod-tick", "app.other", "swarmkeeper-dev"),
        ("", "", "swarmkeeper-dev"),
    ],
)
def test_the_deployment_is_what_lambda_calls_the_function(function: str, handler: str, name: str) -> None:
    given = {"AWS_LAMBDA_FUNCTION_NAME": function, "_HANDLER": handler, "AWS_REGION": "eu-west-1"}
    found = from_environment({"TABLE": "swarmkeeper-dev"} | given).deployment
    assert found == Deployment(name, "eu-west-1")
    assert found.stage == name.removeprefix("swarmkeeper-")


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
