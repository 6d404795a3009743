"""Which AWS action a request is for, on requests that botocore made."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from tests.lab.endpoint.messages import AwsError, Request, refusal

Do = Callable[[Any], object]


def request_of(service: str, do: Do) -> Request:
    """Catch the request that a client sends before it leaves."""
    caught: list[Request] = []

    def catch(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        body: Any = request.body or b""
        data = body.read() if hasattr(body, "read") else body
        target = "/" + request.url.split("/", 3)[3]
        headers = tuple((name, _text(value)) for name, value in request.headers.items())
        sent = data.encode() if isinstance(data, str) else data
        caught.append(Request(request.method, target, headers, sent))
        raise ConnectionAbortedError

    make: Any = boto3.Session(
        aws_access_key_id="123456789012",
        aws_secret_access_key="test",  # noqa: S106
    ).client
    client = make(service, region_name="us-east-1", endpoint_url="http://172.31.0.1:4566")
    client.meta.events.register("before-send", catch)
    with pytest.raises(ConnectionAbortedError):
        do(client)
    return caught[0]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize(
    ("service", "do", "action"),
    [
        ("dynamodb", lambda c: c.update_item(TableName="t", Key={"k": {"S": "v"}}), "dynamodb:UpdateItem"),
        ("ssm", lambda c: c.send_command(DocumentName="d"), "ssm:SendCommand"),
        ("ec2", lambda c: c.describe_instances(), "ec2:DescribeInstances"),
        ("events", lambda c: c.list_rules(), "events:ListRules"),
        ("sts", lambda c: c.get_caller_identity(), "sts:GetCallerIdentity"),
        ("lambda", lambda c: c.invoke(FunctionName="f"), "lambda:Invoke"),
        ("s3", lambda c: c.put_object(Bucket="b", Key="k", Body=b"x"), "s3:PutObject"),
        ("s3", lambda c: c.get_object(Bucket="b", Key="k"), "s3:GetObject"),
        ("s3", lambda c: c.create_bucket(Bucket="b"), "s3:PutBucket"),
        ("cloudwatch", lambda c: c.put_metric_data(Namespace="n", MetricData=[]), "monitoring:PutMetricData"),
    ],
)
def test_the_action_is_what_iam_calls_it(service: str, do: Do, action: str) -> None:
    request = request_of(service, do)
    assert request.action == action
    assert request.access_key == "123456789012"


@pytest.mark.parametrize(
    "query", ["X-Amz-Credential=A%2F20261123%2Fus-east-1%2Fs3%2Faws4_request", "AWSAccessKeyId=A&Signature=x"]
)
def test_a_presigned_download_is_recognised(query: str) -> None:
    assert Request("GET", f"/bucket/agent.pyz?{query}", ()).action == "s3:GetObject"


def test_what_nobody_signed_is_unsigned() -> None:
    assert Request("GET", "/", ()).action == "unsigned:GET /"


def test_a_refusal_speaks_the_protocol_of_its_request() -> None:
    error = AwsError("ThrottlingException", "Rate exceeded")
    ssm = refusal(request_of("ssm", lambda c: c.list_commands()), error)
    ec2 = refusal(request_of("ec2", lambda c: c.describe_instances()), error)
    assert b'"__type": "ThrottlingException"' in ssm.body
    assert b"<Code>ThrottlingException</Code>" in ec2.body
