"""Check before a deployment that Lambda can reserve what ``.chalice/config.json`` reserves for a stage.

Without this check Chalice fails half-way, with AWS's words about a number that stands nowhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3

CONFIG = Path(__file__).resolve().parent.parent / ".chalice" / "config.json"
LEFT_TO_ALL = 100  # what AWS keeps for functions without a reservation
QUOTA = "L-B99A9384"  # Service Quotas' code for Lambda's concurrent executions
USUAL_QUOTA = 1000


class ConcurrencyError(Exception):
    """The account's quota is too small; the text is one line that says what to do."""


def check_concurrency(stage: str, config: Path = CONFIG) -> None:
    """Check that the stage's reservations fit the account's quota. Raises ConcurrencyError."""
    wanted = _reserved(stage, config)
    if not wanted:
        return
    functions: Any = boto3.client("lambda")
    limit = functions.get_account_settings()["AccountLimit"]
    own = sum(_current(functions, f"swarmkeeper-{stage}-{name}") for name in wanted)
    needed = sum(wanted.values()) + LEFT_TO_ALL
    if (free := limit["UnreservedConcurrentExecutions"] + own) >= needed:
        return
    quota, region = limit["ConcurrentExecutions"], functions.meta.region_name
    problem = (
        f"stage {stage} reserves {needed - LEFT_TO_ALL} concurrent runs for {', '.join(wanted)}, and AWS"
        f" keeps {LEFT_TO_ALL} for all others, but of {quota} in {region} only {free} are free"
    )
    raise ConcurrencyError(
        f"{problem}: run {_ask_for_more(quota + needed - free, region)}, or set a smaller"
        f" reserved_concurrency in .chalice/config.json; then make deploy STAGE={stage} again"
    )


def _ask_for_more(quota: int, region: str) -> str:
    """Write the command that asks AWS for a larger quota, at least for the usual one."""
    return (
        "aws service-quotas request-service-quota-increase --service-code lambda"
        f" --quota-code {QUOTA} --desired-value {max(USUAL_QUOTA, quota)} --region {region}"
    )


def _reserved(stage: str, config: Path) -> dict[str, int]:
    """Read what the stage reserves, by function."""
    own = json.loads(config.read_text())["stages"].get(stage, {})
    functions = own.get("lambda_functions", {}).items()
    return {
        name: function["reserved_concurrency"]
        for name, function in functions
        if function.get("reserved_concurrency")
    }


def _current(functions: Any, name: str) -> int:
    """Answer what a function that is deployed already has reserved."""
    try:
        return int(
            functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions", 0)
        )
    except functions.exceptions.ResourceNotFoundException:
        return 0
