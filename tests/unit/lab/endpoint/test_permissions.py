"""Tag conditions in policies, which ministack's simulation does not know."""

from typing import Any

import pytest

from tests.lab.endpoint.permissions import resolve

MANAGER = {"swarmkeeper:role": "manager", "swarmkeeper:cluster": "blue"}


def statement(condition: dict[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"Effect": "Allow", "Action": "ssm:SendCommand", "Resource": "*"}
    return found if condition is None else {**found, "Condition": condition}


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ({"StringEquals": {"ssm:resourceTag/swarmkeeper:role": "manager"}}, True),
        ({"StringEquals": {"ssm:resourceTag/swarmkeeper:role": ["worker", "manager"]}}, True),
        ({"StringEquals": {"aws:ResourceTag/swarmkeeper:role": "worker"}}, False),
        ({"StringEquals": {"ec2:ResourceTag/absent": "x"}}, False),
        ({"StringNotEquals": {"ssm:resourceTag/absent": "x"}}, True),
        ({"StringEqualsIfExists": {"ssm:resourceTag/absent": "x"}}, True),
        ({"StringEqualsIfExists": {"ssm:resourceTag/swarmkeeper:role": "worker"}}, False),
        ({"StringEqualsIfExists": {"autoscaling:ResourceTag/swarmkeeper:role": "manager"}}, True),
        ({"StringNotEquals": {"ssm:resourceTag/swarmkeeper:cluster": ["blue", "green"]}}, False),
        ({"StringLike": {"ssm:resourceTag/swarmkeeper:cluster": "bl*"}}, True),
        (
            {
                "StringEquals": {"ssm:resourceTag/swarmkeeper:role": "manager"},
                "StringLike": {"ssm:resourceTag/swarmkeeper:cluster": "green"},
            },
            False,
        ),
    ],
)
def test_a_statement_counts_where_its_tag_conditions_are_met(
    condition: dict[str, Any], *, kept: bool
) -> None:
    policy = {"Version": "2012-10-17", "Statement": [statement(condition)]}
    assert resolve(policy, MANAGER)["Statement"] == ([statement()] if kept else [])
    assert policy["Statement"] == [statement(condition)]


def test_other_conditions_are_left_for_iam_to_judge() -> None:
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    policy = {"Version": "2012-10-17", "Statement": statement(condition)}
    assert resolve(policy, MANAGER)["Statement"] == [statement(condition)]
