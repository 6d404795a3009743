"""Tag conditions in policies, which ministack's simulation does not know."""

from typing import Any

import pytest

from tests.lab.endpoint.callers import Caller
from tests.lab.endpoint.messages import AwsError, Request
from tests.lab.endpoint.permissions import Permissions, resolve

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


class Iam:
    """One policy for each role, of one action; what is asked of a simulation is judged by that."""

    def list_role_policies(self, **asked: str) -> dict[str, Any]:
        return {"PolicyNames": [f"{asked['RoleName']}-policy"]}

    def get_role_policy(self, **asked: str) -> dict[str, Any]:
        action = {"blue-worker": "ec2:DescribeInstances"}.get(asked["RoleName"], "sns:Publish")
        return {"PolicyDocument": {"Statement": [{**statement(), "Action": action}]}}

    def list_attached_role_policies(self, **_: str) -> dict[str, Any]:
        return {"AttachedPolicies": []}

    def simulate_custom_policy(self, **asked: Any) -> dict[str, Any]:
        allowed = any(asked["ActionNames"][0] in text for text in asked["PolicyInputList"])
        return {"EvaluationResults": [{"EvalDecision": "allowed" if allowed else "implicitDeny"}]}


def test_a_host_may_do_what_its_role_may_whatever_key_it_signs_with() -> None:
    signed = "AWS4-HMAC-SHA256 Credential=ASIA/20261128/us-east-1/ec2/aws4_request"
    form = b"Action=DescribeInstances&Version=2016-11-15"
    headers = (("Authorization", signed), ("Content-Type", "application/x-www-form-urlencoded"))
    request = Request("POST", "/", headers, form)
    permissions = Permissions(Iam(), None)
    permissions.check(request, Caller("ip-172-31-0-14", role="blue-worker"), [])
    for stranger in (Caller("ip-172-31-0-15", role="stranger"), Caller("lab")):
        with pytest.raises(AwsError):
            permissions.check(request, stranger, [])


def test_several_parameters_are_asked_about_one_by_one() -> None:
    signed = ("Authorization", "Credential=A/1/r/ssm/aws4_request")
    names = b'{"Names": ["/swarmkeeper/blue/join-token/manager"]}'
    request = Request("POST", "/", (("X-Amz-Target", "AmazonSSM.GetParameters"), signed), names)
    with pytest.raises(AwsError, match=r"on resource: arn:aws:ssm:us-east-1:\d+:parameter/swarmkeeper/blue/"):
        Permissions(Iam(), None).check(request, Caller("ip-172-31-0-14", role="blue-worker"), [])
