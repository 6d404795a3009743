"""Publish a description: upload it beside the stage's agent, and record it for its cluster."""

from __future__ import annotations

import json
from typing import Any

import boto3

from chalicelib.protocol.description import Description
from chalicelib.protocol.description_codec import description_key, digest, encode_description

APP = "swarmkeeper"


class PublishError(Exception):
    """The description was not recorded; the text says what was left as it was, and what to do."""


def publish(description: Description, stage: str) -> str:
    """Upload and record; answers what was done. Raises PublishError and boto3's errors."""
    text, cluster = encode_description(description), description.name
    sha256 = digest(text)
    account = boto3.client("sts").get_caller_identity()["Account"]
    bucket, key = f"{APP}-{stage}-{account}", description_key(sha256)
    content = "application/json"
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType=content)
    answer = _configure(stage, {"cluster": cluster, "description": sha256})
    return f"published s3://{bucket}/{key} for cluster {cluster} of stage {stage}: {'; '.join(answer)}"


def _configure(stage: str, payload: dict[str, str]) -> list[str]:
    """Make the manual call ``configure``; answers what it did."""
    client: Any = boto3.client("lambda")
    answer = client.invoke(FunctionName=f"{APP}-{stage}-configure", Payload=json.dumps(payload).encode())
    said = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        why = " ".join(str(said.get("errorMessage", said)).split())
        raise PublishError(
            "it was uploaded and not recorded, so cluster "
            f"{payload['cluster']} has the description that it had: {why}"
        )
    done: list[str] = said["done"]
    return done
