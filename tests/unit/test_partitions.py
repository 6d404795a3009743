"""The same files serve all partitions of AWS: what differs there is written nowhere, or chosen by the region.

What differs are the ARNs, the domain of endpoints (and of some services' principals), and the regions' names.
"""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from bootstrap.host.instance_metadata import Credentials
from bootstrap.host.parameter_store import Parameters

ROOT = Path(__file__).parents[2]
POLICIES = sorted([*ROOT.glob(".chalice/policy-*.json"), *ROOT.glob("bootstrap/policies/*.json")])
ENDPOINTS = ROOT / "bootstrap/host/parameter_store.py"  # chooses by the region, see below
FILES = [
    *POLICIES,
    *ROOT.glob(".chalice/*.yaml"),
    ROOT / ".chalice/config.json",
    ROOT / "app.py",
    *(
        path
        for room in ("chalicelib", "bootstrap")
        for path in (ROOT / room).rglob("*")
        if path.suffix in (".py", ".sh", ".yml", ".json", ".txt") and path not in (*POLICIES, ENDPOINTS)
    ),
]
LITERAL = re.compile(
    r"arn:(?!\*:|\$\{AWS::Partition\}:)[a-z*]|amazonaws\.com|aws-cn|aws-us-gov"
    r"|\b(?:us|eu|ap|ca|sa|me|af|il|mx|cn|us-gov)-(?:north|south|east|west|central)[a-z]*-\d"
)
REGIONS = {"aws": "eu-central-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
# As AWS shows them, in each partition.
OWN = (
    "arn:{0}:logs:{1}:123456789012:log-group:/aws/lambda/swarmkeeper-prod-tick:log-stream:2026/11/28/[1]ab",
    "arn:{0}:dynamodb:{1}:123456789012:table/swarmkeeper-prod",
    "arn:{0}:dynamodb:{1}:123456789012:table/swarmkeeper-prod/index/open",
    "arn:{0}:s3:::swarmkeeper-prod-123456789012/agent-0123456789abcdef.pyz",
    "arn:{0}:ssm:{1}::document/AWS-RunShellScript",
    "arn:{0}:ec2:{1}:123456789012:instance/i-0123456789abcdef0",
    "arn:{0}:autoscaling:{1}:123456789012:autoScalingGroup:0a1b2c3d:autoScalingGroupName/blue",
    "arn:{0}:sns:{1}:123456789012:swarmkeeper-prod",
)


def find_literals(text: str) -> list[str]:
    return LITERAL.findall(text)


# Old names that S3 alone still gives two regions.
MEANT = {"bootstrap/foundation.py": ["us-east-1", "eu-west-1"]}


def test_no_file_names_a_partition_its_domain_or_a_region() -> None:
    found = {str(path.relative_to(ROOT)): find_literals(path.read_text()) for path in FILES}
    assert {name: literals for name, literals in found.items() if literals} == MEANT


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:s3:::swarmkeeper",
        "arn:aws-cn:iam::1:role/a",
        "arn:aws*:iam::1:role/a",
        '{"Principal": {"Service": "ec2.amazonaws.com.cn"}}',
        "https://ssm.eu-central-1.amazonaws.com/",
        "REGION = 'cn-north-1'",
        "us-gov-west-1",
    ],
)
def test_what_differs_is_found_wherever_it_stands(text: str) -> None:
    assert find_literals(text)


@pytest.mark.parametrize("text", ["arn:*:s3:::swarmkeeper", "arn:${AWS::Partition}:iam::aws:policy/A"])
def test_what_holds_in_every_partition_is_left(text: str) -> None:
    assert not find_literals(text)


@pytest.mark.parametrize("partition", REGIONS)
def test_the_policy_of_the_tick_reaches_all_of_its_own_as_aws_names_it(partition: str) -> None:
    statements = json.loads((ROOT / ".chalice/policy-prod-tick.json").read_text())["Statement"]
    found = [one["Resource"] for one in statements]
    patterns = [one for some in found for one in (some if isinstance(some, list) else [some]) if one != "*"]
    for name in OWN:
        arn = name.format(partition, REGIONS[partition]).replace("[", "[[]")
        assert any(fnmatchcase(arn, pattern) for pattern in patterns), arn
    for pattern in patterns:
        assert any(fnmatchcase(one.format(partition, REGIONS[partition]), pattern) for one in OWN), pattern


class Host:
    """The metadata of a host in a region."""

    def __init__(self, region: str) -> None:
        self._region = region

    def region(self) -> str:
        return self._region

    def credentials(self) -> Credentials:
        return Credentials("key", "secret", "session")


class AskedError(Exception):
    """The host has asked."""


@pytest.mark.parametrize("region", REGIONS.values())
def test_a_host_asks_the_parameter_store_of_its_partition(
    monkeypatch: pytest.MonkeyPatch, region: str, tmp_path: Path
) -> None:
    asked: list[str] = []

    def post(address: str, *_: Any, **__: Any) -> None:
        asked.append(address)
        raise AskedError

    monkeypatch.setattr(requests, "post", post)
    host: Any = Host(region)
    with pytest.raises(AskedError):
        Parameters(host, tmp_path / "none").get("/swarmkeeper/blue/join-token/worker")
    client: Any = boto3.Session("key", "secret", region_name=region).client
    assert asked == [client("ssm").meta.endpoint_url + "/"]
