"""Each handler may do what it calls, and no more; what it calls is derived (called_actions.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.adapters import wiring
from tests.unit.chalicelib.conftest import quiet_log
from tests.unit.chalicelib.permissions.support.called_actions import INDEX, handlers, needed_actions
from tests.unit.chalicelib.permissions.support.recorded_life import record_histories

if TYPE_CHECKING:
    from collections.abc import Iterator

CHALICE = Path(__file__).parents[4] / ".chalice"
STAGE: dict[str, Any] = json.loads((CHALICE / "config.json").read_text())["stages"]["prod"]
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}  # Lambda's own calls, for every handler


def policy_of(handler: str) -> str:
    name: str = STAGE["lambda_functions"].get(handler, {}).get("iam_policy_file", STAGE["iam_policy_file"])
    return name


def allowed(policy: str) -> set[str]:
    """List the actions that a policy allows, those on the table's index apart."""
    return {
        action + (INDEX if resource.endswith(INDEX) else "")
        for one in json.loads((CHALICE / policy).read_text())["Statement"]
        for resource in listed(one["Resource"])
        for action in listed(one["Action"])
    }


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


POLICIES: dict[str, list[str]] = {}
for _handler in handlers().values():
    POLICIES.setdefault(policy_of(_handler), []).append(_handler)


@pytest.fixture(scope="module")
def called() -> Iterator[dict[str, frozenset[str]]]:
    """Map each handler to the actions that it calls in any of the histories."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        wiring._world.cache_clear()  # noqa: SLF001
        _, world = wiring._world("swarmkeeper-prod", "swarmkeeper-prod", "prod")  # noqa: SLF001
        with quiet_log():
            methods = record_histories().methods
        yield {
            handler: frozenset().union(
                *(needed_actions(type(getattr(world, port)), method) for port, method in methods[handler])
            )
            for handler in handlers().values()
        }
        wiring._world.cache_clear()  # noqa: SLF001


def test_every_handler_runs_in_the_histories(called: dict[str, frozenset[str]]) -> None:
    assert all(called.values())


@pytest.mark.parametrize("policy", POLICIES)
def test_no_handler_lacks_what_it_calls(policy: str, called: dict[str, frozenset[str]]) -> None:
    for handler in POLICIES[policy]:
        assert called[handler] <= allowed(policy), f"{policy} is too narrow for {handler}"


@pytest.mark.parametrize("policy", POLICIES)
def test_no_policy_allows_what_none_of_its_handlers_calls(
    policy: str, called: dict[str, frozenset[str]]
) -> None:
    used = frozenset().union(*(called[handler] for handler in POLICIES[policy]))
    assert allowed(policy) - LOGS <= used, f"{policy} is too wide"


def test_only_own_logs_are_written_and_lambda_makes_no_group_that_never_expires() -> None:
    for policy, own in POLICIES.items():
        (logs,) = (
            one
            for one in json.loads((CHALICE / policy).read_text())["Statement"]
            if set(one["Action"]) & LOGS
        )
        assert set(logs["Action"]) == LOGS
        groups = [f"arn:*:logs:*:*:log-group:/aws/lambda/swarmkeeper-prod-{handler}:*" for handler in own]
        assert logs["Resource"] == groups
    assert STAGE["log_retention_in_days"] == 30
