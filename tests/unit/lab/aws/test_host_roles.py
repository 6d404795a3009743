"""What hosts may do by the product's policies, also where AWS's customary one is attached beside them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.lab.aws import host_roles

READS = ("ssm:GetParameter", "ssm:GetParameters", "ssm:GetParameterHistory")
CONTEXT = "kms:EncryptionContext:PARAMETER_ARN"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"


def parameter(name: str) -> str:
    return f"arn:aws:ssm:us-east-1:123456789012:parameter{name}"


def token(cluster: str, role: str) -> str:
    return parameter(f"/swarmkeeper/{cluster}/join-token/{role}")


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def matches(value: str, patterns: str | list[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in listed(patterns))


def holds(condition: dict[str, dict[str, str]], encrypted: str) -> bool:
    wanted = {"StringLike": True, "StringNotLike": False}
    rows = [(wanted[operator], keys[CONTEXT]) for operator, keys in condition.items()]
    return all(bool(encrypted) and matches(encrypted, pattern) is true for true, pattern in rows)


def effects(statements: Iterable[dict[str, Any]], action: str, on: str, encrypted: str) -> set[str]:
    return {
        statement["Effect"]
        for statement in statements
        if matches(action, statement["Action"])
        and matches(on, statement["Resource"])
        and holds(statement.get("Condition", {}), encrypted)
    }


def decided(role: str, action: str, on: str, *, encrypted: str = "", customary: bool = False) -> str:
    """Allow, Deny, or "" where no statement says anything: IAM's rule, in which a Deny always wins."""
    documents = host_roles.policies("blue", role)
    names = [name for name in documents if customary or name != host_roles.CUSTOMARY]
    statements = [statement for name in names for statement in documents[name]["Statement"]]
    found = effects(statements, action, on, encrypted)
    return next((effect for effect in ("Deny", "Allow") if effect in found), "")


@pytest.mark.parametrize("customary", [False, True])
@pytest.mark.parametrize(
    ("role", "action", "of"),
    [
        ("worker", "ssm:GetParameter", "worker"),
        ("manager", "ssm:GetParameter", "worker"),
        ("manager", "ssm:GetParameter", "manager"),
        ("manager", "ssm:PutParameter", "worker"),
        ("manager", "ssm:PutParameter", "manager"),
    ],
)
def test_a_host_may_use_the_tokens_that_its_role_needs(
    role: str, action: str, of: str, *, customary: bool
) -> None:
    own = token("blue", of)
    assert decided(role, action, own, customary=customary) == "Allow"
    assert decided(role, "kms:Decrypt", KEY, encrypted=own, customary=customary) != "Deny"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_the_policies_say_the_same_in_every_partition(partition: str) -> None:
    own, managers, other = (
        token(*which).replace("arn:aws:", f"arn:{partition}:")
        for which in (("blue", "worker"), ("blue", "manager"), ("green", "worker"))
    )
    key = KEY.replace("arn:aws:", f"arn:{partition}:")
    assert decided("worker", "ssm:GetParameter", own) == "Allow"
    assert decided("manager", "ssm:PutParameter", managers) == "Allow"
    assert decided("worker", "ssm:GetParameter", managers) == "Deny"
    assert decided("worker", "kms:Decrypt", key, encrypted=own) != "Deny"
    assert decided("manager", "kms:Decrypt", key, encrypted=other) == "Deny"


@pytest.mark.parametrize("cluster", ["blue", "green"])
@pytest.mark.parametrize("action", READS)
def test_a_worker_reads_no_managers_token_whatever_else_is_attached(action: str, cluster: str) -> None:
    assert decided("worker", action, token(cluster, "manager"), customary=True) == "Deny"


@pytest.mark.parametrize("role", ["worker", "manager"])
@pytest.mark.parametrize("path", ["/", "/swarmkeeper", "/swarmkeeper/blue", "/swarmkeeper/green/join-token"])
def test_no_host_reads_tokens_by_their_path(role: str, path: str) -> None:
    assert decided(role, "ssm:GetParametersByPath", parameter(path), customary=True) == "Deny"


@pytest.mark.parametrize(
    ("role", "cluster", "of"),
    [
        ("worker", "blue", "manager"),
        ("worker", "green", "worker"),
        ("worker", "green", "manager"),
        ("manager", "green", "worker"),
        ("manager", "green", "manager"),
        ("manager", "blue2", "worker"),
    ],
)
def test_no_host_decrypts_a_token_that_is_not_for_its_role_and_cluster(
    role: str, cluster: str, of: str
) -> None:
    assert decided(role, "kms:Decrypt", KEY, encrypted=token(cluster, of), customary=True) == "Deny"


@pytest.mark.parametrize("role", ["worker", "manager"])
def test_what_else_a_host_may_read_is_left_to_its_owner(role: str) -> None:
    other = parameter("/app/password")
    assert decided(role, "ssm:GetParameter", other) == ""
    assert decided(role, "ssm:GetParameter", other, customary=True) == "Allow"
    assert decided(role, "kms:Decrypt", KEY, encrypted=other) == ""
    assert decided(role, "kms:Decrypt", KEY) == ""


@pytest.mark.parametrize("role", ["worker", "manager"])
def test_the_ssm_agent_needs_no_other_policy_to_run_commands(role: str) -> None:
    needed = (
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:OpenControlChannel",
        "ec2messages:GetMessages",
        "ec2messages:SendReply",
    )
    assert {decided(role, action, "*") for action in needed} == {"Allow"}


@pytest.mark.parametrize("role", ["worker", "manager"])
def test_every_statement_gives_its_reason(role: str) -> None:
    statements = host_roles.policies("blue", role)["swarmkeeper"]["Statement"]
    reasons = [statement["Sid"] for statement in statements]
    assert all(reason.isalnum() for reason in reasons)
    assert len(set(reasons)) == len(statements)
