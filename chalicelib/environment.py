"""What the environment says, validated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.errors import SettingError
from chalicelib.state.deployment import Deployment

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Environment:
    """What each function gets from its environment.

    ``table``: the DynamoDB table; ``notice``: seconds between a Spot warning's time and the end;
    ``topic``: the SNS topic that notifies people of incidents, its name or ARN ("": only the log has them);
    ``deployment``: which one this is, for the commands in messages.
    """

    table: str
    notice: float = 120.0
    topic: str = ""
    deployment: Deployment = field(default_factory=Deployment)


def from_environment(environment: Mapping[str, str]) -> Environment:
    """Read TABLE, NOTICE_SECONDS and TOPIC; raises SettingError naming the variable."""
    table = environment.get("TABLE", "")
    if not table:
        raise SettingError("TABLE is not set: give the table's name under environment_variables of the stage")
    notice = _seconds(environment.get("NOTICE_SECONDS", "120"))
    return Environment(table, notice, environment.get("TOPIC", ""), read_deployment(environment))


def read_deployment(environment: Mapping[str, str]) -> Deployment:
    """Read the deployment from what Lambda sets; elsewhere it is called as its table."""
    table = environment.get("TABLE") or Deployment().name
    handler = environment.get("_HANDLER", "").rpartition(".")[2]
    function = environment.get("AWS_LAMBDA_FUNCTION_NAME", "")
    known = handler and function.endswith(f"-{handler}")
    name = function.removesuffix(f"-{handler}") if known else table
    return Deployment(name, environment.get("AWS_REGION", ""))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:  # noqa: PLR2004 - an hour, to tell seconds from milliseconds
        raise SettingError(f"NOTICE_SECONDS must be a number of seconds between 0 and 3600, not {text!r}")
    return seconds
