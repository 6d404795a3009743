"""The IAM roles of the lab's hosts: the product's policies, and what people usually attach beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.lab.aws.events import ACCOUNT
from tests.lab.machines import programs
from tests.lab.state import Host, Lab

POLICIES = programs.PROJECT / "bootstrap" / "policies"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}

# Of AWS's managed policy of this name, the part with which a host reads every parameter of the account.
CUSTOMARY = "AmazonSSMManagedInstanceCore"
CUSTOMARY_STATEMENT = {
    "Effect": "Allow",
    "Action": ["ssm:GetParameter", "ssm:GetParameters", "ssm:UpdateInstanceInformation"],
    "Resource": "*",
}


def name(cluster: str, role: str) -> str:
    """Name the IAM role of a cluster's managers or workers."""
    return f"{cluster}-{role}"


def role_of(lab: Lab, host: Host) -> str:
    """Name the IAM role that a host has."""
    return host.profile or name(lab.cluster, host.role)


def arn(role: str) -> str:
    """Return the ARN of a role."""
    return f"arn:aws:iam::{ACCOUNT}:role/{role}"


def policies(cluster: str, role: str) -> dict[str, Any]:
    """Read the policy documents of a cluster's managers or workers, by name."""
    text = (POLICIES / f"{role}.json").read_text().replace("CLUSTER", cluster)
    customary = {"Version": "2012-10-17", "Statement": [CUSTOMARY_STATEMENT]}
    return {"swarmkeeper": json.loads(text), CUSTOMARY: customary}


def create(iam: Any, cluster: str) -> None:
    """Create both roles with a boto3 client."""
    for role in ("manager", "worker"):
        create_role(iam, name(cluster, role), policies(cluster, role))


def create_role(iam: Any, who: str, documents: Mapping[str, Any]) -> None:
    """Create one role with these policies, by name."""
    iam.create_role(RoleName=who, AssumeRolePolicyDocument=json.dumps(TRUST))
    for policy, document in documents.items():
        iam.put_role_policy(RoleName=who, PolicyName=policy, PolicyDocument=json.dumps(document))
