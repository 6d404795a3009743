"""Make or update the stack of a stage's table, bucket and topic, over what an earlier one left.

Table and bucket outlive their stack; the next stack of the stage takes them over, with all records.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / ".chalice" / "foundation.yaml"
POLL_S = 2.0
LONGEST_S = 900.0
WHOLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})
# A stack that was never whole or is being deleted: only deleting it leads on, which keeps table and bucket.
DEAD = frozenset(
    {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "REVIEW_IN_PROGRESS"}
    | {"DELETE_FAILED", "DELETE_IN_PROGRESS", "IMPORT_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_FAILED"}
)
READ_ON = "resolve each error, then retry the operation."  # where CloudFormation does not say what failed
OLD_REGION_NAMES = {"": "us-east-1", "EU": "eu-west-1"}  # of S3, for buckets


class FoundationError(Exception):
    """The stack cannot be made; the text is one line that says what to do."""


def make_foundation(stage: str) -> dict[str, str]:
    """Make the stage's stack or bring it up to date; answers its outputs. Raises FoundationError."""
    formation: Any = boto3.client("cloudformation")
    name = f"swarmkeeper-{stage}-foundation"
    stack = {
        "StackName": name,
        "TemplateBody": TEMPLATE.read_text(),
        "Parameters": [{"ParameterKey": "Stage", "ParameterValue": stage}],
    }
    found = _describe(formation, name)
    if found and found["StackStatus"] in DEAD:
        _delete(formation, found, stage)
        found = None
    found = found or _take_over(formation, stack, stage)
    if found is None:
        made = _wait(formation, formation.create_stack(**stack)["StackId"])
    else:
        _check_updatable(found, stage)
        made = _wait(formation, found["StackId"]) if _update(formation, stack) else found
    if made["StackStatus"] not in WHOLE and made is not found:
        raise FoundationError(_explain(formation, made, stage))
    return {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}


def _describe(formation: Any, name: str) -> dict[str, Any] | None:
    """Describe a stack by name, or a deleted one by its id; None if there is none."""
    try:
        return dict(formation.describe_stacks(StackName=name)["Stacks"][0])
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def _take_over(formation: Any, stack: dict[str, Any], stage: str) -> dict[str, Any] | None:
    """Make the stack of what an earlier one left; an update adds the rest. None where nothing is left."""
    left = _find_left(stage, formation.meta.region_name)
    if not left:
        return None
    change = {"StackName": stack["StackName"], "ChangeSetName": "take-over"}
    body = _select(stack["TemplateBody"], [one["LogicalResourceId"] for one in left])
    formation.create_change_set(
        **(stack | change | {"TemplateBody": body}), ChangeSetType="IMPORT", ResourcesToImport=left
    )
    until = time.monotonic() + LONGEST_S
    while (shown := formation.describe_change_set(**change))["Status"] != "CREATE_COMPLETE":
        if shown["Status"] == "FAILED" or time.monotonic() > until:
            why = shown.get("StatusReason", shown["Status"])
            raise FoundationError(f"what is left of {stage} cannot be taken over: {why}; {_again(stage)}")
        time.sleep(POLL_S)
    formation.execute_change_set(**change)
    made = _wait(formation, shown["StackId"])
    if made["StackStatus"] not in WHOLE:
        raise FoundationError(_explain(formation, made, stage))
    return made


def _select(template: str, names: list[str]) -> str:
    """Return the template with these resources only: all that an import may have."""
    head, _, rest = template.partition("Resources:\n")
    blocks = re.split(r"^(?=  \w+:)", rest.partition("Outputs:\n")[0], flags=re.MULTILINE)
    return head + "Resources:\n" + "".join(one for one in blocks if one.strip().partition(":")[0] in names)


def _find_left(stage: str, region: str) -> list[dict[str, Any]]:
    """Find table and bucket of a stage that has no stack, as CloudFormation imports them."""
    table, left = f"swarmkeeper-{stage}", []
    bucket = f"{table}-{boto3.client('sts').get_caller_identity()['Account']}"
    place = _find_bucket(bucket)
    if place not in (None, region):
        raise FoundationError(
            f"stage {stage} is in {place} already, and its roles are the account's: {region} needs another:"
            f" .venv/bin/python -m bootstrap.stages --copy {stage} --to {stage}-2,"
            f" then make deploy STAGE={stage}-2"
        )
    dynamodb: Any = boto3.client("dynamodb")
    with suppress(dynamodb.exceptions.ResourceNotFoundException):  # then there is no table to take over
        dynamodb.describe_table(TableName=table)
        left.append(_import_as("Records", "AWS::DynamoDB::Table", "TableName", table))
    if place is not None:
        left.append(_import_as("Agents", "AWS::S3::Bucket", "BucketName", bucket))
    return left


def _import_as(name: str, kind: str, key: str, value: str) -> dict[str, Any]:
    return {"LogicalResourceId": name, "ResourceType": kind, "ResourceIdentifier": {key: value}}


def _find_bucket(bucket: str) -> str | None:
    """Find the region of a bucket; None if there is none."""
    try:
        place = boto3.client("s3").get_bucket_location(Bucket=bucket).get("LocationConstraint") or ""
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchBucket", "404"):
            return None
        raise FoundationError(
            f"there is a bucket {bucket} that cannot be looked at, so it may be another account's: {error};"
            f" see aws s3api get-bucket-location --bucket {bucket}"
        ) from error
    return OLD_REGION_NAMES.get(place, place)


def _delete(formation: Any, found: dict[str, Any], stage: str) -> None:
    formation.delete_stack(StackName=found["StackName"])
    after = _wait(formation, found["StackId"])
    if after["StackStatus"] != "DELETE_COMPLETE":
        raise FoundationError(_explain(formation, after, stage))


def _check_updatable(found: dict[str, Any], stage: str) -> None:
    name, status = found["StackName"], found["StackStatus"]
    if status == "UPDATE_ROLLBACK_FAILED":
        command = f"aws cloudformation continue-update-rollback --stack-name {name}"
        raise FoundationError(
            f"{name} is stuck in {status}: run {command}, then make deploy STAGE={stage} again"
        )
    if status.endswith("_IN_PROGRESS"):
        see = f"aws cloudformation describe-stacks --stack-name {name}"
        raise FoundationError(
            f"{name} is {status}: when it is over (see {see}), make deploy STAGE={stage} again"
        )


def _update(formation: Any, stack: dict[str, Any]) -> bool:
    """Begin to update the stack; False where it is up to date."""
    try:
        formation.update_stack(**stack)
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise
        return False
    return True


def _wait(formation: Any, stack: str) -> dict[str, Any]:
    """Wait until nothing is under way with a stack; answers it."""
    until = time.monotonic() + LONGEST_S
    while True:
        found = _describe(formation, stack) or {"StackName": stack, "StackStatus": "DELETE_COMPLETE"}
        if not found["StackStatus"].endswith("_IN_PROGRESS") or time.monotonic() > until:
            return found
        time.sleep(POLL_S)


def _explain(formation: Any, stack: dict[str, Any], stage: str) -> str:
    """Say what failed first in the last operation on the stack, and what to do."""
    first = stack.get("StackStatusReason", "no reason is given")
    which = stack.get("StackId", stack["StackName"])
    for event in formation.describe_stack_events(StackName=which)["StackEvents"]:
        reason = event.get("ResourceStatusReason", "")
        if reason == "User Initiated" and event["PhysicalResourceId"] == event["StackId"]:
            break
        if event["ResourceStatus"].endswith("_FAILED") and reason:
            first = f"{event['LogicalResourceId']}: {reason}"
    if first.endswith(READ_ON):
        shown = formation.describe_events(StackName=which)["OperationEvents"]
        first = "; ".join(
            event["ValidationStatusReason"] for event in shown if "ValidationStatusReason" in event
        )
    return f"{stack['StackName']} is {stack['StackStatus']}: {first}; {_again(stage)}"


def _again(stage: str) -> str:
    return f"correct that, then run make deploy STAGE={stage} again"
