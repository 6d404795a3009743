"""Reads the product's own records."""

from __future__ import annotations

from tests.lab.aws import lab_api
from tests.lab.cli.commands_aws import TABLE
from tests.lab.state import Lab


def state_of(lab: Lab, instance: str) -> str:
    """Read the state that the handlers have recorded for an instance; "" where they know nothing of it."""
    return read(lab, instance, "state")


def read(lab: Lab, instance: str, field: str) -> str:
    """Read one text of an instance's record; "" where there is none."""
    key = {"cluster": {"S": lab.cluster}, "item": {"S": f"node#{instance}"}}
    found = lab_api.connect(lab).client("dynamodb").get_item(TableName=TABLE, Key=key, ConsistentRead=True)
    text: str = found.get("Item", {}).get(field, {}).get("S", "")
    return text
