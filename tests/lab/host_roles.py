"""The IAM roles of the lab's hosts, one for managers and one for workers, with the product's own policies."""

from __future__ import annotations

import json
from typing import Any

from tests.lab import programs
from tests.lab.events import ACCOUNT

POLICIES = programs.PROJECT / "bootstrap" / "policies"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def name(cluster: str, role: str) -> str:
    """The name of the IAM role of a cluster's managers or workers."""
    return f"{cluster}-{role}"


def arn(cluster: str, role: str) -> str:
    """The same role's ARN."""
    return f"arn:aws:iam::{ACCOUNT}:role/{name(cluster, role)}"


def create(iam: Any, cluster: str) -> None:
    """Create both roles with a boto3 client."""
    for role in ("manager", "worker"):
        text = (POLICIES / f"{role}.json").read_text().replace("CLUSTER", cluster)
        who = name(cluster, role)
        iam.create_role(RoleName=who, AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName=who, PolicyName="join-tokens", PolicyDocument=text)
